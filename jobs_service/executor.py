"""Runs one job type once, for calls and durable jobs alike: request in, outcome out.

Look up, validate, fetch the inputs, run in the pool or on the loop, check the result,
store the outputs. What the outcome means (an answer, a retry, an error page) is for the
caller to decide; here every way a run can end becomes one :class:`Outcome`.
"""

import asyncio
import os
import secrets
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal

import msgspec
import structlog
from bson import ObjectId
from prometheus_client import CollectorRegistry, Histogram

from jobs_service import memfd
from jobs_service.job import Discard, Input, Job, Progress, Run
from jobs_service.pool.pool import Pool
from jobs_service.pool.work import FailureKind, Finished, OutputFile, RunFailed, Usage, Work
from shared.contracts.contract import Contract
from shared.contracts.files import file_ids_in
from shared.models.file_store import FileStore
from shared.models.files import StoredFile
from shared.models.types import ANY, now

log = structlog.get_logger()

OnProgress = Callable[[Progress], None]

OutcomeKind = Literal["completed", "cancelled"] | FailureKind

_MAX_OUTPUT_BYTES = 1 << 30


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, for whom."""

    type: str
    params: Mapping[str, Any]
    """As they came over the wire: camelCase, not yet checked."""
    run_id: str
    owner: ObjectId | None = None
    """Whose files may be read, and who owns the outputs; None may read all."""
    attempt: int = 1
    time_limit: float | None = None
    """Seconds; shortens the contract's, never lengthens it."""
    job: ObjectId | None = None
    """The durable job that this is an attempt at; None for a call, which goes before those."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. Only ``completed`` has a result; the others have a code and message."""

    kind: OutcomeKind
    result: Any = None
    """Builtin types with camelCase keys, as they go on the wire."""
    files: tuple[StoredFile, ...] = ()
    code: str = ""
    """For programs: ``"bad-image"``, ``"time-limit"``, ``"crashed"``."""
    message: str = ""
    traceback: str = ""
    """For operators and the job's author; never for the person who asked."""
    usage: Usage | None = None

    @property
    def permanent(self) -> bool:
        """Whether another attempt would end the same way."""
        return self.kind == "discarded"


