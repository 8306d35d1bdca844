import subprocess
import sys

import pytest
import pyvips

from jobs_service.imaging import engine

FORKS = """
import os, sys
from jobs_service import memfd
import jobs_service.jobs.images
from jobs_service.imaging.render import render
from jobs_service.imaging.source import open_source

assert len(os.listdir("/proc/self/task")) == 1, "importing started a thread"
picture = memfd.create_with("picture", sys.stdin.buffer.read())
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        made = memfd.create("made")
        size = render(open_source(picture, "a"), made, format="webp", quality=80, width=100)
        os._exit(0 if size == (100, 75) and memfd.size(made) else 3)
    assert os.waitpid(pid, 0)[1] == 0, "a child failed"
print("all fine")
"""


def test_importing_the_jobs_leaves_libvips_fit_for_a_fork() -> None:
    from tests.jobs_service.imaging import pictures

    done = subprocess.run(
        [sys.executable, "-c", FORKS],
        input=pictures.small("HEIC"),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"all fine\n", done.stderr.decode()


@pytest.mark.parametrize(
    "data",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        b"P6 1 1 255 abc",
        b"1,2,3\n4,5,6\n",
    ],
)
def test_untrusted_loaders_are_blocked(data: bytes) -> None:
    engine.prepare()
    with pytest.raises(pyvips.Error):
        pyvips.Image.new_from_buffer(data, "")
    with pytest.raises(pyvips.Error):
        pyvips.Image.svgload_buffer(b'<svg width="9" height="9"/>')


def test_one_thread_and_no_cache() -> None:
    engine.prepare()
    assert pyvips.concurrency_get() == 1
    assert pyvips.cache_get_max() == 0
