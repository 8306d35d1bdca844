"""Programs that some tests need and no Python package brings; ``scripts/test`` finds them."""

import os
import shutil

import pytest


def chromium() -> str:
    """A Chromium to give to Playwright as ``executable_path``; skips the test without one."""
    return _program("CHROMIUM", ("chromium", "chromium-browser", "google-chrome"), "chromium")


def soffice() -> str:
    """LibreOffice's ``soffice``; skips the test without one."""
    return _program("SOFFICE", ("soffice", "libreoffice"), "libreoffice-calc-nogui")


def node() -> str:
    """Node.js, for clients that are written for it; skips the test without it."""
    return _program("NODE", ("node",), "nodejs")


def _program(variable: str, names: tuple[str, ...], package: str) -> str:
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        message = f"needs {names[0]}: apt-get install -y --no-install-recommends {package}"
        if os.environ.get("CI"):  # nothing may be left out there
            pytest.fail(message)
        pytest.skip(message)
    return found
