import os
from pathlib import Path

import pytest

from scripts.environment import ui
from scripts.environment.console import SetupError

NPM = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
    ci) mkdir -p node_modules;;
    run) [ -z "$NPM_FAILS" ] || exit 1; mkdir -p dist; echo built > dist/index.html;;
esac
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page's sources, and an ``npm`` that only writes down what it is asked for."""
    folder = tmp_path / "web_service" / "ui"
    (folder / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "src/main.ts"):
        (folder / name).write_text(name)
    for name, text in (
        ("npm", NPM.format(log=tmp_path / "asked")),
        ("node", "#!/bin/sh\necho v22.12.0\n"),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def asked(root: Path) -> list[str]:
    log = root / "asked"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [line.split(" --")[0] for line in lines]


def test_the_page_is_built_once(root: Path) -> None:
    ui.build(root)
    assert asked(root) == ["ci", "run build"]
    ui.build(root)
    assert asked(root) == []


@pytest.mark.parametrize("name", ["src/main.ts", "src/new.ts", "index.html"])
def test_the_page_is_built_again_after_a_change(root: Path, name: str) -> None:
    ui.build(root)
    asked(root)
    (root / "web_service" / "ui" / name).write_text("changed")
    ui.build(root)
    assert asked(root) == ["run build"]


def test_packages_are_installed_again_after_a_change_of_the_lock(root: Path) -> None:
    ui.build(root)
    asked(root)
    (root / "web_service" / "ui" / "package-lock.json").write_text("changed")
    ui.build(root)
    assert asked(root) == ["ci", "run build"]


def test_a_failed_build_is_no_build(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_FAILS", "1")
    with pytest.raises(SetupError, match="npm run build failed"):
        ui.build(root)
    monkeypatch.delenv("NPM_FAILS")
    asked(root)
    ui.build(root)
    assert asked(root) == ["run build"]


def test_without_sources_there_is_nothing_to_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ui.build(tmp_path)
    assert "no page" in capsys.readouterr().out
