"""Files in GridFS: never a part of one, never somebody else's.

A file's chunks are written first, its document last, so whoever finds the document finds
all of the file. This works on the two collections itself instead of using the driver's
``GridFSBucket``: that one buffers up to 25 MB before it writes, answers a second upload
under the same id by deleting the first one's chunks, and differs between the drivers.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta

import msgspec
import structlog
from bson import ObjectId
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from shared.models.changes import Change, watch_as
from shared.models.database import Database
from shared.models.errors import FileDamaged, FileExists, FileMissing, FileTooLarge
from shared.models.files import CHUNK_BYTES, CHUNKS, FILES, FileMetadata, StoredFile
from shared.models.to_the_end import to_the_end
from shared.models.types import ANY, Document, Owner, from_document, now, owned_by, to_document

log = structlog.get_logger()

_CHUNKS_PER_WRITE = 4  # 1 MB: one journalled write for it, and the loop stalls for 3 ms at most
_CHUNKS_PER_READ = 4
_ABANDONED_AFTER = timedelta(hours=1)
_DUPLICATE_KEY = 11000


class FileStore:
    """The ``fs.files`` and ``fs.chunks`` collections."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._files = database.collection(FILES.name)
        self._chunks = database.collection(CHUNKS.name)

    async def create(
        self,
        filename: str,
        content_type: str,
        owner: ObjectId | None,
        chunks: AsyncIterator[bytes],
        *,
        limit: int,
        expires_at: datetime | None = None,
        file_id: ObjectId | None = None,
        job: ObjectId | None = None,
    ) -> StoredFile:
        """Store what ``chunks`` yields (pieces of any size), at most ``limit`` bytes of it.

        Whatever goes wrong, also in ``chunks`` or by cancellation, nothing is kept.

        Raises:
            FileTooLarge: it is more than ``limit`` bytes; the rest was not asked for.
            FileExists: there is a file with this id, and it is unharmed.
        """
        upload = _Upload(self._database, file_id or ObjectId())
        try:
            async for piece in chunks:
                if upload.length + len(piece) > limit:
                    raise FileTooLarge(limit)
                await upload.write(piece)
            metadata = FileMetadata(
                content_type=content_type, owner=owner, job=job, expires_at=expires_at
            )
            return await upload.finish(filename, metadata)
        except BaseException:
            await to_the_end(upload.undo())
            raise

    async def create_from_fd(
        self,
        fd: int,
        filename: str,
        content_type: str,
        owner: ObjectId | None,
        *,
        limit: int,
        expires_at: datetime | None = None,
        file_id: ObjectId | None = None,
        job: ObjectId | None = None,
    ) -> StoredFile:
        """Store all that an open file holds, wherever its position stands."""
        return await self.create(
            filename,
            content_type,
            owner,
            _read_fd(fd),
            limit=limit,
            expires_at=expires_at,
            file_id=file_id,
            job=job,
        )

    async def get(self, file_id: ObjectId, owner: Owner) -> StoredFile | None:
        """The file, if it is the owner's and has not expired."""
        document = await self._files.find_one({"_id": file_id, **_visible(owner)})
        return None if document is None else from_document(document, StoredFile, FILES.name)

    async def mine(
        self, owner: Owner, limit: int = 50, before: ObjectId | None = None
    ) -> list[StoredFile]:
        """The owner's last files, newest first; older than the one with the id ``before``."""
        older = {} if before is None else {"_id": {"$lt": before}}
        cursor = self._files.find({**_visible(owner), **older}).sort("_id", -1).limit(limit)
        found = await cursor.to_list(None)
        return [from_document(document, StoredFile, FILES.name) for document in found]

    async def read(
        self, file_id: ObjectId, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` up to, not including, ``end``, in pieces of a chunk at most.

        Only the chunks that hold them are read, about a megabyte at a time.

        Raises:
            FileMissing: there is no file with this id.
            FileDamaged: a part is missing, for instance because it was deleted meanwhile.
        """
        file = await self.get(file_id, ANY)
        if file is None:
            raise FileMissing(f"there is no file {file_id}")
        stop = file.size if end is None else min(end, file.size)
        if not 0 <= start < stop:
            return
        size = file.chunk_size
        expected, last = start // size, (stop - 1) // size
        wanted = {"files_id": file.id, "n": {"$gte": expected, "$lte": last}}
        cursor = self._chunks.find(wanted, {"_id": 0, "n": 1, "data": 1}).sort("n", 1)
        async for chunk in cursor.batch_size(_CHUNKS_PER_READ):
            begins = expected * size
            if chunk["n"] != expected or len(chunk["data"]) != min(size, file.size - begins):
                break
            yield chunk["data"][max(0, start - begins) : stop - begins]
            expected += 1
        if expected <= last:
            raise FileDamaged(f"file {file.id} lacks its chunk {expected}")

    async def read_into(self, file_id: ObjectId, fd: int) -> None:
        """Write all of a file to an open one, such as a memfd, from its start.

        Raises:
            FileMissing, FileDamaged: as :meth:`read`.
        """
        offset = 0
        async with aclosing(self.read(file_id)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(_write_all, fd, piece, offset)
                offset += len(piece)

    async def delete(self, file_id: ObjectId, owner: Owner) -> bool:
        """Delete a file; False if the owner has none with this id."""
        deleted = await self._files.delete_one(
            {"_id": file_id, **owned_by(owner, "metadata.owner")}
        )
        if not deleted.deleted_count:
            return False
        await self._chunks.delete_many({"files_id": file_id})
        return True

    def watch(self) -> AsyncGenerator[Change[StoredFile], None]:
        """Files that come and go, for ever; close the generator to stop.

        The first is a ``resync``: what is read from then on misses nothing. It comes
        again when changes may have been missed. An expired file goes when it is pruned.
        """
        return watch_as(
            self._database,
            FILES.name,
            lambda document: from_document(document, StoredFile, FILES.name),
        )

    async def prune(self, moment: datetime | None = None) -> int:
        """Delete what expired before ``moment`` (now), and abandoned chunks; counts files.

        Chunks are abandoned when they belong to no file and none was added for an hour: a
        service was killed while it stored or deleted one.
        """
        moment = moment or now()
        count = 0
        expired = {"metadata.expiresAt": {"$lte": moment}}
        async for document in self._files.find(expired, {"_id": 1}):
            count += await self.delete(document["_id"], ANY)
        await self._prune_chunks(moment - _ABANDONED_AFTER)
        return count

    async def _prune_chunks(self, before: datetime) -> None:
        without_file: list[Document] = [
            {"$sort": {"files_id": 1, "n": 1}},
            {"$group": {"_id": "$files_id"}},
            {
                "$lookup": {
                    "from": FILES.name,
                    "localField": "_id",
                    "foreignField": "_id",
                    "as": "file",
                }
            },
            {"$match": {"file": []}},
        ]
        # An ObjectId starts with the time at which it was made.
        recent = {"_id": {"$gte": ObjectId.from_datetime(before)}}
        for orphan in await self._database.aggregate(CHUNKS.name, without_file):
            of_file = {"files_id": orphan["_id"]}
            if await self._chunks.find_one({**of_file, **recent}, {"_id": 1}) is None:
                await self._chunks.delete_many(of_file)


class _Upload:
    """One attempt to store a file: what it has written, and how to take that back."""

    def __init__(self, database: Database, file_id: ObjectId) -> None:
        self._files = database.collection(FILES.name)
        self._chunks = database.collection(CHUNKS.name)
        self._file_id = file_id
        self._upload = ObjectId()
        self._written = 0  # chunks
        self._buffer = bytearray()
        self.length = 0

    async def write(self, piece: bytes) -> None:
        """Add bytes; most are still in memory afterwards, at most about a megabyte."""
        self._buffer += piece
        self.length += len(piece)
        while len(self._buffer) >= _CHUNKS_PER_WRITE * CHUNK_BYTES:
            await self._flush(_CHUNKS_PER_WRITE * CHUNK_BYTES)

    async def finish(self, filename: str, metadata: FileMetadata) -> StoredFile:
        """Write the rest, and then the file's document: from now on it exists."""
        await self._flush(len(self._buffer))
        mine = {"files_id": self._file_id, "upload": self._upload}
        if await self._chunks.count_documents(mine) != self._written:
            raise FileDamaged(f"chunks of {self._file_id} vanished while it was stored")
        file = StoredFile(
            id=self._file_id,
            filename=filename,
            length=self.length,
            chunk_size=CHUNK_BYTES,
            upload_date=now(),
            metadata=msgspec.structs.replace(metadata, upload=self._upload),
        )
        document = to_document(file)
        # Cancelled halfway, nobody would know whether the server goes on to insert it.
        await to_the_end(self._or_exists(lambda: self._files.insert_one(document)))
        return file

    async def undo(self) -> None:
        """Remove what this upload wrote; chunks that can't be removed now, ``prune`` removes."""
        mine = {"files_id": self._file_id, "upload": self._upload}
        try:
            # The document may be there, if only the answer to its insert was lost.
            await self._files.delete_one({"_id": self._file_id, "metadata.upload": self._upload})
            await self._chunks.delete_many(mine)
        except PyMongoError as error:
            log.warning("file.chunks_left", file_id=str(self._file_id), error=str(error))

    async def _flush(self, size: int) -> None:
        """Write the first ``size`` bytes of the buffer."""
        data = bytes(self._buffer[:size])
        chunks = [
            {
                "_id": ObjectId(),
                "files_id": self._file_id,
                "n": self._written + index,
                "data": data[offset : offset + CHUNK_BYTES],
                "upload": self._upload,
            }
            for index, offset in enumerate(range(0, size, CHUNK_BYTES))
        ]
        if chunks:
            await self._or_exists(lambda: self._chunks.insert_many(chunks))
        self._written += len(chunks)
        del self._buffer[:size]

    async def _or_exists(self, insert: Callable[[], Awaitable[object]]) -> None:
        try:
            await insert()
        except DuplicateKeyError as error:
            raise FileExists(f"there is a file {self._file_id}") from error
        except BulkWriteError as error:
            if error.details["writeErrors"][0]["code"] != _DUPLICATE_KEY:
                raise
            raise FileExists(f"there is a file {self._file_id}") from error


def _visible(owner: Owner) -> Document:
    """The filter for the owner's files that have not expired."""
    return {**owned_by(owner, "metadata.owner"), "metadata.expiresAt": {"$not": {"$lte": now()}}}


async def _read_fd(fd: int) -> AsyncIterator[bytes]:
    offset = 0
    while piece := await asyncio.to_thread(os.pread, fd, _CHUNKS_PER_WRITE * CHUNK_BYTES, offset):
        yield piece
        offset += len(piece)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
