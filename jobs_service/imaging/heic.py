"""HEIC input by pillow-heif: the libvips wheel has no HEVC decoder, for its patents."""

import io
import mmap
from dataclasses import dataclass
from typing import Any, Final

import pillow_heif
import pyvips

_INTERPRETATIONS: Final = {1: "b-w", 2: "b-w", 3: "srgb", 4: "srgb"}


class HeicError(Exception):
    """libheif could not read the file."""


@dataclass(frozen=True, slots=True)
class HeicPicture:
    """A HEIC file whose header is read; sizes in pixels, upright."""

    file: Any
    width: int
    height: int
    frames: int
    has_profile: bool

    def pixels(self) -> Any:
        """Decode it to a pyvips image in memory, 8 bits a channel.

        Raises:
            HeicError: the file is damaged or truncated.
        """
        try:
            data, stride = bytes(self.file.data), self.file.stride
        except (ValueError, RuntimeError, EOFError, OSError) as error:
            raise HeicError(str(error)) from error
        bands = len(self.file.mode)
        # Rows may be padded: take them as wider than they are, then cut that off.
        image = pyvips.Image.new_from_memory(data, stride // bands, self.height, bands, "uchar")
        image = image.crop(0, 0, self.width, self.height)
        image = image.copy(interpretation=_INTERPRETATIONS[bands])
        if self.has_profile:
            blob = pyvips.GValue.blob_type
            image.set_type(blob, "icc-profile-data", self.file.info["icc_profile"])
        return image


def open_picture(data: mmap.mmap) -> HeicPicture:
    """Read the header of a HEIC file.

    Raises:
        HeicError: there is no readable header.
    """
    pillow_heif.options.DECODE_THREADS = 1
    try:
        file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        width, height = file.size
        has_profile = bool(file.info.get("icc_profile"))
        return HeicPicture(file, width, height, len(file), has_profile)
    except (ValueError, RuntimeError, EOFError, OSError, IndexError) as error:
        raise HeicError(str(error)) from error
