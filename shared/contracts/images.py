"""Image job types."""

from typing import Annotated, Literal

from msgspec import Meta

from shared.contracts.contract import Contract
from shared.contracts.files import FileId, FileResult

MAX_PIXELS = 100_000_000
"""Of a picture that is sent in; a larger one is refused before it is decoded."""

ImageFormat = Literal["jpeg", "png", "webp", "avif"]
Pixels = Annotated[int, Meta(ge=1, le=8192)]
Quality = Annotated[int, Meta(ge=1, le=100)]


class ImageFile(FileResult, frozen=True, kw_only=True, rename="camel"):
    """A picture that a run made, with its size in pixels."""

    width: int
    height: int
    source_size: int
    """Bytes of the picture it was made from."""


class Thumbnail(Contract[ImageFile], name="images.thumbnail", timeout=30, memory="512MB"):
    """A small, upright sRGB copy without metadata, ``width`` pixels wide; never enlarged."""

    source: FileId
    width: Pixels
    height: Pixels | None = None
    """When given, the thumbnail fits into width x height."""
    format: ImageFormat | None = None
    """The source's own format when not given (JPEG where that can't be written)."""
    quality: Quality = 80


class Convert(Contract[ImageFile], name="images.convert", timeout=60, memory="1GB"):
    """The same picture in another format, and at most ``width`` pixels wide."""

    source: FileId
    format: ImageFormat
    width: Pixels | None = None
    """Never enlarges; the source's own width when not given."""
    quality: Quality = 80
