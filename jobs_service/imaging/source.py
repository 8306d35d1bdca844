"""Open a picture that somebody sent: what it is, its header, and only then its pixels."""

import mmap
import struct
from dataclasses import dataclass
from typing import Any, Final

import pyvips

from jobs_service.imaging import engine, heic
from jobs_service.imaging.errors import ADVICE, ImageError
from jobs_service.imaging.sniff import HEAD_BYTES, READABLE, UNSUPPORTED_IMAGES, Kind, identify
from shared.contracts.images import MAX_PIXELS

MAX_FRAMES: Final = 1_000

_PNG_END: Final = b"IEND\xaeB`\x82"
_UPRIGHT: Final = 1
_SIDEWAYS: Final = range(5, 9)
"""EXIF orientations whose width is the height of what people see."""


@dataclass(frozen=True, slots=True)
class Source:
    """A picture whose header is read and found acceptable; no pixel is decoded yet."""

    name: str
    """What its sender calls it; for messages."""
    kind: Kind
    data: mmap.mmap
    width: int
    """Pixels, upright: as people see it, not as it is stored."""
    height: int
    has_profile: bool
    interpretation: str

    def pixels(self, shrink: int = 1) -> Any:
        """The pixels as a lazy pyvips image; a JPEG is decoded at 1/``shrink`` of its size.

        It is a stream from top to bottom, to be consumed once. Damage is found while that
        happens, for ``thumbnail`` itself would take a truncated file without a word.
        """
        if self.kind is Kind.HEIC:
            return heic.open_picture(self.data).pixels()
        options = {"shrink": shrink} if shrink > 1 else {}
        return _open(self.data, **options)

    def damage(self, error: Exception) -> ImageError | MemoryError:
        """What to raise for ``error``, which came while the pixels were read."""
        return _damage(self.name, self.kind, self.data, str(error))


def open_source(fd: int, name: str) -> Source:
    """Map the sealed memfd ``fd`` (not taken over) and read the picture's header.

    A mapping is used, not the descriptor: it costs no copy either, and it has no file
    position, which children that were handed one memfd would share.

    Raises:
        ImageError: it is no picture, or one that is too large, damaged or of a format
            that is not read here.
    """
    engine.prepare()
    try:
        data = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    except ValueError:  # what mmap says to an empty file
        raise ImageError("empty-file", f"{name} is empty (0 bytes). Send it again.") from None
    kind = _readable_kind(data[:HEAD_BYTES], name)
    try:
        source = _read_header(data, kind, name)
    except (pyvips.Error, heic.HeicError) as error:
        raise _damage(name, kind, data, str(error)) from error
    return source


def _readable_kind(head: bytes, name: str) -> Kind:
    kind = identify(head)
    if kind in UNSUPPORTED_IMAGES:
        reason = f"{name} is a picture in the {kind.value} format, which we do not read. {ADVICE}"
        raise ImageError("unsupported-format", reason)
    if kind not in READABLE:
        looks = "" if kind is Kind.UNKNOWN else f" (it looks like {kind.value})"
        raise ImageError("bad-image", f"{name} is not an image we can read{looks}. {ADVICE}")
    return kind


def _read_header(data: mmap.mmap, kind: Kind, name: str) -> Source:
    if kind is Kind.HEIC:
        # libheif turns the picture upright by itself, when it decodes.
        picture = heic.open_picture(data)
        _check_size(name, picture.width, picture.height, picture.frames)
        width, height = picture.width, picture.height
        has_profile, interpretation = picture.has_profile, "srgb"
    else:
        image = _open(data)
        _check_size(name, image.width, image.height, image.get_n_pages())
        width, height = image.width, image.height
        if _orientation(image) in _SIDEWAYS:
            width, height = height, width
        has_profile = image.get_typeof("icc-profile-data") != 0
        interpretation = image.interpretation
    return Source(name, kind, data, width, height, has_profile, interpretation)


def _check_size(name: str, width: int, height: int, frames: int) -> None:
    """Refuse a decompression bomb from its header: 194 KB of PNG can hold 1.6 gigapixels."""
    if width * height > MAX_PIXELS:
        raise ImageError(
            "too-many-pixels",
            f"{name} has too many pixels: {width:,} × {height:,} is"
            f" {width * height / 1e6:,.0f} megapixels, and the limit is {MAX_PIXELS // 10**6}."
            " Send a smaller picture.",
        )
    if frames > MAX_FRAMES:
        raise ImageError(
            "too-many-frames",
            f"{name} has {frames:,} frames, and the limit is {MAX_FRAMES:,}."
            " Send a shorter animation.",
        )


def _open(data: mmap.mmap, **options: int) -> Any:
    """The first frame, as a stream; ``error`` includes truncation, and TIFF needs it for that."""
    source = pyvips.Source.new_from_memory(data)
    return pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error", **options)


def _orientation(image: Any) -> int:
    return image.get("orientation") if image.get_typeof("orientation") else _UPRIGHT


def _damage(name: str, kind: Kind, data: mmap.mmap, message: str) -> ImageError | MemoryError:
    if "out of memory" in message:  # libvips' words; the picture is not to blame
        return MemoryError(message)
    if _is_truncated(kind, data, message):
        return ImageError(
            "truncated-image",
            f"{name} is incomplete: the end of the {kind.value} file is missing. Send it again.",
        )
    return ImageError(
        "bad-image", f"{name} is a damaged {kind.value} file that we can't read. Send another copy."
    )


def _is_truncated(kind: Kind, data: mmap.mmap, message: str) -> bool:
    """Whether the end is missing; by the file's structure where the decoder doesn't tell."""
    match kind:
        case Kind.PNG:
            return data.rfind(_PNG_END) < 0
        case Kind.WEBP:
            return len(data) < 12 or 8 + struct.unpack("<I", data[4:8])[0] > len(data)
        case Kind.TIFF:
            order = "<" if data[:1] == b"I" else ">"
            directory = struct.unpack(f"{order}I", data[4:8])[0] if len(data) >= 8 else 8
            return directory >= len(data) or "ead error" in message or "got " in message
        case _:
            lowered = message.lower()
            return "premature end" in lowered or "unexpected end" in lowered
