"""A stored file is all there or not there at all, and only its owner's."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest
from bson import ObjectId
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect

from shared.models.changes import Change
from shared.models.database import Database
from shared.models.errors import FileDamaged, FileExists, FileMissing, FileTooLarge
from shared.models.file_store import FileStore
from shared.models.files import CHUNK_BYTES, StoredFile
from shared.models.types import ANY, Document, now

ME, SOMEBODY_ELSE = ObjectId(), ObjectId()
LIMIT = 20_000_000
# Seven chunks, the last one short; no two of its chunks are the same.
CONTENTS = os.urandom(6 * CHUNK_BYTES + 1000)


@pytest.fixture
def files(database: Database) -> FileStore:
    return FileStore(database)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def stored(files: FileStore, data: bytes = CONTENTS, **options: object) -> StoredFile:
    return await files.create("a.bin", "text/plain", ME, pieces(data), limit=LIMIT, **options)  # type: ignore[arg-type]


async def contents(files: FileStore, file_id: ObjectId, *bounds: int | None) -> bytes:
    return b"".join([piece async for piece in files.read(file_id, *bounds)])  # type: ignore[arg-type]


async def all_of(database: Database, name: str) -> list[Document]:
    return await database.collection(name).find({}, {"data": 0}).to_list(None)


async def test_a_file_comes_back_as_it_was(files: FileStore) -> None:
    job, moment = ObjectId(), now() + timedelta(days=1)
    parts = [CONTENTS[n : n + 77_777] for n in range(0, len(CONTENTS), 77_777)]

    file = await files.create(
        "ä.bin", "image/png", ME, pieces(*parts), limit=LIMIT, expires_at=moment, job=job
    )

    assert (file.size, file.filename, file.content_type) == (len(CONTENTS), "ä.bin", "image/png")
    assert (file.owner, file.job, file.expires_at) == (ME, job, moment)
    assert await files.get(file.id, ME) == file
    assert await contents(files, file.id) == CONTENTS


async def test_an_empty_file_is_a_file(files: FileStore) -> None:
    file = await stored(files, b"")

    assert file.size == 0
    assert await contents(files, file.id) == b""


async def test_other_tools_can_read_it(
    files: FileStore, database: Database, mongo_url: str
) -> None:
    file = await stored(files)

    async with AsyncMongoClient[Document](mongo_url) as client:
        bucket = AsyncGridFSBucket(client[database.name])
        stream = await bucket.open_download_stream(file.id)
        assert await stream.read() == CONTENTS


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 10),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        (CHUNK_BYTES, 2 * CHUNK_BYTES),
        (5, 5 * CHUNK_BYTES),
        (len(CONTENTS) - 1, None),
        (6 * CHUNK_BYTES, len(CONTENTS) + 5),
        (5, 5),
        (len(CONTENTS), None),
        (len(CONTENTS) + 5, None),
    ],
)
async def test_a_range_is_read(files: FileStore, start: int, end: int | None) -> None:
    file = await stored(files)

    assert await contents(files, file.id, start, end) == CONTENTS[start:end]


async def test_a_range_reads_only_its_chunks(files: FileStore, database: Database) -> None:
    file = await stored(files)
    await database.collection("fs.chunks").delete_many({"n": {"$nin": [2, 3]}})

    part = await contents(files, file.id, 2 * CHUNK_BYTES, 4 * CHUNK_BYTES)

    assert part == CONTENTS[2 * CHUNK_BYTES : 4 * CHUNK_BYTES]


@pytest.mark.parametrize("missing", [0, 3, 6])
async def test_a_missing_part_is_an_error(
    files: FileStore, database: Database, missing: int
) -> None:
    file = await stored(files)
    await database.collection("fs.chunks").delete_one({"n": missing})

    with pytest.raises(FileDamaged, match=f"lacks its chunk {missing}"):
        await contents(files, file.id)


async def test_it_goes_from_and_to_open_files(files: FileStore) -> None:
    source, target = os.memfd_create("source"), os.memfd_create("target")
    try:
        os.write(source, CONTENTS)
        file = await files.create_from_fd(source, "a.bin", "text/plain", None, limit=LIMIT)
        await files.read_into(file.id, target)
        assert os.pread(target, LIMIT, 0) == CONTENTS
        with pytest.raises(FileTooLarge):
            await files.create_from_fd(source, "a.bin", "text/plain", None, limit=1_000_000)
        with pytest.raises(FileMissing):
            await files.read_into(ObjectId(), target)
    finally:
        os.close(source)
        os.close(target)


async def test_a_file_of_the_size_of_the_limit_is_not_too_large(files: FileStore) -> None:
    file = await files.create("a", "text/plain", ME, pieces(b"12", b"345"), limit=5)
    assert file.size == 5


async def test_a_file_that_is_too_large_leaves_nothing(
    files: FileStore, database: Database
) -> None:
    asked = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            asked.append(1)
            yield b"x" * CHUNK_BYTES

    with pytest.raises(FileTooLarge, match="larger than 2000000 bytes"):
        await files.create("a", "text/plain", ME, endless(), limit=2_000_000)

    assert len(asked) == 2_000_000 // CHUNK_BYTES + 1
    assert await all_of(database, "fs.files") == await all_of(database, "fs.chunks") == []


async def test_a_client_that_goes_away_leaves_nothing(files: FileStore, database: Database) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield CONTENTS
        assert await all_of(database, "fs.chunks")
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await files.create("a", "text/plain", ME, broken(), limit=LIMIT)

    assert await all_of(database, "fs.files") == await all_of(database, "fs.chunks") == []


async def test_a_cancelled_upload_leaves_nothing(files: FileStore, database: Database) -> None:
    waiting = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield CONTENTS
        waiting.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        upload = group.create_task(files.create("a", "text/plain", ME, stuck(), limit=LIMIT))
        await waiting.wait()
        upload.cancel()

    assert upload.cancelled()
    assert await all_of(database, "fs.files") == await all_of(database, "fs.chunks") == []


@pytest.mark.parametrize("applied", [True, False])
async def test_a_lost_connection_at_the_end_leaves_nothing(
    files: FileStore, database: Database, monkeypatch: pytest.MonkeyPatch, applied: bool
) -> None:
    collection = type(database.collection("fs.files"))
    insert_one = collection.insert_one

    def losing(self, document):  # type: ignore[no-untyped-def]
        async def insert() -> None:
            if applied:
                await insert_one(self, document)
            raise AutoReconnect("connection closed")

        return insert()

    monkeypatch.setattr(collection, "insert_one", losing)
    with pytest.raises(AutoReconnect):
        await stored(files)

    assert await all_of(database, "fs.files") == await all_of(database, "fs.chunks") == []


@pytest.mark.parametrize("second", [CONTENTS[::-1], b"short", b""])
@pytest.mark.parametrize("first", [CONTENTS, b""])
async def test_a_second_file_under_an_id_does_not_harm_the_first(
    files: FileStore, database: Database, first: bytes, second: bytes
) -> None:
    file = await stored(files, first)
    before = await all_of(database, "fs.files"), await all_of(database, "fs.chunks")

    with pytest.raises(FileExists, match=str(file.id)):
        await stored(files, second, file_id=file.id)

    assert await contents(files, file.id) == first
    assert (await all_of(database, "fs.files"), await all_of(database, "fs.chunks")) == before


async def test_of_two_uploads_at_once_under_an_id_one_wins(files: FileStore) -> None:
    file_id = ObjectId()
    other = CONTENTS[::-1]

    async with asyncio.TaskGroup() as group:
        uploads = [
            group.create_task(_tried(files, data, file_id)) for data in (CONTENTS, other, b"short")
        ]

    (winner,) = [data for upload in uploads if (data := upload.result()) is not None]
    assert await contents(files, file_id) == winner


async def _tried(files: FileStore, data: bytes, file_id: ObjectId) -> bytes | None:
    try:
        await stored(files, data, file_id=file_id)
    except FileExists:
        return None
    return data


async def test_files_of_others_are_not_there(files: FileStore) -> None:
    file = await stored(files)

    assert await files.get(file.id, SOMEBODY_ELSE) is None
    assert await files.mine(SOMEBODY_ELSE) == []
    assert not await files.delete(file.id, SOMEBODY_ELSE)
    assert await files.get(file.id, ANY) == file
    assert await files.mine(ME) == [file]


async def test_a_deleted_file_leaves_nothing_and_the_others_stay(
    files: FileStore, database: Database
) -> None:
    file, other = await stored(files), await stored(files)

    assert await files.delete(file.id, ME)

    assert not await files.delete(file.id, ME)
    with pytest.raises(FileMissing):
        await contents(files, file.id)
    assert {chunk["files_id"] for chunk in await all_of(database, "fs.chunks")} == {other.id}


async def test_an_expired_file_is_gone_at_once_and_pruned_later(
    files: FileStore, database: Database
) -> None:
    file = await stored(files, expires_at=now() - timedelta(seconds=1))
    kept = await stored(files, expires_at=now() + timedelta(days=1))

    assert await files.get(file.id, ME) is None
    assert await files.mine(ME) == [kept]
    assert await files.prune() == 1
    assert [file["_id"] for file in await all_of(database, "fs.files")] == [kept.id]
    assert {chunk["files_id"] for chunk in await all_of(database, "fs.chunks")} == {kept.id}


async def test_abandoned_chunks_are_pruned_after_an_hour(
    files: FileStore, database: Database
) -> None:
    file = await stored(files)
    await database.collection("fs.chunks").insert_one(
        {"_id": ObjectId(), "files_id": ObjectId(), "n": 3, "data": b"x", "upload": ObjectId()}
    )

    await files.prune()
    assert len(await all_of(database, "fs.chunks")) == 8
    await files.prune(now() + timedelta(hours=2))
    assert {chunk["files_id"] for chunk in await all_of(database, "fs.chunks")} == {file.id}


async def test_files_are_watched_as_they_come_and_go(files: FileStore) -> None:
    async with aclosing(files.watch()) as changes:
        assert (await anext(changes)).kind == "resync"
        file = await stored(files)
        assert await anext(changes) == Change("insert", file.id, file)
        await files.delete(file.id, ME)
        assert await anext(changes) == Change("delete", file.id, None)
