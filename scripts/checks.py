"""Every check of the sources in one place: for people, for ``scripts/test`` and for CI."""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from scripts.environment import ui
from scripts.environment.console import SetupError, say

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


class Check(NamedTuple):
    """A tool, and the same tool told to repair what it can."""

    name: str
    command: list[str]
    repair: list[str] | None = None


CHECKS = [
    Check("format", ["ruff", "format", "--check", "--quiet"], ["ruff", "format", "--quiet"]),
    Check("lint", ["ruff", "check", "--quiet"], ["ruff", "check", "--quiet", "--fix"]),
    Check("types", ["mypy", "--no-error-summary"]),
    Check("imports", ["lint-imports", "--no-logo"]),
    Check("unused", ["vulture"]),
]


def main() -> int:
    """Run all checks, also after one has failed; returns how many failed."""
    parser = argparse.ArgumentParser(prog="scripts/check", description=__doc__)
    parser.add_argument("--fix", action="store_true", help="repair what can be repaired")
    fix = parser.parse_args().fix
    checks = [
        check._replace(command=check.repair) if fix and check.repair else check for check in CHECKS
    ]
    failed = [check.name for check in checks if not _passes(check)]
    if not _page_passes():
        failed.append("page")
    if failed:
        say(f"    failed: {', '.join(failed)}")
    return len(failed)


def _passes(check: Check) -> bool:
    """Run one check; its output is shown only when it fails."""
    program, *arguments = check.command
    return _run(check.name, [str(BIN / program), *arguments], cwd=ROOT)


def _page_passes() -> bool:
    """The same for ``npm run check`` of the browser's part."""
    folder = ROOT / "web_service" / "ui"
    if not (folder / "package.json").exists():
        return True
    try:
        npm = ui.install(ROOT)
    except SetupError as error:
        say(f"    page     failed: {error}")
        return False
    command = [*npm.command, "run", "--silent", "check"]
    return _run("page", command, cwd=folder, environ=npm.environ)


def _run(name: str, command: list[str], cwd: Path, environ: dict[str, str] | None = None) -> bool:
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    verdict = "FAILED" if done.returncode else "ok"
    say(f"    {name:<8} {verdict} ({time.monotonic() - began:.1f} s)")
    if done.returncode:
        say((done.stdout + done.stderr).rstrip())
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
