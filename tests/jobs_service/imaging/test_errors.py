import os

import pytest
import pyvips

from jobs_service.imaging.errors import ImageError
from jobs_service.imaging.source import open_source
from tests.jobs_service.imaging import pictures


def test_a_picture_is_not_blamed_for_a_lack_of_memory() -> None:
    fd = pictures.in_memfd(pictures.small("PNG"))
    source = open_source(fd, "a.png")
    os.close(fd)
    with pytest.raises(MemoryError):
        raise source.damage(pyvips.Error("vips_malloc: out of memory --- size == 48MB"))
    with pytest.raises(ImageError) as caught:
        raise source.damage(pyvips.Error("vipspng: libpng read error"))
    assert caught.value.code == "bad-image"
    assert str(caught.value) == caught.value.reason
