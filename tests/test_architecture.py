"""What must hold for every module, and that import-linter can't see."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.script import clean_environment

PACKAGES = ("settings", "shared", "jobs_service", "web_service", "scripts", "benchmarks")
CHILD_SIDE = (
    "jobs_service.pool.child",
    "jobs_service.job",
    "jobs_service.memfd",
    "jobs_service.jobs.system",
    "jobs_service.jobs.images",
)
EVENT_LOOP = ("asyncio", "uvloop", "aiohttp", "websockets", "pymongo", "motor")
PROTOCOL_FREE_OF = ("asyncio", "socket", "ssl", "websockets", "aiohttp", "pymongo")
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "node_modules" not in file.parts:
                yield file


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def fresh(code: str) -> str:
    """What ``code`` prints in an interpreter that has imported nothing of ours."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_modules_are_short() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in sources(*PACKAGES)
        if (lines := len(file.read_text().splitlines())) > MAX_MODULE_LINES
    }
    assert not long


def test_functions_are_short() -> None:
    long = {}
    for file in sources(*PACKAGES):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long[f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"] = lines
    assert not long


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_imports_alone_and_starts_nothing(package: str) -> None:
    names = [module_name(file) for file in sources(package) if file.name != "__main__.py"]
    code = f"""
import importlib, threading
for name in {names!r}:
    importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
"""
    assert fresh(code) == ""


@pytest.mark.parametrize("module", CHILD_SIDE)
def test_children_of_the_pool_load_no_event_loop(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(fresh(code)))
    assert module in loaded
    assert not loaded & set(EVENT_LOOP)


def test_protocol_loads_nothing_that_does_io() -> None:
    names = [module_name(file) for file in sources("shared/rpc/ddp")]
    # What its parents (shared, shared.rpc) load counts too: they are loaded with it.
    code = f"import json, sys, {', '.join(names)}; print(json.dumps(sorted(sys.modules)))"
    assert not set(json.loads(fresh(code))) & set(PROTOCOL_FREE_OF)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_have_hashes_and_no_addresses(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host", text)
    requirements = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert requirements
    for requirement in requirements:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_page_s_lock_has_no_addresses() -> None:
    lock = json.loads((ROOT / "web_service" / "ui" / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    unchecked = [
        name
        for name, package in lock["packages"].items()
        if name.startswith("node_modules/") and "integrity" not in package
    ]
    assert not unchecked


def test_tests_run_on_the_very_packages_of_the_services() -> None:
    locked = {
        name: set(
            re.findall(r"^\S+==\S+", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE)
        )
        for name in ("runtime", "embedded", "dev")
    }
    assert locked["runtime"] < locked["embedded"] < locked["dev"]


def test_the_project_s_dependencies_are_what_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name, declared in (
        ("runtime", project["project"]["dependencies"]),
        ("embedded", project["project"]["optional-dependencies"]["embedded"]),
        ("dev", project["dependency-groups"]["dev"]),
    ):
        text = (ROOT / f"requirements/{name}.in").read_text()
        lines = [line for line in text.splitlines() if line and line[0] not in "#-"]
        assert sorted(lines) == sorted(declared)
