"""The document of a durable job: what was asked for, how it goes, and every attempt at it.

::

    scheduled ─┐                      ┌─→ completed
    available ─┼─ claim → executing ──┼─→ discarded
    retryable ─┘     ↑        │       └─→ cancelled
        ↑            └────────┤ release, rescue (to available)
        └─────────────────────┘ retry
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from bson import ObjectId
from msgspec import Meta, field
from pymongo import IndexModel

from shared.models.errors import InvalidDocument
from shared.models.payloads import decode_payload, encode_payload
from shared.models.schema import Collection
from shared.models.types import (
    Count,
    Document,
    Timestamp,
    from_document,
    to_document,
    to_milliseconds,
)

State = Literal[
    "scheduled", "available", "executing", "retryable", "completed", "cancelled", "discarded"
]
WAITING: tuple[State, ...] = ("available", "scheduled", "retryable")
UNFINISHED: tuple[State, ...] = (*WAITING, "executing")
FINISHED: tuple[State, ...] = ("completed", "cancelled", "discarded")

Outcome = Literal["completed", "failed", "discarded", "cancelled", "released", "lost"]

Key = Annotated[str, Meta(min_length=1, max_length=200)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of what a job's document consists of."""


class JobError(_Part, frozen=True, kw_only=True, rename="camel"):
    """Why an attempt, or a job, did not succeed."""

    kind: str
    """Of a closed list: failed, discarded, crashed, time-limit, memory-limit, lost."""
    code: str
    """A short slug for programs."""
    message: str
    """For the person who asked."""
    traceback: str = ""
    """For operators only."""


class Usage(_Part, frozen=True, kw_only=True, rename="camel"):
    """What an attempt used."""

    pid: int | None = None
    """The child it ran in."""
    cpu_seconds: float | None = None
    peak_bytes: int | None = None


class Attempt(_Part, frozen=True, kw_only=True, rename="camel"):
    """One try at a job."""

    n: int
    """Counts from 1 over the job's whole history, also over a run again."""
    token: str
    """Of the lease it ran under: every write about the attempt names it."""
    service: str
    """The jobs service that claimed it."""
    started_at: Timestamp
    ended_at: Timestamp | None = None
    outcome: Outcome | None = None
    """None while it runs."""
    error: JobError | None = None
    pid: int | None = None
    cpu_seconds: float | None = None
    peak_bytes: int | None = None


class Lease(_Part, frozen=True, kw_only=True, rename="camel"):
    """A jobs service's time-limited claim on a job."""

    token: str
    service: str
    expires_at: Timestamp


class JobProgress(_Part, frozen=True, kw_only=True, rename="camel"):
    """How far an attempt is; ``total`` is None while nobody knows."""

    done: float
    total: float | None = None
    note: str = ""


class JobFile(_Part, frozen=True, kw_only=True, rename="camel"):
    """A file that a job made."""

    id: ObjectId
    filename: str
    content_type: str
    size: Count
    """Bytes."""
    expires_at: Timestamp | None = None
    """From then on it is gone; None: it stays."""


