"""Live lists of jobs: one change stream for the whole service, however many people look."""

from typing import Any

from bson import ObjectId
from typing_extensions import override

from shared.models.job_store import JobStore
from shared.models.jobs import Job, JobChange
from shared.rpc.errors import MethodError
from shared.rpc.server import Subscription
from web_service.job_view import job_view

_COLLECTION = "jobs"


class JobFeed:
    """Hands every change of a job to the lists that show it."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._lists: set[_JobList] = set()

    async def run(self) -> None:
        """Follow the change stream until cancelled."""
        async for change in self._store.watch():
            if change.kind == "resync":
                for jobs in list(self._lists):
                    await jobs.fill()
            else:
                for jobs in list(self._lists):
                    jobs.apply(change)

    async def publish_mine(self, sub: Subscription, owner: ObjectId, limit: int) -> None:
        """Keep ``sub`` at the ``limit`` newest jobs of ``owner``."""
        await self._publish(_NewestJobs(self._store, sub, owner, limit))

    async def publish_one(self, sub: Subscription, owner: ObjectId, job_id: ObjectId) -> None:
        """Keep ``sub`` at one job.

        Raises:
            MethodError: 404, there is none, or it is somebody else's.
        """
        if await self._store.get(job_id, owner) is None:
            raise MethodError(404, "There is no such job.")
        await self._publish(_OneJob(self._store, sub, owner, job_id))

    async def _publish(self, jobs: "_JobList") -> None:
        # Watch first, look second: what changes in between comes twice, not never.
        self._lists.add(jobs)
        jobs.sub.on_stop(lambda: self._lists.discard(jobs))
        await jobs.fill()
        jobs.sub.ready()


class _JobList:
    """What one subscription shows of one owner's jobs."""

    def __init__(self, store: JobStore, sub: Subscription, owner: ObjectId) -> None:
        self.sub = sub
        self._store = store
        self._owner = owner
        self._shown: set[ObjectId] = set()

    async def fill(self) -> None:
        """Make the list what the database says now."""
        jobs = await self._find()
        for gone in self._shown - {job.id for job in jobs}:
            self._remove(gone)
        for job in jobs:
            self._show(job)

    def apply(self, change: JobChange) -> None:
        """Take one change, if it is one of these jobs."""
        if change.job is None:
            if change.id in self._shown:
                self._remove(change.id)
        elif change.job.owner == self._owner and self._wants(change.job):
            self._show(change.job)

    async def _find(self) -> list[Job]:
        raise NotImplementedError

    def _wants(self, job: Job) -> bool:
        raise NotImplementedError

    def _show(self, job: Job) -> None:
        fields: dict[str, Any] = job_view(job)
        if job.id in self._shown:
            self.sub.changed(_COLLECTION, job.id, fields)
        else:
            self._shown.add(job.id)
            self.sub.added(_COLLECTION, job.id, fields)

    def _remove(self, job_id: ObjectId) -> None:
        self._shown.discard(job_id)
        self.sub.removed(_COLLECTION, job_id)


class _NewestJobs(_JobList):
    def __init__(self, store: JobStore, sub: Subscription, owner: ObjectId, limit: int) -> None:
        super().__init__(store, sub, owner)
        self._limit = limit

    @override
    async def _find(self) -> list[Job]:
        return await self._store.mine(self._owner, limit=self._limit)

    @override
    def _wants(self, job: Job) -> bool:
        """Ids grow with time: an older job than all of a full list is not for this list."""
        full = len(self._shown) >= self._limit
        return job.id in self._shown or not full or job.id > min(self._shown)

    @override
    def _show(self, job: Job) -> None:
        super()._show(job)
        if len(self._shown) > self._limit:
            self._remove(min(self._shown))


class _OneJob(_JobList):
    def __init__(
        self, store: JobStore, sub: Subscription, owner: ObjectId, job_id: ObjectId
    ) -> None:
        super().__init__(store, sub, owner)
        self._id = job_id

    @override
    async def _find(self) -> list[Job]:
        job = await self._store.get(self._id, self._owner)
        return [] if job is None else [job]

    @override
    def _wants(self, job: Job) -> bool:
        return job.id == self._id
