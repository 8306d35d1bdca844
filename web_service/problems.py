"""Errors as people and programs get them: ``application/problem+json`` with a code (RFC 9457)."""

import functools
import http
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pymongo.errors import PyMongoError

from shared.models.errors import InvalidPayload, KeyTaken
from shared.rpc.errors import ConnectionLost, MethodError
from shared.rpc.server import MethodContext, Subscription
from web_service.jobs import (
    RETRY_AFTER_SECONDS,
    BadParams,
    CallFailed,
    JobsUnavailable,
    UnknownJobType,
)

log = structlog.get_logger()

_CALL_STATUS = {
    "time-limit": 504,
    "deadline": 504,
    "cancelled": 409,
    "crashed": 500,
    "memory-limit": 500,
    "failed": 500,
}
_CODE_STATUS = {"file-not-found": 404, "unknown-type": 404, "bad-params": 400, "empty-file": 400}


class Problem(Exception):
    """An answer that is an error; handlers raise it, the middleware sends it."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after: float | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.extra = extra

    def response(self) -> web.Response:
        body = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return web.Response(
            status=self.status,
            body=orjson.dumps(body),
            content_type="application/problem+json",
            headers=headers,
        )


def not_found(what: str) -> Problem:
    """The same answer for what does not exist and for what belongs to somebody else."""
    return Problem(404, "not-found", f"There is no such {what}.")


def problem_of(error: Exception) -> Problem:
    """The problem that a person is told when ``error`` ended their request.

    What we did not foresee is logged under an id, and only the id is told.
    """
    for kind, problem in _FORESEEN.items():
        if isinstance(error, kind):
            return problem(error)
    incident = secrets.token_hex(6)
    log.error("request.failed", incident=incident, exc_info=error)
    return Problem(500, "internal", f"Something went wrong here. Incident {incident}.")


def _call_problem(error: CallFailed) -> Problem:
    status = _CODE_STATUS.get(error.code) or _CALL_STATUS.get(error.kind) or 422
    return Problem(status, error.code, error.message)


def _bad_body(error: Exception) -> Problem:
    # aiohttp's messages are "400, message:" and then what is wrong, with the bytes quoted.
    wrong = str(error).partition("message:")[2].strip().partition(": ")[0].partition("\n")[0]
    return Problem(400, "bad-body", f"The body can't be read: {wrong[:200]}")


def _unavailable(error: JobsUnavailable) -> Problem:
    return Problem(503, error.code, str(error), retry_after=error.retry_after)


def _connection_lost(_error: ConnectionLost) -> Problem:
    detail = "The connection to the jobs service broke; the work may have run."
    return Problem(503, "connection-lost", detail, retry_after=RETRY_AFTER_SECONDS)


def _database_unavailable(error: PyMongoError) -> Problem:
    log.warning("database.failed", error=str(error))
    detail = "The database can't be reached just now."
    return Problem(503, "database-unavailable", detail, retry_after=RETRY_AFTER_SECONDS)


_FORESEEN: dict[type[Exception], Callable[[Any], Problem]] = {
    Problem: lambda error: error,
    UnknownJobType: lambda error: Problem(400, "unknown-type", f"There is no job type {error}."),
    BadParams: lambda error: Problem(400, "bad-params", str(error)),
    InvalidPayload: lambda error: Problem(400, "bad-params", str(error)),
    KeyTaken: lambda _error: Problem(409, "key-taken", "Another unfinished job has the same key."),
    CallFailed: _call_problem,
    JobsUnavailable: _unavailable,
    ConnectionLost: _connection_lost,
    PyMongoError: _database_unavailable,
    HttpProcessingError: _bad_body,
    web.RequestPayloadError: _bad_body,
}


@web.middleware
async def problem_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn every error of a handler into a problem; aiohttp's own ones too."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:  # a redirect is no error
            raise
        problem = Problem(answer.status, _slug(answer.reason), answer.text or answer.reason)
        response = problem.response()
        _keep_allow(answer.headers, response)
        return response
    except Exception as error:
        if request.transport is None or request.transport.is_closing():
            raise
        return problem_of(error).response()


def telling(handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A method or publication, with this service's own errors as DDP errors of the same code."""

    @functools.wraps(handler)  # the server checks parameters by the handler's own signature
    async def told(context: MethodContext | Subscription, *params: Any) -> Any:
        try:
            return await handler(context, *params)
        except MethodError:
            raise
        except Exception as error:
            problem = problem_of(error)
            details = {"status": problem.status}
            raise MethodError(problem.code, problem.detail, details) from error

    return told


def _slug(reason: str) -> str:
    return reason.lower().replace(" ", "-")


def _keep_allow(headers: Mapping[str, str], response: web.Response) -> None:
    if "Allow" in headers:
        response.headers["Allow"] = headers["Allow"]
