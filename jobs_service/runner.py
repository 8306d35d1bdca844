"""Runs durable jobs: claims what is due, runs it, and writes down how it ended.

1. Something may be due: a hint, the change stream, a free slot, or the slow poll says so.
2. Claim at most as many jobs as there is room for, in one batch, under fresh leases.
3. Run each through the executor; renew the leases meanwhile; write progress now and then.
4. Write the outcome under the lease token. If the lease was lost, somebody else has the
   job: the write does nothing, and this run's files are deleted.

Stopping is in two steps: no more claims, then whatever still runs at the end of the drain
is given back, its attempt not used up.
"""

import asyncio
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from jobs_service.executor import Executor, Outcome, Request
from jobs_service.job import Progress
from shared.models.errors import InvalidDocument
from shared.models.files import StoredFile
from shared.models.job_store import Held, JobStore
from shared.models.jobs import Job, JobError, JobFile, JobProgress, Usage

log = structlog.get_logger()

StopReason = Literal["cancelled", "released", "lost"]

_PROGRESS_SECONDS = 0.2
"""How often a job's progress reaches its document, at most."""
_STORE_RETRY_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 3600.0


class RunnerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner may take on."""

    service: str
    """This process's name in leases and attempts."""
    concurrency: int
    lease_seconds: float
    poll_seconds: float


class Runner:
    """Claims and runs durable jobs of the types its executor knows."""

    def __init__(self, store: JobStore, executor: Executor, config: RunnerConfig) -> None:
        self._store = store
        self._executor = executor
        self._config = config
        self._running: dict[ObjectId, _Running] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._group = asyncio.TaskGroup()

    @property
    def running(self) -> int:
        """Jobs that run here now."""
        return len(self._running)

    def wake(self) -> None:
        """Something may be due: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Claim and run jobs until cancelled."""
        async with self._group:
            self._group.create_task(self._watch())
            self._group.create_task(self._renew_leases())
            self._group.create_task(self._write_progress())
            await self._claim_for_ever()

    async def drain(self, seconds: float) -> None:
        """Claim nothing more; let what runs finish; give back what is left after ``seconds``."""
        self._stopping = True
        self.wake()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            for running in self._running.values():
                running.stop("released")
            await self._idle.wait()

    async def _claim_for_ever(self) -> None:
        while True:
            self._wake.clear()
            due_in = self._config.poll_seconds
            try:
                claimed_all = await self._claim()
                if not claimed_all:
                    continue
                due_in = await self._seconds_to_next()
            except PyMongoError as error:
                log.warning("claim.failed", error=str(error))
                due_in = _STORE_RETRY_SECONDS
            try:
                async with asyncio.timeout(due_in):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _claim(self) -> bool:
        """Claim what there is room for; False when there may be more, and room for it."""
        room = self._config.concurrency - len(self._running)
        if room <= 0 or self._stopping:
            return True
        jobs = await self._store.claim(
            service=self._config.service,
            types=self._executor.jobs.keys(),
            limit=room,
            lease_seconds=self._config.lease_seconds,
        )
        for job in jobs:
            self._start(job)
        return len(jobs) < room

    async def _seconds_to_next(self) -> float:
        """Until the next scheduled job is due, or the slow poll."""
        if len(self._running) >= self._config.concurrency:
            return self._config.poll_seconds
        next_run_at = await self._store.next_run_at(self._executor.jobs.keys())
        if next_run_at is None:
            return self._config.poll_seconds
        wait = (next_run_at - datetime.now(UTC)).total_seconds()
        return min(max(wait, 0.01), self._config.poll_seconds)

    def _start(self, job: Job) -> None:
        running = _Running(job)
        self._running[job.id] = running
        self._idle.clear()
        self._group.create_task(self._run_job(running))

    async def _run_job(self, running: "_Running") -> None:
        job = running.job
        log.info("job.started", job=str(job.id), type=job.type, attempt=job.attempt_count)
        try:
            outcome = await self._outcome(running)
            await self._keep(running, outcome)
        finally:
            del self._running[job.id]
            if not self._running:
                self._idle.set()
            self.wake()

    async def _outcome(self, running: "_Running") -> Outcome:
        job = running.job
        request = Request(
            type=job.type,
            params=job.params,
            run_id=str(job.id),
            owner=job.owner,
            attempt=job.attempt_count,
            time_limit=job.timeout,
            job=job.id,
        )
        try:
            async with running.scope:
                running.begin()
                return await self._executor.run(request, running.progressed)
        except TimeoutError:
            return Outcome(kind="cancelled")
        finally:
            running.stoppable = False

    async def _keep(self, running: "_Running", outcome: Outcome) -> None:
        """Write the outcome down, for as long as it takes the database to answer."""
        kept: bool | None = None
        while kept is None:
            try:
                kept = await self._write(running, outcome)
            except InvalidDocument as error:
                await self._executor.forget(outcome.files)
                outcome = Outcome(kind="discarded", code="bad-result", message=str(error))
            except PyMongoError as error:
                log.warning("job.outcome_not_written", job=str(running.job.id), error=str(error))
                await asyncio.sleep(_STORE_RETRY_SECONDS)
        event = running.stopped_because or outcome.kind
        log.info(f"job.{event}", job=str(running.job.id), type=running.job.type, kept=kept)
        if not kept:
            await self._executor.forget(outcome.files)

    async def _write(self, running: "_Running", outcome: Outcome) -> bool:
        """One fenced write; False when the lease is not ours any more."""
        job, token, usage = running.job, running.job.token, _usage(outcome)
        if outcome.kind == "completed":
            files = [_job_file(file) for file in outcome.files]
            return await self._store.complete(job.id, token, outcome.result, files, usage)
        if outcome.kind == "cancelled":
            return await self._write_stop(running)
        error = JobError(
            kind=outcome.kind,
            code=outcome.code,
            message=outcome.message,
            traceback=outcome.traceback,
        )
        if outcome.permanent or job.attempt_count >= job.max_attempts:
            return await self._store.discard(job.id, token, error, usage)
        pause = timedelta(seconds=backoff_seconds(job))
        return await self._store.retry(job.id, token, error, pause, usage)

    async def _write_stop(self, running: "_Running") -> bool:
        if running.stopped_because == "released":
            return await self._store.release(running.job.id, running.job.token)
        if running.stopped_because == "cancelled":
            return await self._store.cancelled(running.job.id, running.job.token)
        return False  # the lease was lost, and the job with it

    async def _watch(self) -> None:
        """Wake on every job that may be due; stop those whose owner cancelled them."""
        async for change in self._store.watch():
            if change.record is None:
                self.wake()
            elif change.record.cancel_requested and change.id in self._running:
                self._running[change.id].stop("cancelled")
            elif change.record.state in ("available", "scheduled", "retryable"):
                self.wake()

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._config.lease_seconds / 3)
            if not (held := list(self._running.values())):
                continue
            try:
                ours = await self._store.renew(
                    [Held(running.job.id, running.job.token) for running in held],
                    self._config.lease_seconds,
                )
            except PyMongoError as error:
                log.warning("lease.not_renewed", error=str(error))
                continue
            for running in held:
                if Held(running.job.id, running.job.token) not in ours:
                    running.stop("lost")

    async def _write_progress(self) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            await self._write_changed_progress(list(self._running.values()))

    async def _write_changed_progress(self, all_running: Iterable["_Running"]) -> None:
        for running in all_running:
            if (progress := running.take_progress()) is None:
                continue
            try:
                await self._store.progress(
                    running.job.id,
                    running.job.token,
                    JobProgress(done=progress.done, total=progress.total, note=progress.note),
                )
            except PyMongoError as error:
                log.warning("job.progress_not_written", error=str(error))


