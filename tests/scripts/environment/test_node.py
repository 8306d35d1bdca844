import os
from pathlib import Path

import pytest

from scripts.environment import node

NPM = """#!/bin/sh
echo "$PWD: $1" >> {log}
mkdir -p node_modules
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with locked packages, and an ``npm`` that only writes down what it is asked for."""
    folder = tmp_path / "clients"
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_text(name)
    for name, text in (
        ("npm", NPM.format(log=tmp_path / "asked")),
        ("node", "#!/bin/sh\necho v22.12.0\n"),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return folder


def test_packages_are_installed_once_and_again_after_a_change_of_the_lock(folder: Path) -> None:
    root, log = folder.parent, folder.parent / "asked"
    npm = node.install(root, folder, "the tests")
    assert npm.node == str(root / "node")
    node.install(root, folder, "the tests")
    assert log.read_text() == f"{folder}: ci\n"
    (folder / "package-lock.json").write_text("changed")
    node.install(root, folder, "the tests")
    assert log.read_text() == f"{folder}: ci\n" * 2
