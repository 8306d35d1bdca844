"""Memory files: their contents, their seals, their positions."""

import os

import pytest

from jobs_service import memfd


def test_a_sealed_memfd_cannot_change() -> None:
    fd = memfd.create_with("test", b"12345")
    assert memfd.is_sealed(fd)
    assert (memfd.read(fd), memfd.size(fd)) == (b"12345", 5)
    with pytest.raises(PermissionError):
        os.write(fd, b"6")
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    memfd.close(fd)


def test_an_open_one_can() -> None:
    fd = memfd.create("test")
    memfd.write(fd, b"123")
    memfd.write(fd, memoryview(b"45"))
    assert not memfd.is_sealed(fd)
    assert memfd.read(fd) == b"12345"
    memfd.close(fd)


def test_a_reopened_one_has_a_position_of_its_own_and_cannot_write() -> None:
    fd = memfd.create("test")
    memfd.write(fd, b"12345")
    again = memfd.reopen(fd)
    assert os.read(again, 3) == b"123"
    os.lseek(fd, 0, os.SEEK_SET)
    assert os.read(again, 3) == b"45"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(again, b"6")
    memfd.close(fd)
    memfd.close(again)


def test_closing_twice_is_fine() -> None:
    fd = memfd.create("test")
    memfd.close(fd)
    memfd.close(fd)


def test_a_failure_while_filling_leaves_nothing_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(TypeError):
        memfd.create_with("test", "text")  # type: ignore[arg-type]
    assert len(os.listdir("/proc/self/fd")) == before
