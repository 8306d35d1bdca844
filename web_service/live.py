"""The browser's DDP end: methods and publications over an aiohttp WebSocket.

The same operations as the HTTP API, plus what only a live connection can do: lists that
follow the database, and the progress of one's own calls.
"""

from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from bson import ObjectId

from shared.models.files import StoredFile
from shared.models.job_store import JobStore
from shared.models.jobs import Job
from shared.rpc.calls import LongCalls, Report
from shared.rpc.errors import MethodError
from shared.rpc.server import Method, MethodContext, Publication, Subscription
from web_service.feed import Feed, Newest, One
from web_service.jobs import Jobs, SubmitRequest
from web_service.problems import telling

_MAX_LIST = 500
_DEFAULT_LIST = 50


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The optional last parameter of ``jobs.call``."""

    id: str = ""


class ListOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The optional parameter of ``jobs.mine`` and ``files.mine``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=_MAX_LIST)] = _DEFAULT_LIST


class Feeds(NamedTuple):
    """What lists can be followed."""

    jobs: Feed[Job]
    files: Feed[StoredFile]


class Live:
    """What browsers, and other DDP clients, can call and subscribe to."""

    def __init__(self, jobs: Jobs, store: JobStore, feeds: Feeds) -> None:
        self._jobs = jobs
        self._store = store
        self._feeds = feeds
        self._long_calls = LongCalls()

    @property
    def methods(self) -> Mapping[str, Method]:
        own: dict[str, Method] = {
            "jobs.call": self._call,
            "jobs.submit": self._submit,
            "jobs.cancel": self._cancel,
            "jobs.retry": self._run_again,
        }
        return {name: telling(method) for name, method in own.items()} | dict(
            self._long_calls.methods
        )

    @property
    def publications(self) -> Mapping[str, Publication]:
        own: dict[str, Publication] = {
            "files.mine": self._publish_files,
            "jobs.mine": self._publish_jobs,
            "jobs.one": self._publish_job,
        }
        return {name: telling(publication) for name, publication in own.items()} | dict(
            self._long_calls.publications
        )

    async def _call(
        self,
        context: MethodContext,
        job_type: str,
        params: dict[str, Any],
        options: CallOptions = CallOptions(),  # noqa: B008 - frozen
    ) -> Any:
        owner = _user_id(context)
        context.unblock()
        request = self._jobs.request(job_type, params)

        def work(report: Report) -> Awaitable[Any]:
            return self._jobs.call(request, owner=owner, on_progress=report)

        result = await self._long_calls.run(context.session, options.id, None, work)
        return msgspec.to_builtins(result, builtin_types=(bytes, datetime))

    async def _submit(self, context: MethodContext, asked: SubmitRequest) -> dict[str, str]:
        return {"id": str((await self._jobs.submit_for(_user_id(context), asked)).id)}

    async def _cancel(self, context: MethodContext, job_id: str) -> str:
        """The job's state now; one that is executing will be stopped."""
        return _found(await self._store.request_cancel(_object_id(job_id), _user_id(context))).state

    async def _run_again(self, context: MethodContext, job_id: str) -> None:
        job = _found(await self._store.run_again(_object_id(job_id), _user_id(context)))
        if job.state != "available":
            raise MethodError("not-ended", "Only a job that has ended can be run again.")

    async def _publish_jobs(
        self,
        sub: Subscription,
        options: ListOptions = ListOptions(),  # noqa: B008 - frozen
    ) -> None:
        await _publish_newest(self._feeds.jobs, sub, options)

    async def _publish_files(
        self,
        sub: Subscription,
        options: ListOptions = ListOptions(),  # noqa: B008 - frozen
    ) -> None:
        await _publish_newest(self._feeds.files, sub, options)

    async def _publish_job(self, sub: Subscription, job_id: str) -> None:
        try:
            await self._feeds.jobs.publish(sub, One(_user_id(sub), _object_id(job_id)))
        except LookupError:
            raise _no_such_job() from None


async def _publish_newest(feed: Feed[Any], sub: Subscription, options: ListOptions) -> None:
    if sub.user_id is None:
        # Meteor's way: an empty list now, and the real one once somebody logs in.
        sub.ready()
    else:
        await feed.publish(sub, Newest(ObjectId(sub.user_id), options.limit))


def _user_id(context: MethodContext | Subscription) -> ObjectId:
    if context.user_id is None:
        raise MethodError(401, "Please log in.")
    return ObjectId(context.user_id)


def _object_id(text: str) -> ObjectId:
    if not ObjectId.is_valid(text):
        raise _no_such_job()
    return ObjectId(text)


def _found(job: Job | None) -> Job:
    if job is None:
        raise _no_such_job()
    return job


def _no_such_job() -> MethodError:
    return MethodError(404, "There is no such job.")
