"""The one module that talks to the jobs service: calls over DDP, durable jobs by insert.

``await jobs.call(request)`` waits for the result; ``await jobs.submit(request)`` stores a
job and returns at once, also while every jobs service is down.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from bson import ObjectId

from shared.contracts.contract import Contract
from shared.contracts.files import file_ids_in
from shared.models.file_store import FileStore
from shared.models.job_store import JobStore
from shared.models.jobs import Job, NewJob
from shared.rpc.calling import OnProgress
from shared.rpc.client import Client
from shared.rpc.errors import CallTimeout, ConnectionLost, EjsonError, MethodError

Result = TypeVar("Result")

_UNREACHABLE = "The jobs service can't be reached just now."
_TOO_LATE = "The call was not done by its deadline."
_LINE_SECONDS = 5.0
RETRY_AFTER_SECONDS = 2


class JobsUnavailable(Exception):
    """No jobs service can take this call now.

    ``code`` is ``jobs-unavailable`` when none is connected, ``busy`` when they are full.
    """

    def __init__(
        self,
        message: str,
        code: str = "jobs-unavailable",
        retry_after: float = RETRY_AFTER_SECONDS,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        """Seconds after which it is worth trying again."""


class CallFailed(Exception):
    """The jobs service answered that the call failed.

    ``code`` is the job's own (``"bad-image"``) when ``kind`` is ``discarded``; else it
    says what ended the run: ``failed crashed time-limit memory-limit deadline cancelled``.
    """

    def __init__(self, code: str, message: str, kind: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind = kind


class UnknownJobType(Exception):
    """Nobody offers a job type of that name."""


class BadParams(Exception):
    """The parameters are not what the contract asks for; the message names the path."""


class SubmitRequest(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What programs send to submit a job: by ``POST /api/jobs`` and DDP's ``jobs.submit``."""

    type: str
    params: dict[str, Any] = {}
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    run_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0
    """Lower is sooner."""

    def __post_init__(self) -> None:
        if self.run_at is not None and not 1970 <= self.run_at.year <= 9000:
            raise ValueError("runAt must be from 1970 to 9000")  # also in every time zone


class Jobs:
    """The door to the jobs services: knows what can be asked for, and asks."""

    def __init__(
        self,
        contracts: Mapping[str, type[Contract[Any]]],
        clients: Sequence[Client],
        store: JobStore,
        files: FileStore,
    ) -> None:
        self.contracts = contracts
        self._clients = clients
        self._store = store
        self._files = files
        self._in_flight = dict.fromkeys(clients, 0)
        self._background = asyncio.TaskGroup()

    async def run(self) -> None:
        """Give the durable jobs' hints a home, until cancelled."""
        async with self._background:
            await asyncio.Event().wait()

    @property
    def available(self) -> bool:
        """Whether a jobs service is connected now."""
        return any(client.status == "connected" for client in self._clients)

    def request(self, job_type: str, params: Mapping[str, Any]) -> Contract[Any]:
        """The typed request for ``job_type``, its parameters checked.

        Raises:
            UnknownJobType, BadParams
        """
        if (contract := self.contracts.get(job_type)) is None:
            raise UnknownJobType(job_type)
        try:
            request: Contract[Any] = msgspec.convert(params, contract)
        except msgspec.ValidationError as error:
            raise BadParams(str(error)) from None
        return request

    async def call(
        self,
        request: Contract[Result],
        *,
        owner: ObjectId | None = None,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Result:
        """Run ``request`` now and wait for its result.

        ``deadline`` is in seconds from now, waiting in line included; by default what the
        contract allows a run, and some seconds for the line. Cancelling this coroutine
        kills the run.

        Raises:
            BadParams: a parameter can't be passed on.
            JobsUnavailable: no jobs service is connected, or they are all too busy.
            CallFailed: it ran, or was refused, and this is what it said.
            ConnectionLost: the connection broke while it ran.
        """
        seconds = deadline or request.policy.timeout + _LINE_SECONDS
        params = _wire_params(request)
        client = self._least_loaded()
        self._in_flight[client] += 1
        try:
            result = await client.call(
                "jobs.call",
                {
                    "type": request.policy.name,
                    "params": params,
                    "owner": None if owner is None else str(owner),
                    "deadlineMs": seconds * 1000,  # for a jobs service that speaks version 1
                },
                deadline=seconds,
                on_progress=on_progress,
            )
        except MethodError as error:
            raise _failure(error) from error
        except EjsonError as error:
            raise BadParams(str(error)) from None
        except ConnectionLost as error:
            if error.may_have_run:
                raise
            raise JobsUnavailable(_UNREACHABLE) from error
        except CallTimeout:
            raise CallFailed("deadline", _TOO_LATE, "deadline") from None
        finally:
            self._in_flight[client] -= 1
        return msgspec.convert(result, request.result)  # type: ignore[no-any-return]

    async def submit(
        self,
        request: Contract[Any],
        *,
        owner: ObjectId | None = None,
        key: str | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
    ) -> Job:
        """Store a durable job and return it; it runs once a jobs service is there.

        A second submit with the same ``key`` of one owner returns the first one's job while
        that is unfinished.
        """
        policy = request.policy
        job = await self._store.submit(
            NewJob(
                type=policy.name,
                params=_wire_params(request),
                owner=owner,
                key=key,
                run_at=run_at,
                priority=priority,
                timeout=policy.timeout,
                max_attempts=policy.max_attempts,
                backoff=policy.backoff,
            )
        )
        for client in self._clients:
            if client.status == "connected":
                self._background.create_task(_quietly(client.call("jobs.hint")))
        return job

    async def submit_for(self, owner: ObjectId, asked: SubmitRequest) -> Job:
        """Submit what a program asked for on behalf of ``owner``.

        Raises:
            UnknownJobType, BadParams
            CallFailed: ``file-not-found``, a parameter names no file of this owner.
        """
        request = self.request(asked.type, asked.params)
        for file_id in file_ids_in(request):
            if await self._files.get(ObjectId(file_id), owner) is None:
                message = f"There is no file {file_id}; it may have expired."
                raise CallFailed("file-not-found", message, "discarded")
        return await self.submit(
            request, owner=owner, key=asked.key, run_at=asked.run_at, priority=asked.priority
        )

    def _least_loaded(self) -> Client:
        """The connected client with the fewest of our calls in flight."""
        connected = [client for client in self._clients if client.status == "connected"]
        if not connected:
            raise JobsUnavailable(_UNREACHABLE)
        return min(connected, key=self._in_flight.__getitem__)


async def _quietly(call: Any) -> None:
    """A message whose failure changes nothing: the other end ends it by itself."""
    with contextlib.suppress(ConnectionLost, MethodError):
        await call


def _failure(error: MethodError) -> Exception:
    if error.error == "busy":
        return JobsUnavailable(error.reason, "busy", error.details["retryAfterMs"] / 1000)
    details = error.details if isinstance(error.details, dict) else {}
    code = str(error.error)
    return CallFailed(code, error.reason, details.get("kind", code))


def _wire_params(request: Contract[Any]) -> dict[str, Any]:
    """The parameters in builtin types.

    Raises:
        BadParams: an ``Any`` of the contract holds what can't be passed on.
    """
    try:
        params: dict[str, Any] = msgspec.to_builtins(request, builtin_types=(bytes, datetime))
    except RecursionError:
        raise BadParams("the parameters are nested too deeply") from None
    except TypeError as error:
        raise BadParams(str(error)) from None
    return params