class Executor:
    """Knows the job types, the pool and the files; has no state of its own beyond metrics."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        pool: Pool,
        files: FileStore,
        *,
        database_url: str,
        keep_files_for: timedelta,
        registry: CollectorRegistry,
    ) -> None:
        self.jobs = jobs
        self._pool = pool
        self._files = files
        self._database_url = database_url
        self._keep_files_for = keep_files_for
        self._seed_prefix = secrets.token_bytes(5)
        self._seed_numbers = count()
        self._timers: dict[tuple[str, OutcomeKind], Histogram] = {}
        self._seconds = Histogram(
            "tandem_run_seconds",
            "Runs by how they ended, and their seconds.",
            ["type", "kind"],
            registry=registry,
        )

    async def run(self, request: Request, on_progress: OnProgress | None = None) -> Outcome:
        """Run ``request`` to its end, whatever that is.

        Raises nothing but ``CancelledError``: cancelling it kills the child and leaves no
        files behind.
        """
        job = self.jobs.get(request.type)
        if job is None:
            return _discarded("unknown-type", f"There is no job type {request.type!r} here.")
        started = time.perf_counter()
        try:
            outcome = await self._run(job, request, on_progress)
        except asyncio.CancelledError:
            self._record(job.name, "cancelled", started)
            raise
        self._record(job.name, outcome.kind, started)
        if outcome.kind not in ("completed", "discarded"):
            _log_failure(request, outcome)
        return outcome

    async def _run(self, job: Job, request: Request, on_progress: OnProgress | None) -> Outcome:
        try:
            params = msgspec.convert(request.params, job.contract)
        except msgspec.ValidationError as error:
            return _discarded("bad-params", str(error))
        try:
            inputs = await self._fetch_all(file_ids_in(params), request.owner)
            try:
                if job.on_loop:
                    return await self._run_on_loop(job, params, inputs, request, on_progress)
                return await self._run_in_pool(job, params, inputs, request, on_progress)
            finally:
                _close(inputs)
        except Discard as refused:
            return _discarded(refused.code, refused.reason)
        except RunFailed as failure:
            return Outcome(
                kind=failure.kind,
                code=failure.code,
                message=failure.message,
                traceback=failure.traceback,
                usage=failure.usage,
            )
        except Exception as error:  # noqa: BLE001 - told in the outcome
            # The service's own part failed: the database is away, a result can't be stored.
            return _failed(error)

    async def _run_in_pool(
        self,
        job: Job,
        params: Contract[Any],
        inputs: tuple[Input, ...],
        request: Request,
        on_progress: OnProgress | None,
    ) -> Outcome:
        policy = job.contract.policy
        work = Work(
            job=job.name,
            params=msgspec.msgpack.encode(params),
            inputs=inputs,
            run_id=request.run_id,
            attempt=request.attempt,
            files_seed=self._new_files_seed(),
            time_limit=_time_limit(policy.timeout, request.time_limit),
            database_url=self._database_url if policy.database else "",
            urgent=request.job is None,
        )
        finished = await self._pool.run(work, on_progress)
        try:
            result = _checked_result(job, finished)
            files = await self._store(finished.outputs, request)
        finally:
            _close(finished.outputs)
        return Outcome(kind="completed", result=result, files=files, usage=finished.usage)

    async def _run_on_loop(
        self,
        job: Job,
        params: Contract[Any],
        inputs: tuple[Input, ...],
        request: Request,
        on_progress: OnProgress | None,
    ) -> Outcome:
        run = Run(
            run_id=request.run_id,
            attempt=request.attempt,
            files_seed=self._new_files_seed(),
            inputs={file.id: file for file in inputs},
            report=on_progress or _ignore,
        )
        seconds = _time_limit(job.contract.policy.timeout, request.time_limit)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                value = await job.function(params, run)
        except TimeoutError as error:
            if limit.expired():
                message = f"It took longer than {seconds:g} s."
                return Outcome(kind="time-limit", code="time-limit", message=message)
            return _failed(error)
        return Outcome(kind="completed", result=_builtins(value))

    async def _fetch_all(
        self, file_ids: Iterable[str], owner: ObjectId | None
    ) -> tuple[Input, ...]:
        """The files, each in a sealed memfd that the caller closes.

        Raises:
            Discard: there is no such file, or it belongs to someone else.
        """
        inputs: list[Input] = []
        try:
            for file_id in file_ids:
                inputs.append(await self._fetch(file_id, owner))
        except BaseException:
            _close(inputs)
            raise
        return tuple(inputs)

    async def _fetch(self, file_id: str, owner: ObjectId | None) -> Input:
        stored = await self._files.get(ObjectId(file_id), ANY if owner is None else owner)
        if stored is None:
            raise Discard("file-not-found", f"There is no file {file_id}; it may have expired.")
        fd = memfd.create("input")
        try:
            await self._files.read_into(stored.id, fd)
            memfd.seal(fd)
        except BaseException:
            os.close(fd)
            raise
        return Input(
            id=file_id,
            fd=fd,
            filename=stored.filename,
            content_type=stored.content_type,
            size=stored.size,
        )

    async def _store(
        self, outputs: tuple[OutputFile, ...], request: Request
    ) -> tuple[StoredFile, ...]:
        """Keep a run's outputs for its owner: all of them, or none."""
        if not outputs:
            return ()
        stored: list[StoredFile] = []
        expires_at = now() + self._keep_files_for
        try:
            for output in outputs:
                stored.append(
                    await self._files.create_from_fd(
                        output.fd,
                        output.filename,
                        output.content_type,
                        request.owner,
                        limit=_MAX_OUTPUT_BYTES,
                        expires_at=expires_at,
                        file_id=ObjectId(output.id),
                        job=request.job,
                    )
                )
        except BaseException:
            await asyncio.shield(self.forget(stored))
            raise
        return tuple(stored)

    async def forget(self, files: Iterable[StoredFile]) -> None:
        """Delete outputs that nobody will be told of."""
        for file in files:
            await self._files.delete(file.id, ANY)

    def _new_files_seed(self) -> bytes:
        """Nine bytes that no other run has; a random number each would cost a system call."""
        return self._seed_prefix + (next(self._seed_numbers) % 2**32).to_bytes(4, "big")

    def _record(self, job_type: str, kind: OutcomeKind, started: float) -> None:
        # A look-up of labels takes longer than what it is for, so it is done once for each.
        timer = self._timers.get((job_type, kind))
        if timer is None:
            timer = self._timers[job_type, kind] = self._seconds.labels(job_type, kind)
        timer.observe(time.perf_counter() - started)


def _log_failure(request: Request, outcome: Outcome) -> None:
    log.warning(
        f"run.{outcome.kind}",
        type=request.type,
        run=request.run_id,
        attempt=request.attempt,
        code=outcome.code,
        message=outcome.message,
        traceback=outcome.traceback,
    )


def _checked_result(job: Job, finished: Finished) -> Any:
    """The result in builtin types, once it is what the contract promises.

    Raises:
        RunFailed: it is not. A child that handles untrusted bytes is not trusted either.
    """
    try:
        return _builtins(msgspec.msgpack.decode(finished.value, type=job.contract.result))
    except msgspec.MsgspecError as error:
        raise RunFailed(
            "failed", "bad-result", f"{job.name} returned what its contract does not allow: {error}"
        ) from error


def _builtins(value: Any) -> Any:
    return msgspec.to_builtins(value, builtin_types=(bytes, datetime))


def _time_limit(contract_seconds: float, asked_seconds: float | None) -> float:
    return contract_seconds if asked_seconds is None else min(contract_seconds, asked_seconds)


def _discarded(code: str, message: str) -> Outcome:
    return Outcome(kind="discarded", code=code, message=message)


def _failed(error: Exception) -> Outcome:
    return Outcome(
        kind="failed",
        code=type(error).__name__,
        message=str(error),
        traceback="".join(traceback.format_exception(error)),
    )


def _close(files: Iterable[Input | OutputFile]) -> None:
    for file in files:
        os.close(file.fd)


def _ignore(_progress: Progress) -> None:
    """Nobody asked to be told."""
