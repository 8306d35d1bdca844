"""Jobs for the tests of the job store."""

from typing import Any

from bson import ObjectId

from shared.models.database import Database
from shared.models.job_store import JobStore
from shared.models.jobs import Job, JobError, NewJob

FAILED = JobError(kind="failed", code="ValueError", message="$no such thing", traceback="…")
ME, SOMEBODY_ELSE = ObjectId(), ObjectId()
LEASE_SECONDS = 60.0


def new(**changes: Any) -> NewJob:
    """A job of mine."""
    fields: dict[str, Any] = {"type": "a", "params": {}, "owner": ME}
    return NewJob(**(fields | changes))


async def submitted_and_claimed(store: JobStore, **changes: Any) -> Job:
    """A job that is executing."""
    submitted = await store.submit(new(**changes))
    claimed = await store.claim("service-1", ["a"], 1, LEASE_SECONDS)
    assert [job.id for job in claimed] == [submitted.id]
    return claimed[0]


async def let_leases_expire(database: Database) -> None:
    """As if nobody had renewed for a long time: an hour passes for the leases, by the server."""
    earlier = {"$set": {"lease.expiresAt": {"$subtract": ["$$NOW", 1]}}}
    await database.collection("jobs").update_many({"state": "executing"}, [earlier])


async def make_due(database: Database, job: Job) -> None:
    """As if the moment for which a job is scheduled had come."""
    due = {"$set": {"runAt": {"$subtract": ["$$NOW", 1]}}}
    await database.collection("jobs").update_one({"_id": job.id}, [due])
