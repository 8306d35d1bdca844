"""The state changes of a job, as update pipelines.

They are pipelines, not plain updates, for what only the server knows at that moment: its
clock (``$$NOW``, the one that leases are measured by, so that the clocks of the services
do not matter), and whether somebody asked to cancel in the meantime.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from bson import ObjectId

from shared.models.database import Stage
from shared.models.jobs import (
    FINISHED,
    Attempt,
    JobError,
    JobFile,
    Outcome,
    State,
    Usage,
)
from shared.models.types import Document, now, to_document

Pipeline = list[Stage]

MAX_ATTEMPTS_KEPT = 50
MAX_TRACEBACK_CHARACTERS = 16_000
MAX_MESSAGE_CHARACTERS = 2_000

LOST = JobError(
    kind="lost", code="lost", message="The service that ran it did not renew its lease in time."
)


def claimable(types: list[str]) -> Document:
    """Jobs of these types that may start now.

    An available job may, whatever its ``runAt`` says: that was set by the clock of who
    submitted it. One branch per state, for only then does MongoDB merge the index scans
    in order instead of sorting (up to 200 of them, which is 66 types).
    """
    of_type = {"type": {"$in": types}}
    due = {"$expr": {"$lte": ["$runAt", "$$NOW"]}}
    return {
        "$or": [
            {"state": "available", **of_type},
            {"state": "scheduled", **of_type, **due},
            {"state": "retryable", **of_type, **due},
        ]
    }


def held(job_id: ObjectId, token: str) -> Document:
    """The job, as long as the lease with this token holds."""
    return {"_id": job_id, "state": "executing", "lease.token": token}


def expired() -> Document:
    """Jobs whose lease ran out."""
    return {"state": "executing", "$expr": {"$lt": ["$lease.expiresAt", "$$NOW"]}}


def claimed(service: str, token: str, lease_seconds: float) -> Pipeline:
    """Waiting → executing, with a lease and a new attempt."""
    whose = {"token": token, "service": service}
    attempt = to_document(Attempt(n=0, token=token, service=service, started_at=now()))
    number = {"$add": [{"$ifNull": [{"$last": "$attempts.n"}, 0]}, 1]}
    started = {"$mergeObjects": [{"$literal": attempt}, {"n": number, "startedAt": "$$NOW"}]}
    return [
        {
            "$set": {
                "state": "executing",
                "lease": {
                    "$mergeObjects": [{"$literal": whose}, {"expiresAt": _in(lease_seconds)}]
                },
                "attemptCount": {"$add": ["$attemptCount", 1]},
                "attempts": {
                    "$slice": [{"$concatArrays": ["$attempts", [started]]}, -MAX_ATTEMPTS_KEPT]
                },
                "startedAt": "$$NOW",
                "progress": None,
                "error": None,
            }
        }
    ]


def renewed(lease_seconds: float) -> Pipeline:
    """The lease holds from now for so long."""
    return [{"$set": {"lease.expiresAt": _in(lease_seconds)}}]


def completed(result: Any, files: tuple[JobFile, ...], usage: Usage, keep: timedelta) -> Pipeline:
    """Executing → completed. ``result`` is an encoded payload."""
    done = {
        "state": "completed",
        "result": {"$literal": result},
        "files": {"$literal": [to_document(file) for file in files]},
    }
    return _ended("completed", done, keep, usage=usage)


def retried(
    run_at: datetime | timedelta, error: JobError, usage: Usage, keep: timedelta
) -> Pipeline:
    """Executing → retryable, or cancelled if that was asked for."""
    moment = _in(run_at.total_seconds()) if isinstance(run_at, timedelta) else run_at
    waiting = {"state": _unless_cancelled("retryable"), "runAt": moment, "error": _literal(error)}
    return _ended("failed", waiting, keep, error=error, usage=usage)


def discarded(error: JobError, usage: Usage, keep: timedelta) -> Pipeline:
    """Executing → discarded."""
    given_up = {"state": "discarded", "error": _literal(error)}
    return _ended("discarded", given_up, keep, error=error, usage=usage)


def cancelled(usage: Usage, keep: timedelta) -> Pipeline:
    """Executing → cancelled."""
    return _ended("cancelled", {"state": "cancelled"}, keep, usage=usage)


def released(keep: timedelta) -> Pipeline:
    """Executing → available as if never claimed, or cancelled if that was asked for.

    ``runAt`` stays, and with it the place in the line.
    """
    back = {
        "state": _unless_cancelled("available"),
        "attemptCount": {"$max": [0, {"$subtract": ["$attemptCount", 1]}]},
    }
    return _ended("released", back, keep)


def rescued(keep: timedelta) -> Pipeline:
    """Executing → available, or discarded after the last attempt, or cancelled if asked for."""
    used_up = {"$gte": ["$attemptCount", "$maxAttempts"]}
    state = _unless_cancelled({"$cond": [used_up, "discarded", "available"]})
    return _ended("lost", {"state": state, "error": _literal(LOST)}, keep, error=LOST)


def cancel_requested(keep: timedelta) -> Pipeline:
    """Waiting → cancelled; an executing job is marked for the service that runs it."""
    executing = {"$eq": ["$state", "executing"]}
    return [
        {
            "$set": {
                "cancelRequested": True,
                "state": {"$cond": [executing, "executing", "cancelled"]},
            }
        },
        _finish(keep),
    ]


def run_again() -> Pipeline:
    """Finished → available, with all its attempts before it again; the history stays."""
    return [
        {
            "$set": {
                "state": "available",
                "runAt": "$$NOW",
                "attemptCount": 0,
                "progress": None,
                "result": None,
                "files": [],
                "error": None,
                "cancelRequested": False,
                "startedAt": None,
                "endedAt": None,
                "expiresAt": None,
            }
        }
    ]


def _ended(
    outcome: Outcome,
    fields: Document,
    keep: timedelta,
    *,
    error: JobError | None = None,
    usage: Usage | None = None,
) -> Pipeline:
    """The attempt under the present lease is over, and the job changes by ``fields``."""
    ending = {
        "endedAt": "$$NOW",
        "outcome": outcome,
        "error": _literal(error),
        **to_document(usage or Usage()),
    }
    attempts = {
        "$map": {
            "input": "$attempts",
            "as": "attempt",
            "in": {
                "$cond": [
                    {"$eq": ["$$attempt.token", "$lease.token"]},
                    {"$mergeObjects": ["$$attempt", ending]},
                    "$$attempt",
                ]
            },
        }
    }
    return [{"$set": {"attempts": attempts, "lease": None, "error": None, **fields}}, _finish(keep)]


def _finish(keep: timedelta) -> Stage:
    """Where the new state is a final one: since now, and for so long."""
    final = {"$in": ["$state", list(FINISHED)]}
    return {
        "$set": {
            "endedAt": {"$cond": [final, "$$NOW", None]},
            "expiresAt": {"$cond": [final, _in(keep.total_seconds()), None]},
        }
    }


def _unless_cancelled(state: State | Document) -> Document:
    return {"$cond": ["$cancelRequested", "cancelled", state]}


def _in(seconds: float) -> Document:
    """That long after the server's now."""
    return {"$add": ["$$NOW", round(seconds * 1000)]}


def _literal(error: JobError | None) -> Document:
    """The error as a constant (its texts may start with ``$``), cut to what can be kept."""
    if error is None:
        return {"$literal": None}
    bounded = msgspec.structs.replace(
        error,
        message=storable(error.message)[:MAX_MESSAGE_CHARACTERS],
        # The end of a traceback says what happened.
        traceback=storable(error.traceback)[-MAX_TRACEBACK_CHARACTERS:],
    )
    return {"$literal": to_document(bounded)}


def storable(text: str) -> str:
    """The text without what UTF-8 can't hold (an exception may quote any bytes)."""
    return text.encode("utf-8", "replace").decode()
