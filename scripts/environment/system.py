"""Programs that come from the operating system: found, or installed by apt-get."""

import os
import shutil
from collections.abc import Sequence

from scripts.environment.console import SetupError, run, step, warn


def apt_install(package: str, reason: str) -> None:
    """Install a Debian package, where we may.

    Raises:
        SetupError: we are not root, there is no apt-get, or it failed; tells the command.
    """
    command = f"apt-get install -y --no-install-recommends {package}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(f"{package} is needed {reason}. As root: {command}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"Installing {package} by apt-get, {reason}"):
        quiet = ["apt-get", "-q", "-o", "Dpkg::Use-Pty=0"]
        run([*quiet, "update"], remedy=f"Then: {command}", environ=environ)
        run(
            [*quiet, "install", "-y", "--no-install-recommends", package],
            remedy=f"By hand: {command}",
            environ=environ,
        )


def program(variable: str, names: Sequence[str], package: str, reason: str) -> str | None:
    """The path of a program: named by an environment variable, on PATH, or now installed.

    Without it some tests are skipped, and this warns; in CI (``CI`` is set) it raises.

    Raises:
        SetupError: it isn't there and can't be installed, in CI.
    """
    if given := os.environ.get(variable):
        if shutil.which(given):
            return given
        raise SetupError(f"{variable}={given} is no program that can be started")
    if found := _first(names):
        return found
    try:
        apt_install(package, reason)
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        warn(
            f"    {error}\n    (Without it some tests are skipped; set {variable} if you have it.)"
        )
    return _first(names)


def _first(names: Sequence[str]) -> str | None:
    return next((found for name in names if (found := shutil.which(name))), None)
