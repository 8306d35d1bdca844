"""The browser's part of the web service, built by Vite from ``web_service/ui``."""

import os
from pathlib import Path

from scripts.environment import node, stamps
from scripts.environment.console import run, say, step

_NOT_SOURCES = {"node_modules", "dist"}


def build(root: Path) -> None:
    """Build ``web_service/ui/dist``, unless it was built from these very sources.

    Raises:
        SetupError: there is no Node.js and none can be installed, or the build failed.
    """
    folder = root / "web_service" / "ui"
    if not (folder / "package.json").exists():
        say("==> web_service/ui has no package.json; the web service will have no page")
        return
    stamp = folder / "dist" / ".built-from"
    value = _sources_digest(folder)
    if stamps.is_current(stamp, value):
        return
    npm = install(root)
    with step("Building the page (web_service/ui)"):
        command = [*npm.command, "run", "build"]
        run(command, cwd=folder, environ=npm.environ, remedy=node.again(root, folder))
    stamps.write(stamp, value)


def install(root: Path) -> node.Npm:
    """Install the page's locked npm packages; returns the npm that did it.

    Raises:
        SetupError: as :func:`build`.
    """
    return node.install(root, root / "web_service" / "ui", "the page")


def _sources_digest(folder: Path) -> str:
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_SOURCES]
        files += [Path(parent) / name for name in names]
    return stamps.digest(files, *sorted(str(file.relative_to(folder)) for file in files))
