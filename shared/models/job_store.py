"""Durable jobs in MongoDB: submitted by anyone, run at least once, completed exactly once.

Every state change is one update whose filter holds its precondition. Those about an
attempt name its job and the token of its lease; when that lease is gone, they change
nothing and return False.
"""

import secrets
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure

from shared.models import job_updates
from shared.models.changes import Change, watch_as
from shared.models.database import Database
from shared.models.errors import KeyTaken, MalformedDocument
from shared.models.jobs import (
    FINISHED,
    JOBS,
    UNFINISHED,
    Job,
    JobError,
    JobFile,
    JobProgress,
    NewJob,
    Outcome,
    Usage,
    job_from_document,
    job_to_document,
)
from shared.models.payloads import encode_payload
from shared.models.types import Document, Owner, now, owned_by, to_document

log = structlog.get_logger()

_NOTHING_USED = Usage()
_MAX_NOTE_CHARACTERS = 500
_CLAIM_TRIES = 3


class Held(NamedTuple):
    """A job and the token of the lease under which somebody runs it."""

    id: ObjectId
    token: str


class JobStore:
    """The ``jobs`` collection."""

    def __init__(self, database: Database, *, keep: timedelta = timedelta(days=14)) -> None:
        """``keep`` is how long a finished job's document stays."""
        self._database = database
        self._jobs = database.collection(JOBS.name)
        self._keep = keep

    # What people and programs ask for.

    async def submit(self, new: NewJob, session: AsyncClientSession | None = None) -> Job:
        """Store a job, or return the unfinished one that its owner gave the same key.

        With a ``session`` it becomes part of the caller's transaction.

        Raises:
            InvalidDocument: the parameters can't be stored (InvalidPayload), or a field
                does not have its type.
        """
        job = new.at(now())
        document = job_to_document(job)
        while True:
            # Inside a transaction a refused insert would be the end of it: look first.
            if session and new.key and (found := await self._with_key(new, session)):
                return found
            try:
                await self._jobs.insert_one(document, session=session)
            except DuplicateKeyError:
                if session or not new.key:
                    raise
                if found := await self._with_key(new):
                    return found
                continue  # that one finished in the meantime
            return job_from_document(document)

    async def get(self, job_id: ObjectId, owner: Owner) -> Job | None:
        """The job, if it is the owner's."""
        return _job(await self._jobs.find_one({"_id": job_id, **owned_by(owner)}))

    async def mine(
        self, owner: Owner, limit: int = 50, before: ObjectId | None = None
    ) -> list[Job]:
        """The owner's last jobs, newest first; older than the one with the id ``before``."""
        older = {} if before is None else {"_id": {"$lt": before}}
        cursor = self._jobs.find({**owned_by(owner), **older}).sort("_id", -1).limit(limit)
        return [job_from_document(document) for document in await cursor.to_list(None)]

    async def request_cancel(self, job_id: ObjectId, owner: Owner) -> Job | None:
        """Cancel a waiting job; mark an executing one, whose service will stop it.

        Returns the job as it is then (a finished one stays what it is), or None if the
        owner has no such job.
        """
        return await self._ask(job_id, owner, UNFINISHED, job_updates.cancel_requested(self._keep))

    async def run_again(self, job_id: ObjectId, owner: Owner) -> Job | None:
        """Make a finished job available, with all of its attempts before it again.

        Returns the job as it is then (an unfinished one stays what it is), or None if the
        owner has no such job.

        Raises:
            KeyTaken: another job has its key by now.
        """
        try:
            return await self._ask(job_id, owner, FINISHED, job_updates.run_again())
        except DuplicateKeyError as error:
            raise KeyTaken("another unfinished job has the same key") from error

    # What a jobs service does.

    async def claim(
        self, service: str, types: Collection[str], limit: int, lease_seconds: float
    ) -> list[Job]:
        """Take up to ``limit`` jobs of these types, the most urgent first.

        In the order of priority, then of ``runAt``, then of age. Each of them is executing
        then, under a lease (:attr:`Job.token`) that lasts ``lease_seconds`` unless it is
        renewed. Cancelled in the middle, this may leave jobs claimed until then.
        """
        while ids := await self._claimable(list(types), limit):
            token = secrets.token_hex(16)
            await self._take(ids, list(types), service, token, lease_seconds)
            if claimed := await self._claimed(ids, token):
                return claimed
            # Another service was faster with all of them: look at what is left.
        return []

    async def renew(self, held: Iterable[Held], lease_seconds: float) -> set[Held]:
        """Make leases last ``lease_seconds`` from now; returns those that still hold."""
        asked = set(held)
        filter_ = {
            "_id": {"$in": [job_id for job_id, _ in asked]},
            "lease.token": {"$in": list({token for _, token in asked})},
            "state": "executing",
        }
        await self._jobs.update_many(filter_, job_updates.renewed(lease_seconds))
        cursor = self._jobs.find(filter_, {"lease.token": 1})
        found = {Held(document["_id"], document["lease"]["token"]) async for document in cursor}
        return asked & found

    async def progress(self, job_id: ObjectId, token: str, progress: JobProgress) -> bool:
        """Say how far the attempt is."""
        document = to_document(progress)
        document["note"] = job_updates.storable(document["note"])[:_MAX_NOTE_CHARACTERS]
        update = {"$set": {"progress": document}}
        return bool(
            (await self._jobs.update_one(job_updates.held(job_id, token), update)).matched_count
        )

    async def complete(
        self,
        job_id: ObjectId,
        token: str,
        result: Any = None,
        files: Sequence[JobFile] = (),
        usage: Usage = _NOTHING_USED,
    ) -> bool:
        """The attempt succeeded. Repeated by the same attempt, it is True again.

        Raises:
            InvalidPayload: the result can't be stored; nothing has changed.
        """
        encoded = encode_payload(result, "the result")
        update = job_updates.completed(encoded, tuple(files), usage, self._keep)
        return await self._end(job_id, token, "completed", update)

    async def retry(
        self,
        job_id: ObjectId,
        token: str,
        error: JobError,
        run_at: datetime | timedelta,
        usage: Usage = _NOTHING_USED,
    ) -> bool:
        """The attempt failed, and another may start at ``run_at``.

        A timedelta counts from now by the server's clock. A job that somebody asked to
        cancel is cancelled instead. Repeated by the same attempt, it is True again.
        """
        update = job_updates.retried(run_at, error, usage, self._keep)
        return await self._end(job_id, token, "failed", update)

    async def discard(
        self, job_id: ObjectId, token: str, error: JobError, usage: Usage = _NOTHING_USED
    ) -> bool:
        """The job is given up. Repeated by the same attempt, it is True again."""
        update = job_updates.discarded(error, usage, self._keep)
        return await self._end(job_id, token, "discarded", update)

    async def cancelled(self, job_id: ObjectId, token: str, usage: Usage = _NOTHING_USED) -> bool:
        """The attempt was stopped because of a request to cancel the job."""
        update = job_updates.cancelled(usage, self._keep)
        return await self._end(job_id, token, "cancelled", update)

    async def release(self, job_id: ObjectId, token: str) -> bool:
        """Give the job back, without using up an attempt: its service has to stop.

        A job that somebody asked to cancel is cancelled instead.
        """
        return await self._end(job_id, token, "released", job_updates.released(self._keep))

    # What keeps the collection in order.

    async def rescue(self) -> int:
        """Take jobs from services that let their leases run out; returns how many.

        They are available again, or discarded if that was the last attempt, or cancelled
        if that was asked for.
        """
        update = job_updates.rescued(self._keep)
        return (await self._jobs.update_many(job_updates.expired(), update)).modified_count

    async def next_run_at(self, types: Collection[str]) -> datetime | None:
        """When the first scheduled or retryable job of these types may start."""
        waiting = {"state": {"$in": ["scheduled", "retryable"]}, "type": {"$in": list(types)}}
        found = await self._jobs.find_one(waiting, {"runAt": 1}, sort=[("runAt", 1)], hint="next")
        return None if found is None else found["runAt"]

    async def prune(self, moment: datetime | None = None) -> int:
        """Delete finished jobs that expired before ``moment`` (now); returns how many.

        The database's own TTL monitor does this too, once a minute.
        """
        expired = {"expiresAt": {"$lte": moment or now()}, "state": {"$in": list(FINISHED)}}
        return (await self._jobs.delete_many(expired)).deleted_count

    def watch(self) -> AsyncGenerator[Change[Job], None]:
        """Changes of jobs as they happen, for ever; close the generator to stop.

        The first is a ``resync``: what is read from then on misses nothing. It comes
        again when changes may have been missed.
        """
        return watch_as(self._database, JOBS.name, job_from_document)

    async def _with_key(self, new: NewJob, session: AsyncClientSession | None = None) -> Job | None:
        unfinished = {"owner": new.owner, "key": new.key, "state": {"$in": list(UNFINISHED)}}
        return _job(await self._jobs.find_one(unfinished, session=session))

    async def _ask(
        self,
        job_id: ObjectId,
        owner: Owner,
        states: Sequence[str],
        update: job_updates.Pipeline,
    ) -> Job | None:
        """Update the owner's job if it is in one of the states; the job as it is then."""
        filter_ = {"_id": job_id, "state": {"$in": list(states)}, **owned_by(owner)}
        changed = await self._jobs.find_one_and_update(filter_, update, return_document=True)
        return _job(changed) or await self.get(job_id, owner)

    async def _claimable(self, types: list[str], limit: int) -> list[ObjectId]:
        if not types or limit <= 0:
            return []
        cursor = self._jobs.find(job_updates.claimable(types), {"_id": 1}).limit(limit)
        ordered = cursor.sort([("priority", 1), ("runAt", 1), ("_id", 1)]).hint("claim")
        return [document["_id"] async for document in ordered]

    async def _take(
        self, ids: list[ObjectId], types: list[str], service: str, token: str, seconds: float
    ) -> None:
        filter_ = {"_id": {"$in": ids}, **job_updates.claimable(types)}
        update = job_updates.claimed(service, token, seconds)
        for tries_left in reversed(range(_CLAIM_TRIES)):
            try:
                await self._jobs.update_many(filter_, update, hint="_id_")
            except ConnectionFailure:
                # The driver does not repeat an update of many documents. Here it can be:
                # what the first one took does not match again, and bears our token.
                if not tries_left:
                    raise
            except OperationFailure:
                # One document that the update can't be applied to makes all of it fail.
                await self._take_singly(ids, filter_, update)
                return
            else:
                return

    async def _take_singly(
        self, ids: list[ObjectId], filter_: Document, update: job_updates.Pipeline
    ) -> None:
        for job_id in ids:
            try:
                await self._jobs.update_one({**filter_, "_id": job_id}, update)
            except OperationFailure as error:
                await self._give_up(job_id, str(error))

    async def _claimed(self, ids: list[ObjectId], token: str) -> list[Job]:
        cursor = self._jobs.find({"_id": {"$in": ids}, "lease.token": token})
        claimed = []
        for document in await cursor.to_list(None):
            try:
                claimed.append(job_from_document(document))
            except MalformedDocument as error:
                await self._give_up(error.document_id, error.problem)
        return sorted(claimed, key=lambda job: (job.priority, job.run_at, job.id))

    async def _give_up(self, job_id: object, problem: str) -> None:
        """Discard a job whose document nobody can read, so that it does not stop the others."""
        log.warning("job.malformed", job_id=str(job_id), problem=problem)
        reason = JobError(kind="discarded", code="malformed-document", message=problem)
        given_up = {"state": "discarded", "lease": None, "error": to_document(reason)}
        await self._jobs.update_one({"_id": job_id}, {"$set": {**given_up, "endedAt": now()}})

    async def _end(
        self, job_id: ObjectId, token: str, outcome: Outcome, update: job_updates.Pipeline
    ) -> bool:
        ended = await self._jobs.update_one(job_updates.held(job_id, token), update)
        if ended.matched_count:
            return True
        # An answer may have been lost with the connection: the attempt is over, and this
        # is how it said it would end.
        attempt = {"$elemMatch": {"token": token, "outcome": outcome}}
        return (
            await self._jobs.find_one({"_id": job_id, "attempts": attempt}, {"_id": 1}) is not None
        )


def _job(document: Document | None) -> Job | None:
    return None if document is None else job_from_document(document)
