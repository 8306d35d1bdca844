import io
import os
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from jobs_service.imaging.render import ENCODINGS, OutputFormat, own_format, render
from jobs_service.imaging.source import Source, open_source
from tests.jobs_service.imaging import pictures


@pytest.fixture(scope="session")
def photo() -> bytes:
    return pictures.photo()


def opened(data: bytes) -> Source:
    fd = pictures.in_memfd(data)
    source = open_source(fd, "a.jpg")
    os.close(fd)
    return source


def made(data: bytes, form: OutputFormat = "jpeg", quality: int = 92, **options: Any) -> bytes:
    fd = pictures.output()
    size = render(opened(data), fd, format=form, quality=quality, **options)
    result = pictures.read_and_close(fd)
    assert Image.open(io.BytesIO(result)).size == size
    return result


def difference(one: "np.ndarray[Any, Any]", other: "np.ndarray[Any, Any]") -> float:
    """Mean of the absolute differences, of 255."""
    assert one.shape == other.shape
    return float(np.abs(one - other).mean())


def test_a_photo_becomes_upright_in_true_colours(photo: bytes) -> None:
    thumbnail = pictures.pixels_of(made(photo, width=512))
    expected = pictures.expected(photo, 512)
    assert thumbnail.shape == (683, 512, 3)
    assert difference(thumbnail, expected) < 2.0
    # Flat areas match closely, so it is not one error that hides another.
    for top, left in [(50, 30), (50, 400), (600, 30), (600, 400), (120, 90)]:
        area = np.s_[top : top + 30, left : left + 30]
        mean = thumbnail[area].mean(axis=(0, 1)) - expected[area].mean(axis=(0, 1))
        assert np.abs(mean).max() < 2.0
    # And the test can tell: turned the other way, or without its profile, it is far off.
    assert difference(thumbnail[::-1, ::-1], expected) > 20
    assert difference(pictures.expected(photo, 512, by_profile=False), expected) > 5


@pytest.mark.parametrize("width", [300, 376, 749, 751, 1500])
def test_each_shrink_of_the_jpeg_decoder_gives_the_same_picture(photo: bytes, width: int) -> None:
    thumbnail = pictures.pixels_of(made(photo, width=width))
    assert difference(thumbnail, pictures.expected(photo, width)) < 2.5


def test_no_metadata_is_left(photo: bytes) -> None:
    for form in ENCODINGS:
        image = Image.open(io.BytesIO(made(photo, form, width=64)))
        assert "icc_profile" not in image.info
        assert dict(image.getexif()) == {}
        assert "xmp" not in image.info


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_becomes_upright(orientation: int) -> None:
    upright = pictures.structure(200, 120)
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    stored = upright if back is None else upright.transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = pictures.encode(stored, "JPEG", quality=95, exif=exif)
    result = pictures.pixels_of(made(data, "png", width=200))
    assert difference(result, pictures.pixels_of(upright)) < 6


@pytest.mark.parametrize("form", ENCODINGS)
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "GIF", "TIFF"])
def test_every_format_to_every_format(source: str, form: OutputFormat) -> None:
    result = made(pictures.small(source), form, quality=95)
    assert Image.open(io.BytesIO(result)).format == form.upper()
    original = pictures.pixels_of(pictures.structure(320, 240))
    # A GIF has 256 colours, the lossy formats blur the noise.
    assert difference(pictures.pixels_of(result), original) < 12


def test_own_format() -> None:
    own = {
        form: own_format(opened(pictures.small(form))) for form in ["JPEG", "PNG", "WEBP", "AVIF"]
    }
    assert own == {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp", "AVIF": "avif"}
    assert {own_format(opened(pictures.small(f))) for f in ["GIF", "TIFF", "HEIC"]} == {"jpeg"}


def test_quality_counts() -> None:
    data = pictures.small("PNG")
    for form in ("jpeg", "webp", "avif"):
        assert len(made(data, form, quality=30)) < len(made(data, form, quality=90)) / 2


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (100, None, (100, 75)),
        (100, 30, (40, 30)),
        (100, 90, (100, 75)),
        (None, None, (320, 240)),
        (5000, None, (320, 240)),  # never enlarged
        (1, None, (1, 1)),
    ],
)
def test_it_fits_and_never_grows(
    width: int | None, height: int | None, size: tuple[int, int]
) -> None:
    for form in ("JPEG", "PNG"):
        result = made(pictures.small(form), "png", width=width, height=height)
        assert Image.open(io.BytesIO(result)).size == size


def test_transparency_is_kept_or_becomes_white() -> None:
    image = Image.new("RGBA", (60, 40), (200, 30, 30, 0))
    image.paste((20, 40, 220, 255), (0, 0, 30, 40))
    data = pictures.encode(image, "PNG")
    kept = Image.open(io.BytesIO(made(data, "webp", quality=95)))
    assert kept.mode == "RGBA"
    assert kept.getpixel((50, 20))[3] == 0  # type: ignore[index]
    flat = pictures.pixels_of(made(data, "jpeg"))
    assert flat[20, 55].min() > 250
    assert np.abs(flat[20, 10] - (20, 40, 220)).max() < 6


def test_grey_stays_grey_and_16_bits_become_8() -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    result = Image.open(io.BytesIO(made(pictures.encode(Image.fromarray(ramp), "PNG"), "png")))
    assert result.mode == "L"
    assert difference(pictures.pixels_of(result)[0, :, 0], (ramp[0] // 257).astype(np.int16)) < 1


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (40, 40), (255, 0, 0, 0))  # pure cyan ink
    result = Image.open(io.BytesIO(made(pictures.encode(image, "JPEG"), "jpeg")))
    assert result.mode == "RGB"
    red, green, blue = result.getpixel((20, 20))  # type: ignore[misc]
    assert red < 60
    assert min(green, blue) > 130


def test_a_broken_profile_counts_as_srgb() -> None:
    image = pictures.structure(64, 64)
    data = pictures.encode(image, "PNG", icc_profile=b"this is no profile at all" * 20)
    assert difference(pictures.pixels_of(made(data, "png")), pictures.pixels_of(image)) < 1


def test_an_srgb_profile_changes_nothing() -> None:
    image = pictures.structure(64, 64)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = pictures.encode(image, "PNG", icc_profile=profile)
    assert difference(pictures.pixels_of(made(data, "png")), pictures.pixels_of(image)) < 1.5


def test_of_an_animation_the_first_frame() -> None:
    frames = [Image.new("RGB", (40, 30), color) for color in ["red", "lime", "blue"]]
    data = pictures.encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    result = made(data, "png")
    assert pictures.pixels_of(result)[15, 20].tolist() == [255, 0, 0]
    assert Image.open(io.BytesIO(result)).size == (40, 30)


def test_progress_ends_at_the_whole(photo: bytes) -> None:
    seen: list[int] = []
    made(photo, width=1500, on_percent=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 3
    assert seen[-1] >= 95
