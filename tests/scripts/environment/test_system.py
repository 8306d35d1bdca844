import os
from pathlib import Path

import pytest

from scripts.environment import system
from scripts.environment.console import SetupError

REASON = "for browser tests"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("CHROMIUM", raising=False)
    return tmp_path


def program(path: Path, script: str = "") -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def find() -> str | None:
    return system.program("CHROMIUM", ["chromium", "google-chrome"], "chromium", REASON)


def test_one_that_is_named_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder / "chromium")
    mine = program(folder / "mine")
    monkeypatch.setenv("CHROMIUM", mine)
    assert find() == mine
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    with pytest.raises(SetupError, match="CHROMIUM=/nowhere/chromium is no program"):
        find()


def test_one_on_path_is_taken(folder: Path) -> None:
    found = program(folder / "google-chrome")
    assert find() == found


def test_a_missing_one_is_installed_by_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    made = folder / "chromium"
    program(
        folder / "apt-get",
        f'case "$*" in *install*chromium*) echo "#!/bin/sh" > {made}; /bin/chmod 755 {made};; esac',
    )
    assert find() == str(made)


def test_a_missing_one_is_told_to_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find() is None
    assert "As root: apt-get install -y --no-install-recommends chromium" in capsys.readouterr().err


def test_a_missing_one_fails_in_ci(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("CI", "1")
    with pytest.raises(SetupError, match="chromium is needed for browser tests"):
        find()
