"""Tell what a file is by its first bytes; its name and declared type prove nothing.

libvips is handed only what this module calls readable, so no loader ever probes other
bytes; and a person who sent a PDF is told so, instead of "unknown format".
"""

import codecs
from enum import Enum
from typing import Final

HEAD_BYTES: Final = 4096
"""As much of a file as :func:`identify` wants to see."""

_HEIC_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS: Final = {b"avif", b"avis"}


class Kind(Enum):
    """What a file looks like; the value is how people call it."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    AVIF = "AVIF"
    HEIC = "HEIC"
    GIF = "GIF"
    TIFF = "TIFF"

    BMP = "BMP"
    ICO = "ICO"
    JPEG_XL = "JPEG XL"
    JPEG_2000 = "JPEG 2000"
    PHOTOSHOP = "Photoshop"
    SVG = "SVG"

    PDF = "PDF"
    ZIP = "ZIP or Office document"
    GZIP = "gzip"
    VIDEO = "video"
    AUDIO = "audio"
    PROGRAM = "program"
    HTML = "HTML"
    XML = "XML"
    TEXT = "text"
    UNKNOWN = "unknown"


READABLE: Final = frozenset(
    {Kind.JPEG, Kind.PNG, Kind.WEBP, Kind.AVIF, Kind.HEIC, Kind.GIF, Kind.TIFF}
)
UNSUPPORTED_IMAGES: Final = frozenset(
    {Kind.BMP, Kind.ICO, Kind.JPEG_XL, Kind.JPEG_2000, Kind.PHOTOSHOP, Kind.SVG}
)

_MAGIC: Final = (
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"GIF87a", Kind.GIF),
    (b"GIF89a", Kind.GIF),
    (b"II*\x00", Kind.TIFF),
    (b"MM\x00*", Kind.TIFF),
    (b"II+\x00", Kind.TIFF),  # BigTIFF
    (b"MM\x00+", Kind.TIFF),
    (b"BM", Kind.BMP),
    (b"\x00\x00\x01\x00", Kind.ICO),
    (b"\xff\x0a", Kind.JPEG_XL),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", Kind.JPEG_XL),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", Kind.JPEG_2000),
    (b"8BPS", Kind.PHOTOSHOP),
    (b"%PDF-", Kind.PDF),
    (b"PK\x03\x04", Kind.ZIP),
    (b"PK\x05\x06", Kind.ZIP),
    (b"\x1f\x8b", Kind.GZIP),
    (b"\x1a\x45\xdf\xa3", Kind.VIDEO),  # Matroska, WebM
    (b"ID3", Kind.AUDIO),
    (b"OggS", Kind.AUDIO),
    (b"fLaC", Kind.AUDIO),
    (b"\x7fELF", Kind.PROGRAM),
    (b"MZ", Kind.PROGRAM),
)


def identify(head: bytes) -> Kind:
    """What the file that starts with ``head`` looks like."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": Kind.WEBP, b"AVI ": Kind.VIDEO, b"WAVE": Kind.AUDIO}.get(
            head[8:12], Kind.UNKNOWN
        )
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    return _text(head)


def _iso_media(head: bytes) -> Kind:
    """HEIF, AVIF and MP4 share a container and differ by the brands it lists (ISO 14496-12)."""
    box = head[8 : max(16, min(int.from_bytes(head[:4], "big"), len(head)))]
    brands = {box[:4]} | {box[at : at + 4] for at in range(8, len(box), 4)}
    if brands & _AVIF_BRANDS:
        return Kind.AVIF
    if brands & _HEIC_BRANDS or box[:4] in {b"mif1", b"msf1"}:
        return Kind.HEIC
    return Kind.VIDEO


def _text(head: bytes) -> Kind:
    try:
        # The last character may be cut in half by the end of the head.
        is_whole = len(head) < HEAD_BYTES
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return Kind.UNKNOWN
    if not text or "\x00" in text:
        return Kind.UNKNOWN
    start = text.lstrip("\ufeff \t\r\n").lower()
    if "<svg" in start and start.startswith("<"):
        return Kind.SVG
    if start.startswith(("<!doctype html", "<html")):
        return Kind.HTML
    return Kind.XML if start.startswith("<?xml") else Kind.TEXT
