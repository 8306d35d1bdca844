"""A job as its owner sees it, the same over HTTP and DDP."""

from typing import Any

import msgspec

from shared.models.jobs import Attempt, Job, JobError, JobFile


def job_view(job: Job) -> dict[str, Any]:
    """The job's public fields in builtin types; its ``id`` is not among them.

    Tracebacks, lease tokens and process ids stay inside.
    """
    return {
        "type": job.type,
        "state": job.state,
        "params": job.params,
        "progress": None if job.progress is None else msgspec.to_builtins(job.progress),
        "attemptCount": job.attempt_count,
        "maxAttempts": job.max_attempts,
        "attempts": [_attempt(attempt) for attempt in job.attempts],
        "result": job.result,
        "files": [_file(file) for file in job.files],
        "error": None if job.error is None else _error(job.error),
        "cancelRequested": job.cancel_requested,
        "createdAt": job.created_at,
        "runAt": job.run_at,
        "startedAt": job.started_at,
        "endedAt": job.ended_at,
        "expiresAt": job.expires_at,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "n": attempt.n,
        "startedAt": attempt.started_at,
        "endedAt": attempt.ended_at,
        "outcome": attempt.outcome,
        "error": None if attempt.error is None else _error(attempt.error),
    }


def _file(file: JobFile) -> dict[str, Any]:
    return {
        "id": str(file.id),
        "filename": file.filename,
        "contentType": file.content_type,
        "size": file.size,
        "expiresAt": file.expires_at,
    }


def _error(error: JobError) -> dict[str, str]:
    """What its owner is told: how an inside failed is for operators only."""
    if error.kind == "failed":
        return {"kind": "failed", "code": "failed", "message": "The job failed inside."}
    return {"kind": error.kind, "code": error.code, "message": error.message}
