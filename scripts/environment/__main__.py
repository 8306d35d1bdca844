"""Entry of ``scripts/run``, ``test``, ``check``, ``bench`` and ``seed``: prepares, then becomes the program."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from scripts.environment import node, packages, stamps, system, ui
from scripts.environment.console import SetupError, say, step, warn
from scripts.supervisor import options

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> NoReturn:
    """Run one of the commands, or end with a message."""
    name, *rest = arguments
    commands: dict[str, Callable[[list[str]], list[str]]] = {
        "run": _run,
        "test": _test,
        "check": _check,
        "seed": _seed,
        "bench": _bench,
    }
    try:
        with stamps.one_at_a_time(ROOT / "requirements"):
            command = commands[name](rest)
    except SetupError as error:
        warn(f"scripts/{name}: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    if name == "test":
        command = _checked(command)
    _become(command)


def _run(arguments: list[str]) -> list[str]:
    options.parse(arguments)  # --help and mistakes first, before minutes of set-up
    packages.install(ROOT, "embedded")
    ui.build(ROOT)
    return ["-m", "scripts.supervisor", *arguments]


def _seed(arguments: list[str]) -> list[str]:
    packages.install(ROOT, "embedded")
    return ["-m", "scripts.seed", *arguments]


def _check(arguments: list[str]) -> list[str]:
    packages.install(ROOT, "dev")
    return ["-m", "scripts.checks", *arguments]


def _bench(arguments: list[str]) -> list[str]:
    packages.install(ROOT, "dev")
    return ["-m", "benchmarks", *arguments]


def _test(arguments: list[str]) -> list[str]:
    packages.install(ROOT, "dev")
    _find_programs()
    ui.build(ROOT)
    _install_clients()
    return ["-m", "pytest", *arguments]


def _checked(command: list[str]) -> list[str]:
    """Check first, unless told not to. Whatever comes of it, the tests run and have the last word:
    after a failure pytest says so at its end, and fails (``tests/conftest.py``).
    """
    os.chdir(ROOT)
    if "--no-check" in command:
        return [argument for argument in command if argument != "--no-check"]
    with step("Checking (scripts/check)"):
        python = packages.python_in(ROOT)
        if subprocess.run([python, "-m", "scripts.checks"], check=False).returncode:
            os.environ["CHECKS_FAILED"] = "1"
    say("==> Running the tests")
    return command


def _find_programs() -> None:
    """Say to the tests where the programs are that no Python package brings."""
    chromium = system.program(
        "CHROMIUM",
        ["chromium", "chromium-browser", "google-chrome"],
        "chromium",
        "for browser tests",
    )
    office = system.program(
        "SOFFICE", ["soffice", "libreoffice"], "libreoffice-calc-nogui", "to open the reports"
    )
    os.environ.update(
        {name: path for name, path in [("CHROMIUM", chromium), ("SOFFICE", office)] if path}
    )


def _install_clients() -> None:
    """Have the DDP clients of others at hand, and say to the tests which Node.js runs them."""
    npm = node.install(ROOT, ROOT / "tests" / "conformance" / "clients", "the tests' DDP clients")
    if npm.node:
        os.environ.setdefault("NODE", npm.node)


def _become(command: list[str]) -> NoReturn:
    """Go on as the virtual environment's Python, in this same process."""
    python = str(packages.python_in(ROOT))
    sys.stdout.flush()
    os.execv(python, [python, *command])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
