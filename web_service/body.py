"""Reads request bodies with their limits, and says clearly what is wrong with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, NamedTuple, TypeVar

import msgspec
import orjson
from aiohttp import BodyPartReader, MultipartReader, web
from bson import ObjectId

from web_service.problems import Problem

Body = TypeVar("Body")
Received = TypeVar("Received")

MAX_JSON_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 16
_SILENCE_SECONDS = 30.0
"""How long a sender may pause in the middle of a request."""


async def json_body(request: web.Request, body_type: type[Body]) -> Body:
    """The JSON body, as ``body_type``.

    Raises:
        Problem: 413 over 4 MiB; 400 not JSON, or not of that type (with the path).
    """
    text = await read_bounded(request, MAX_JSON_BYTES)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "bad-json", f"The body is not JSON: {error}.") from None
    try:
        return msgspec.convert(value, body_type)
    except msgspec.ValidationError as error:
        raise Problem(400, "bad-request", str(error)) from None


async def read_bounded(request: web.Request, limit: int) -> bytes:
    """The body, read no further than ``limit`` bytes whatever Content-Length says.

    Raises:
        Problem: 413, it is longer; 415, it is compressed; 408, the rest does not come.
    """
    _refuse_compression(request)
    parts = bytearray()
    while chunk := await _in_time(request.content.readany()):
        parts += chunk
        if len(parts) > limit:
            raise Problem(413, "too-large", f"A request may have {limit:,} bytes of JSON.")
    return bytes(parts)


def query_int(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number from the query string.

    Raises:
        Problem: 400, it is no number from ``low`` to ``high``.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise Problem(400, "bad-request", f"{name} must be a number from {low} to {high}.")
    return int(text)


def json_response(value: Any, status: int = 200) -> web.Response:
    """``value`` as JSON: structs under their wire names, dates as ISO 8601 in UTC."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(value, enc_hook=_encode),
        content_type="application/json",
    )


def _encode(value: Any) -> str:
    if isinstance(value, ObjectId):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form here")


class FilePart(NamedTuple):
    """The field ``file`` of a form that is being read."""

    form: MultipartReader
    part: BodyPartReader


async def file_part(request: web.Request, limit: int) -> FilePart:
    """The multipart field ``file``, ready to be read; fields before it are skipped.

    Raises:
        Problem: 413 announced with over ``limit`` bytes; 415 no multipart; 400 no such field.
    """
    if not request.content_type.startswith("multipart/"):
        raise Problem(415, "not-multipart", "Send the file as multipart/form-data, field 'file'.")
    _refuse_compression(request)
    if (request.content_length or 0) > limit + MAX_JSON_BYTES:
        raise too_large(limit)
    try:
        reader = await request.multipart()
        while (part := await _in_time(reader.next())) is not None:
            if isinstance(part, BodyPartReader) and part.name == "file":
                return FilePart(reader, part)
    except ValueError as error:
        raise Problem(400, "bad-multipart", f"The form can't be read: {error}.") from None
    raise Problem(400, "no-file", "The form has no field 'file'.")


async def file_chunks(file: FilePart) -> AsyncIterator[bytes]:
    """The field's bytes as they arrive; the whole is never in memory.

    Raises:
        Problem: 400, the form ended in the middle of the field; 408, nothing more came.
    """
    try:
        while chunk := await _in_time(file.part.read_chunk(_CHUNK_BYTES)):
            yield chunk
        # Only the boundary behind it says that the field was whole.
        await _in_time(file.form.next())
    except (ValueError, AssertionError):
        raise Problem(400, "bad-multipart", "The form ends too early.") from None


def _refuse_compression(request: web.Request) -> None:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem(415, "compressed", "Send the body as it is, not compressed.")


async def _in_time(read: Awaitable[Received]) -> Received:
    """Await the next part of a body, but not for ever.

    Raises:
        Problem: 408, nothing came.
    """
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            return await read
    except TimeoutError:
        raise Problem(408, "too-slow", "The rest of the request did not come.") from None


def too_large(limit: int) -> Problem:
    return Problem(413, "too-large", f"A file may have {limit // 1_000_000} MB.")
