"""Prints that never fail."""

import os

import pytest

from jobs_service.pool.stderr import stderr_stream


def test_lines_come_out_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    stream = stderr_stream()
    stream.write("a line\n")
    assert capfd.readouterr().err == "a line\n"
    stream.write("and half")
    assert capfd.readouterr().err == ""
    stream.flush()
    assert capfd.readouterr().err == "and half"


def test_what_is_no_unicode_is_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    stderr_stream().write("\ud800\n")
    assert capfd.readouterr().err == "\\ud800\n"


def test_a_stderr_that_nobody_reads_is_no_error() -> None:
    reader, writer = os.pipe()
    kept = os.dup(2)
    try:
        os.dup2(writer, 2)
        os.close(writer)
        os.close(reader)
        stream = stderr_stream()
        assert stream.write("lost\n") == 5
        stream.flush()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
