"""The virtual environment in ``.venv`` and the locked packages in it."""

import shutil
import subprocess
import sys
from pathlib import Path

from scripts.environment import stamps, system
from scripts.environment.console import SetupError, run, say, step

_INCLUDES = {"embedded": ("embedded",), "dev": ("dev", "embedded"), "node": ("node",)}
"""A lock file and the lock files that it contains."""

_NETWORK = "If the network was at fault, run this again: what is done stays done."


def python_in(root: Path) -> Path:
    """The interpreter of the virtual environment."""
    return root / ".venv" / "bin" / "python"


def install(root: Path, name: str) -> None:
    """Make sure that ``.venv`` exists and holds all of ``requirements/{name}.txt``.

    Raises:
        SetupError: it can't be made, or a package can't be had.
    """
    lock = root / "requirements" / f"{name}.txt"
    stamp = root / ".venv" / f".installed-{name}"
    if stamps.is_current(stamp, _value(lock)) and python_in(root).exists():
        return
    _ensure_venv(root)
    with step(f"Installing the packages of requirements/{lock.name}"):
        run([*_installer(root), "--require-hashes", "-r", lock], remedy=_NETWORK)
    for included in _INCLUDES[name]:
        other = root / "requirements" / f"{included}.txt"
        stamps.write(root / ".venv" / f".installed-{included}", _value(other))


def _value(lock: Path) -> str:
    return stamps.digest([lock])


def _ensure_venv(root: Path) -> None:
    venv = root / ".venv"
    if _works(root):
        return
    if venv.exists():
        say("==> .venv does not work (interrupted, or its Python is gone); making it anew")
        shutil.rmtree(venv)
    with step(f"Creating .venv with Python {sys.version.split()[0]}"):
        if uv := shutil.which("uv"):
            run(
                [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, venv],
                remedy="Remove .venv and try again.",
            )
            return
        if not _has_module(Path(sys.executable), "ensurepip"):
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            system.apt_install(f"python{version}-venv", "so that a virtual environment can be made")
        run([sys.executable, "-m", "venv", venv], remedy="Remove .venv and try again.")


def _works(root: Path) -> bool:
    python = python_in(root)
    if not python.exists():
        return False
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    done = subprocess.run([python, "-c", check], capture_output=True, check=False)
    return done.returncode == 0 and (bool(shutil.which("uv")) or _has_module(python, "pip"))


def _has_module(python: Path, module: str) -> bool:
    done = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
    return done.returncode == 0


def _installer(root: Path) -> list[str | Path]:
    python = python_in(root)
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", python]
    if not _has_module(python, "pip"):
        raise SetupError(".venv has no pip, and there is no uv. Remove .venv and try again.")
    return [python, "-m", "pip", "install", "--disable-pip-version-check"]
