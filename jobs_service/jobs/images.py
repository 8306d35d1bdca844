"""Thumbnails and conversions of pictures, by libvips."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

from jobs_service.imaging.errors import ImageError
from jobs_service.imaging.render import ENCODINGS, own_format, render
from jobs_service.imaging.source import Source, open_source
from jobs_service.job import Discard, Input, Run, job
from shared.contracts.images import Convert, ImageFile, ImageFormat, Thumbnail


@job(Thumbnail)
def thumbnail(params: Thumbnail, run: Run) -> ImageFile:
    """A small copy of ``params.source``; raises Discard for a picture that can't be used."""
    given = run.input(params.source)
    with _discarding():
        source = open_source(given.fd, given.filename)
        form = params.format or own_format(source)
        return _make(run, given, source, form, params.quality, params.width, params.height)


@job(Convert)
def convert(params: Convert, run: Run) -> ImageFile:
    """``params.source`` in another format; raises Discard for a picture that can't be used."""
    given = run.input(params.source)
    with _discarding():
        source = open_source(given.fd, given.filename)
        return _make(run, given, source, params.format, params.quality, params.width, None)


def _make(
    run: Run,
    given: Input,
    source: Source,
    form: ImageFormat,
    quality: int,
    width: int | None,
    height: int | None,
) -> ImageFile:
    encoding = ENCODINGS[form]
    filename = (PurePath(given.filename).stem or "image") + encoding.extension
    output = run.output(filename, encoding.content_type)
    made_width, made_height = render(
        source,
        output.fd,
        format=form,
        quality=quality,
        width=width,
        height=height,
        on_percent=lambda percent: run.progress(percent, 100),
    )
    return ImageFile(
        id=output.id,
        filename=filename,
        content_type=encoding.content_type,
        size=output.size,
        width=made_width,
        height=made_height,
        source_size=given.size,
    )


@contextmanager
def _discarding() -> Iterator[None]:
    """A bad picture stays bad, so a job with one is not tried again."""
    try:
        yield
    except ImageError as error:
        raise Discard(error.code, error.reason) from error
