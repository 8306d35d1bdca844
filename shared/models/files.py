"""The documents of stored files: GridFS's own format, which any MongoDB tool can read.

https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md
"""

import msgspec
from bson import ObjectId
from msgspec import field
from pymongo import IndexModel

from shared.models.schema import Collection
from shared.models.types import Count, Timestamp

CHUNK_BYTES = 255 * 1024
"""GridFS's default; larger chunks stall the event loop longer and gain nothing (measured)."""


class FileMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What GridFS itself does not know about a file."""

    content_type: str
    owner: ObjectId | None
    """None: the system's own."""
    job: ObjectId | None = None
    """The job that made it."""
    expires_at: Timestamp | None = None
    """From then on it is gone; None: it stays."""
    upload: ObjectId | None = None
    """As in its chunks."""


class StoredFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file; its document exists only while all of its bytes do."""

    id: ObjectId = field(name="_id")
    filename: str
    length: Count
    """Bytes."""
    chunk_size: Count
    upload_date: Timestamp
    metadata: FileMetadata

    @property
    def size(self) -> int:
        """Bytes."""
        return self.length

    @property
    def content_type(self) -> str:
        return self.metadata.content_type

    @property
    def owner(self) -> ObjectId | None:
        return self.metadata.owner

    @property
    def job(self) -> ObjectId | None:
        """The job that made it."""
        return self.metadata.job

    @property
    def expires_at(self) -> Timestamp | None:
        return self.metadata.expires_at

    @property
    def created_at(self) -> Timestamp:
        return self.upload_date


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a file: its ``n``-th 255 KiB."""

    id: ObjectId = field(name="_id")
    files_id: ObjectId
    n: Count
    data: bytes
    upload: ObjectId | None = None
    """Which upload wrote it, so that a failed one removes its own chunks and no others."""


FILES = Collection(
    "fs.files",
    StoredFile,
    (
        IndexModel([("filename", 1), ("uploadDate", 1)], name="filename"),  # as GridFS wants it
        IndexModel([("metadata.owner", 1), ("_id", -1)], name="mine"),
        IndexModel([("metadata.expiresAt", 1)], name="expiry"),
    ),
)

CHUNKS = Collection(
    "fs.chunks",
    Chunk,
    (IndexModel([("files_id", 1), ("n", 1)], name="files_id_n", unique=True),),
)
