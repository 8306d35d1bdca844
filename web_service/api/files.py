"""Files over HTTP: streamed up, streamed down with ranges, only for their owner."""

import re
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from aiohttp import web
from bson import ObjectId

from shared.models.errors import FileTooLarge
from shared.models.files import StoredFile
from web_service.body import file_chunks, file_part, json_response, too_large
from web_service.file_view import file_view
from web_service.keys import AUTH, FILES, UPLOADS
from web_service.problems import Problem, not_found

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_INLINE_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/avif", "image/gif"})


async def upload(request: web.Request) -> web.Response:
    """Store the multipart field ``file``. It is never in memory as a whole."""
    user = await request.app[AUTH].user(request)
    limits = request.app[UPLOADS]
    file = await file_part(request, limits.max_bytes)
    try:
        stored = await request.app[FILES].create(
            _clean_name(file.part.filename),
            file.part.headers.get("Content-Type", "application/octet-stream"),
            user.id,
            file_chunks(file),
            limit=limits.max_bytes,
            expires_at=datetime.now(UTC) + limits.keep_for,
        )
    except FileTooLarge:
        raise too_large(limits.max_bytes) from None
    if stored.size == 0:
        await request.app[FILES].delete(stored.id, user.id)
        raise Problem(400, "empty-file", "The file is empty. Choose another one.")
    return json_response({"id": str(stored.id), **file_view(stored)}, status=201)


async def download(request: web.Request) -> web.StreamResponse:
    """Send the file, or the range of it that was asked for (RFC 9110 §14)."""
    user = await request.app[AUTH].user(request)
    files = request.app[FILES]
    stored = await files.get(_file_id(request), user.id)
    if stored is None:
        raise not_found("file")
    span = _span(request.headers.get("Range"), stored.size)
    response = web.StreamResponse(
        status=206 if span.partial else 200, headers=_headers(request, stored, span)
    )
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in files.read(stored.id, span.start, span.end):
            await response.write(chunk)
    await response.write_eof()
    return response


async def delete(request: web.Request) -> web.Response:
    user = await request.app[AUTH].user(request)
    if not await request.app[FILES].delete(_file_id(request), user.id):
        raise not_found("file")
    return web.Response(status=204)


class _Span(NamedTuple):
    start: int
    end: int
    """The first byte behind the span."""
    partial: bool


def _span(header: str | None, size: int) -> _Span:
    """The span that a Range header asks for; the whole file where it is not understood."""
    matched = _RANGE.fullmatch(header or "")
    if matched is None or not any(matched.groups()):
        return _Span(0, size, partial=False)
    first, last = matched.groups()
    if first:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    else:
        start, end = max(0, size - int(last)), size
    if start >= size or end <= start:
        raise Problem(416, "bad-range", f"The file has {size} bytes.")
    return _Span(start, end, partial=True)


def _headers(request: web.Request, stored: StoredFile, span: _Span) -> dict[str, str]:
    """Headers under which no browser runs what a person uploaded (OWASP, file upload)."""
    inline = "inline" in request.query and stored.content_type in _INLINE_TYPES
    disposition = "inline" if inline else "attachment"
    headers = {
        "Content-Type": stored.content_type,
        "Content-Length": str(span.end - span.start),
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(stored.filename, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=3600, immutable",
        "Accept-Ranges": "bytes",
    }
    if span.partial:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{stored.size}"
    return headers


def _clean_name(filename: str | None) -> str:
    """The last part of a name that a client made up, without control characters."""
    name = re.split(r"[/\\]", filename or "")[-1]
    return "".join(c for c in name if c.isprintable())[:200].strip() or "file"


def _file_id(request: web.Request) -> ObjectId:
    text = request.match_info["id"]
    if not ObjectId.is_valid(text):
        raise not_found("file")
    return ObjectId(text)


routes = [
    web.post("/api/files", upload),
    web.get("/api/files/{id}", download),
    web.delete("/api/files/{id}", delete),
]
