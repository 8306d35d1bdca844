import os
import sys
from pathlib import Path

import pytest

from scripts.environment import packages
from scripts.environment.console import SetupError

UV = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
    venv) for last; do :; done; mkdir -p "$last/bin"; ln -s {python} "$last/bin/python";;
    pip) exit ${{UV_FAILS:-0}};;
esac
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with lock files, and a ``uv`` that only writes down what it is asked for."""
    (tmp_path / "requirements").mkdir()
    for name in ("embedded", "dev", "node"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
    uv = tmp_path / "uv"
    uv.write_text(UV.format(log=tmp_path / "asked", python=sys.executable))
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def asked(root: Path) -> list[str]:
    """What was asked of ``uv`` since last time, by command and lock file."""
    log = root / "asked"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [f"{line.split()[0]} {Path(line.split()[-1]).name}" for line in lines]


def test_packages_are_installed_once(root: Path) -> None:
    packages.install(root, "embedded")
    assert asked(root) == ["venv .venv", "pip embedded.txt"]
    packages.install(root, "embedded")
    assert asked(root) == []


def test_packages_are_installed_again_after_a_change_of_the_lock(root: Path) -> None:
    packages.install(root, "embedded")
    (root / "requirements" / "embedded.txt").write_text("embedded==2\n")
    asked(root)
    packages.install(root, "embedded")
    assert asked(root) == ["pip embedded.txt"]


def test_the_tests_packages_hold_those_of_the_services(root: Path) -> None:
    packages.install(root, "dev")
    assert asked(root) == ["venv .venv", "pip dev.txt"]
    packages.install(root, "embedded")
    assert asked(root) == []


def test_hashes_are_asked_for(root: Path) -> None:
    packages.install(root, "embedded")
    assert "--require-hashes" in (root / "asked").read_text()


def test_a_failed_installation_is_tried_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_FAILS", "2")
    with pytest.raises(SetupError, match=r"failed with status 2\. If the network"):
        packages.install(root, "embedded")
    monkeypatch.setenv("UV_FAILS", "0")
    asked(root)
    packages.install(root, "embedded")
    assert asked(root) == ["pip embedded.txt"]


def test_an_environment_whose_python_is_gone_is_made_anew(root: Path) -> None:
    packages.install(root, "embedded")
    python = packages.python_in(root)
    python.unlink()
    python.symlink_to("/nowhere/python")
    asked(root)
    packages.install(root, "embedded")
    assert asked(root) == ["venv .venv", "pip embedded.txt"]
