import io
from typing import Any

import pytest
from PIL import Image

from jobs_service.job import Discard
from jobs_service.jobs.images import convert, thumbnail
from shared.contracts.images import Convert, ImageFile, Thumbnail
from tests.jobs_service.imaging import pictures
from tests.jobs_service.jobs.runs import FILE, FIRST_OUTPUT, contents, running


def made(job: Any, params: Any, filename: str, data: bytes) -> tuple[ImageFile, bytes]:
    with running({FILE: (filename, data)}) as (run, progress):
        result = job.function(params, run)
        (file,) = contents(run)
        (output,) = run.outputs
        assert (output.id, output.filename) == (result.id, result.filename)
        assert output.content_type == result.content_type
        assert [step.total for step in progress] == [100] * len(progress)
        return result, file


def test_thumbnail() -> None:
    data = pictures.small("JPEG")
    result, file = made(thumbnail, Thumbnail(source=FILE, width=64), "Sea side.JPG", data)
    assert result == ImageFile(
        id=FIRST_OUTPUT,
        filename="Sea side.jpg",
        content_type="image/jpeg",
        size=len(file),
        width=64,
        height=48,
        source_size=len(data),
    )
    image = Image.open(io.BytesIO(file))
    assert (image.format, image.size) == ("JPEG", (64, 48))


def test_a_thumbnail_fits_into_both_sides_and_into_another_format() -> None:
    params = Thumbnail(source=FILE, width=64, height=12, format="webp", quality=50)
    result, file = made(thumbnail, params, "a.b.png", pictures.small("PNG"))
    assert (result.filename, result.width, result.height) == ("a.b.webp", 16, 12)
    assert Image.open(io.BytesIO(file)).format == "WEBP"


@pytest.mark.parametrize(
    ("form", "extension", "content_type"),
    [
        ("jpeg", ".jpg", "image/jpeg"),
        ("png", ".png", "image/png"),
        ("webp", ".webp", "image/webp"),
        ("avif", ".avif", "image/avif"),
    ],
)
def test_convert(form: Any, extension: str, content_type: str) -> None:
    params = Convert(source=FILE, format=form)
    result, file = made(convert, params, "IMG_1.heic", pictures.small("HEIC"))
    assert (result.filename, result.content_type) == (f"IMG_1{extension}", content_type)
    assert (result.width, result.height) == (320, 240)
    assert Image.open(io.BytesIO(file)).format == form.upper()


def test_convert_makes_smaller_but_never_larger() -> None:
    for width, expected in [(100, 100), (8000, 320)]:
        params = Convert(source=FILE, format="png", width=width)
        assert made(convert, params, "a", pictures.small("GIF"))[0].width == expected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty-file"),
        (b"%PDF-1.7", "bad-image"),
        (b"dear all,", "bad-image"),
        (b"<svg/>", "unsupported-format"),
        (pictures.small("JPEG")[:-5000], "truncated-image"),
        (pictures.small("PNG")[:-5000], "truncated-image"),
        (pictures.bomb(), "too-many-pixels"),
    ],
)
@pytest.mark.parametrize(
    ("job", "params"),
    [
        (thumbnail, Thumbnail(source=FILE, width=50)),
        (convert, Convert(source=FILE, format="webp")),
    ],
)
def test_a_bad_picture_is_never_tried_again(job: Any, params: Any, data: bytes, code: str) -> None:
    with running({FILE: ("IMG_2.heic", data)}) as (run, _progress):
        with pytest.raises(Discard) as caught:
            job.function(params, run)
        assert caught.value.code == code
        assert caught.value.reason.startswith("IMG_2.heic ")