class Job(_Part, frozen=True, kw_only=True, rename="camel"):
    """A durable document that asks for one run of a job type, sooner or later."""

    id: ObjectId = field(name="_id")
    type: str
    params: dict[str, Any]
    owner: ObjectId | None
    """None: the system's own."""
    state: State
    queue: str = "default"
    priority: int = 0
    """Lower is sooner."""
    key: Key | None = None
    """Unique among its owner's unfinished jobs."""
    run_at: Timestamp
    """Not before this moment, where the state is scheduled or retryable."""
    max_attempts: Annotated[int, Meta(ge=1)]
    backoff: Annotated[float, Meta(ge=0)]
    """Seconds before the second attempt; doubles with each further one."""
    timeout: Annotated[float, Meta(gt=0)]
    """Seconds that one attempt may take."""
    attempt_count: Count = 0
    """Attempts used up since it was submitted or run again; released ones don't count."""
    attempts: tuple[Attempt, ...] = ()
    """The last 50, oldest first."""
    lease: Lease | None = None
    """Only while executing."""
    progress: JobProgress | None = None
    result: Any = None
    files: tuple[JobFile, ...] = ()
    error: JobError | None = None
    """Why it waits for another attempt, or was given up."""
    cancel_requested: bool = False
    """The service that runs it is to stop it."""
    created_at: Timestamp
    started_at: Timestamp | None = None
    """Of the last attempt."""
    ended_at: Timestamp | None = None
    """Only when finished."""
    expires_at: Timestamp | None = None
    """When the document may be deleted; only when finished."""

    @property
    def token(self) -> str:
        """The lease's token, of a job that was just claimed.

        Raises:
            ValueError: the job is not executing.
        """
        if self.lease is None:
            raise ValueError(f"job {self.id} has no lease: it is {self.state}")
        return self.lease.token


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to submit."""

    type: str
    params: dict[str, Any]
    owner: ObjectId | None
    queue: str = "default"
    priority: int = 0
    key: str | None = None
    run_at: datetime | None = None
    """At once when not given."""
    max_attempts: int = 5
    backoff: float = 1.0
    timeout: float = 60.0

    def at(self, now: datetime) -> Job:
        """The job that this makes when it is submitted ``now``.

        Raises:
            InvalidDocument: ``run_at`` has no time zone.
        """
        run_at = now if self.run_at is None else to_milliseconds(self.run_at)
        if run_at.tzinfo is None:
            raise InvalidDocument("run_at has no time zone")
        return Job(
            id=ObjectId(),
            type=self.type,
            params=self.params,
            owner=self.owner,
            state="scheduled" if run_at > now else "available",
            queue=self.queue,
            priority=self.priority,
            key=self.key,
            run_at=run_at,
            max_attempts=self.max_attempts,
            backoff=self.backoff,
            timeout=self.timeout,
            created_at=now,
        )


def job_to_document(job: Job) -> Document:
    """The document that a job is stored as.

    Raises:
        InvalidDocument: a field does not have its type; of params and result, see
            :func:`shared.models.payloads.encode_payload`.
    """
    params = encode_payload(job.params, "params")
    result = encode_payload(job.result, "result")
    return to_document(msgspec.structs.replace(job, params=params, result=result))


def job_from_document(document: Document) -> Job:
    """The job that a stored document stands for.

    Raises:
        MalformedDocument: it does not have a job's shape.
    """
    job = from_document(document, Job, JOBS.name)
    return msgspec.structs.replace(
        job, params=decode_payload(job.params), result=decode_payload(job.result)
    )


def _while_in(*states: State) -> Document:
    """An index only over jobs in these states: it stays as small as the work to do."""
    return {"state": {"$in": list(states)}}


JOBS = Collection(
    "jobs",
    Job,
    (
        # Equality on state and type, then the order in which jobs are claimed: the scans of
        # each state and type are merged in order, and end with the batch.
        IndexModel(
            [("state", 1), ("type", 1), ("priority", 1), ("runAt", 1), ("_id", 1)],
            name="claim",
            partialFilterExpression=_while_in(*WAITING),
        ),
        IndexModel(
            [("type", 1), ("runAt", 1)],
            name="next",
            partialFilterExpression=_while_in("scheduled", "retryable"),
        ),
        IndexModel(
            [("lease.expiresAt", 1)],
            name="lease",
            partialFilterExpression={"state": "executing"},
        ),
        IndexModel(
            [("owner", 1), ("key", 1)],
            name="unique_key",
            unique=True,
            partialFilterExpression={"key": {"$type": "string"}, **_while_in(*UNFINISHED)},
        ),
        IndexModel([("owner", 1), ("_id", -1)], name="mine"),
        IndexModel([("expiresAt", 1)], name="expiry", expireAfterSeconds=0),
    ),
)
