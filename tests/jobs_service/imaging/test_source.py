import os
from collections.abc import Callable

import pytest
from PIL import Image

from jobs_service.imaging import source as source_module
from jobs_service.imaging.errors import ImageError
from jobs_service.imaging.render import render
from jobs_service.imaging.source import Source, open_source
from tests.jobs_service.imaging import pictures

FORMATS = ["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "GIF", "TIFF"]


def opened(data: bytes, name: str = "a.jpg") -> Source:
    fd = pictures.in_memfd(data)
    try:
        return open_source(fd, name)
    finally:
        os.close(fd)


def refused(act: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        act()
    return caught.value.code, caught.value.reason


def decode(data: bytes) -> None:
    source = opened(data)
    fd = pictures.output()
    try:
        render(source, fd, format="jpeg", quality=80, width=100)
    finally:
        os.close(fd)


@pytest.mark.parametrize("form", FORMATS)
def test_the_header_tells_kind_and_size(form: str) -> None:
    source = opened(pictures.small(form))
    assert source.kind.name == form
    assert (source.width, source.height) == (pictures.SMALL_WIDTH, pictures.SMALL_HEIGHT)


def test_width_and_height_are_those_of_the_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = opened(pictures.encode(pictures.structure(80, 50), "JPEG", exif=exif))
    assert (source.width, source.height) == (50, 80)


def test_an_empty_file() -> None:
    code, reason = refused(lambda: opened(b"", "holiday.jpg"))
    assert code == "empty-file"
    assert reason == "holiday.jpg is empty (0 bytes). Send it again."


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"%PDF-1.4\n1 0 obj", " (it looks like PDF)"),
        (b"just a letter\n", " (it looks like text)"),
        (b"\x00\x01\x02\x03" * 50, ""),
    ],
)
def test_what_is_no_image_is_named(data: bytes, looks: str) -> None:
    code, reason = refused(lambda: opened(data, "IMG_2.heic"))
    assert code == "bad-image"
    assert reason == (
        f"IMG_2.heic is not an image we can read{looks}. "
        "Send JPEG, PNG, WebP, AVIF, HEIC, GIF or TIFF."
    )


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "SVG"),
        (b"BM\x00\x00\x00\x00", "BMP"),
        (b"8BPS\x00\x01", "Photoshop"),
    ],
)
def test_images_of_other_formats_are_refused_as_such(data: bytes, name: str) -> None:
    code, reason = refused(lambda: opened(data, "logo"))
    assert code == "unsupported-format"
    assert reason.startswith(f"logo is a picture in the {name} format, which we do not read.")


def test_a_bomb_is_refused_from_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "pixels", None)  # nothing may be decoded
    data = pictures.bomb()
    assert len(data) < 250_000
    code, reason = refused(lambda: opened(data, "bomb.png"))
    assert code == "too-many-pixels"
    assert "40,000 × 40,000 is 1,600 megapixels, and the limit is 100" in reason


def test_too_many_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("L", (8, 8), shade) for shade in range(6)]
    data = pictures.encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert opened(data).width == 8
    monkeypatch.setattr(source_module, "MAX_FRAMES", 5)
    assert refused(lambda: opened(data))[0] == "too-many-frames"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.99, 0.9, 0.5, 0.1])
def test_a_truncated_file_is_called_truncated(form: str, share: float) -> None:
    data = pictures.small(form)
    code, reason = refused(lambda: decode(data[: int(len(data) * share)]))
    assert code == "truncated-image"
    assert "the end of the" in reason


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_but_a_beginning_is_refused(form: str) -> None:
    code, _reason = refused(lambda: decode(pictures.small(form)[:20]))
    assert code in {"truncated-image", "bad-image"}


def test_a_png_with_damage_inside_is_a_damaged_file() -> None:
    data = bytearray(pictures.small("PNG"))
    data[len(data) // 2] ^= 0xFF
    code, reason = refused(lambda: decode(bytes(data)))
    assert code == "bad-image"
    assert reason == "a.jpg is a damaged PNG file that we can't read. Send another copy."


def test_a_source_does_not_depend_on_the_position_of_its_descriptor() -> None:
    fd = pictures.in_memfd(pictures.small("JPEG"))
    os.lseek(fd, 0, os.SEEK_END)
    source = open_source(fd, "a.jpg")
    os.lseek(fd, 17, os.SEEK_SET)
    os.close(fd)
    out = pictures.output()
    assert render(source, out, format="png", quality=80) == (320, 240)
    os.close(out)