class _Running:
    """One job that runs here: its latest progress, and how to stop it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.scope = asyncio.timeout(None)
        self.stoppable = True
        """Until the outcome is known; from then on it is only written down."""
        self.stopped_because: StopReason | None = None
        self._begun = False
        self._progress: Progress | None = None

    def begin(self) -> None:
        """Its scope has been entered; a stop that came before takes effect now."""
        self._begun = True
        if self.stopped_because is not None:
            self._end_scope()

    def stop(self, because: StopReason) -> None:
        """End the run (its child is killed), because of a cancel, a drain or a lost lease."""
        if self.stoppable and self.stopped_because is None:
            self.stopped_because = because
            if self._begun:
                self._end_scope()

    def _end_scope(self) -> None:
        self.scope.reschedule(asyncio.get_running_loop().time())

    def progressed(self, progress: Progress) -> None:
        self._progress = progress

    def take_progress(self) -> Progress | None:
        progress, self._progress = self._progress, None
        return progress


def backoff_seconds(job: Job) -> float:
    """Seconds until the next attempt: doubling, with a jitter of up to a quarter."""
    seconds = job.backoff * 2.0 ** (job.attempt_count - 1)
    return min(seconds, _MAX_BACKOFF_SECONDS) * random.uniform(1.0, 1.25)  # noqa: S311


def _usage(outcome: Outcome) -> Usage:
    usage = outcome.usage
    if usage is None:
        return Usage()
    return Usage(pid=usage.pid, cpu_seconds=usage.cpu_seconds, peak_bytes=usage.peak_bytes)


def _job_file(file: StoredFile) -> JobFile:
    return JobFile(
        id=file.id,
        filename=file.filename,
        content_type=file.content_type,
        size=file.size,
        expires_at=file.expires_at,
    )
