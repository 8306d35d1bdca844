"""Real pictures for tests: with structure and noise, of every format, whole and broken."""

import io
import os
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pyvips
from PIL import Image, ImageCms, ImageOps

from jobs_service import memfd

SMALL_WIDTH, SMALL_HEIGHT = 320, 240


def structure(width: int, height: int) -> Image.Image:
    """Saturated colours, gradients, waves, hard edges and noise; the same each time."""
    rng = np.random.default_rng(12)
    y, x = np.ogrid[0:height, 0:width]
    waves = (np.sin(x / 97) * np.cos(y / 61) * 25).astype(np.int16)
    pixels = np.empty((height, width, 3), np.int16)
    pixels[..., 0] = np.where(x < width // 2, 225, 30) + waves
    pixels[..., 1] = np.where(y < height // 2, 40, 200) - waves
    pixels[..., 2] = (x * 200 // width + y * 50 // height) % 256
    tile = rng.integers(-9, 10, (256, 256, 3), dtype=np.int16)
    repeats = (height // 256 + 1, width // 256 + 1, 1)
    pixels += np.tile(tile, repeats)[:height, :width]
    pixels[height // 8 : height // 4, width // 8 : width // 4] = (250, 250, 20)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def p3_profile() -> bytes:
    """A Display P3 profile."""
    return bytes(pyvips.Image.profile_load("p3"))


def photo() -> bytes:
    """As a phone makes it: 12 megapixels, stored lying on its side, Display P3, with EXIF."""
    upright = structure(3000, 4000)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen upright, turn it by 90° clockwise
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    return encode(stored, "JPEG", quality=92, exif=exif, icc_profile=p3_profile())


def expected(data: bytes, width: int, *, by_profile: bool = True) -> "np.ndarray[Any, Any]":
    """What a thumbnail should look like, by Pillow and LittleCMS: nothing of libvips."""
    image: Image.Image = Image.open(io.BytesIO(data))
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    height = round(image.height * width / image.width)
    image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=4)
    if profile and by_profile:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
        assert turned is not None
        image = turned
    return pixels_of(image)


def pixels_of(image: Image.Image | bytes) -> "np.ndarray[Any, Any]":
    """An RGB picture as numbers."""
    if isinstance(image, bytes):
        image = Image.open(io.BytesIO(image))
    return np.asarray(image.convert("RGB"), dtype=np.int16)


def encode(image: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def small(form: str) -> bytes:
    """A small picture in any format that is read."""
    image = structure(SMALL_WIDTH, SMALL_HEIGHT)
    if form == "HEIC":
        file = io.BytesIO()
        pillow_heif.from_pillow(image).save(file, quality=80)
        return file.getvalue()
    return encode(image, form)


def bomb(width: int = 40_000, height: int = 40_000) -> bytes:
    """A tiny PNG that unpacks to 1.6 gigapixels, of one bit each."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\x00" * (1 + (width + 7) // 8)
    block = row * 1000
    body = b"".join(packer.compress(block) for _ in range(height // 1000)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND")


def in_memfd(data: bytes) -> int:
    """A sealed memfd, as the pool hands one to a child; the caller closes it."""
    return memfd.create_with("picture", data)


def output() -> int:
    """An empty memfd to write to; the caller closes it."""
    return memfd.create("made")


def read_and_close(fd: int) -> bytes:
    """What was written to an output."""
    data = memfd.read(fd)
    os.close(fd)
    return data


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
