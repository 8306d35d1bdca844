"""The documentation says what is there: its links, paths, names and examples are held to the code."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
import pytest

from jobs_service.calls import Calls
from jobs_service.pool.work import FailureKind
from settings.schema import Settings
from shared.contracts.contract import contracts_in
from tests.support.paths import ROOT
from tests.support.script import clean_environment
from web_service import app, problems
from web_service.accounts import Accounts
from web_service.live import Live
from web_service.sockjs.endpoint import SockJs

DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
FOLDERS = (
    *("benchmarks", "docs", "jobs_service", "requirements"),
    *("scripts", "settings", "shared", "tests", "web_service"),
)
SOURCES = ("jobs_service", "shared", "web_service")
BUILT = "web_service/ui/dist"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|\bsrc(?:set)?=\"([^\"]+)\"")
OUR_PATH = re.compile(rf"(?<![\w/.-])(?:\./)?((?:{'|'.join(FOLDERS)})/[\w./@-]*)")

PARAMETER, BRACED = re.compile(r"{(\w+):[^}]*}"), r"{\1}"
"""A parameter of a route that has a pattern, and the same without."""

# What raises an error code, and which of its arguments is the code.
RAISERS = {
    "Problem": 1,
    "Discard": 0,
    "ImageError": 0,
    "RunFailed": 1,
    "MethodError": 0,
    "CallFailed": 0,
    "_discarded": 0,
    "_fail": 2,
}
BY_KEYWORD = ("JobError", "Outcome")


def text_of(*parts: str) -> str:
    return DOCS.joinpath(*parts).read_text()


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def examples(page: Path) -> dict[str, str]:
    """The files that a page tells its reader to make: code that begins with ``# path``."""
    found = {}
    for _language, code in FENCE.findall(page.read_text()):
        first = code.partition("\n")[0]
        if matched := re.fullmatch(r"# ([\w/]+\.py)", first):
            found[matched[1]] = code
    return found


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for folder in SOURCES:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "node_modules" not in file.parts:
                yield file, ast.parse(file.read_text())


def code_of(call: ast.Call) -> object:
    """The literal code that a call raises or stores, if it is one of those."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    node: ast.expr | None = None
    if name in BY_KEYWORD:
        node = next((k.value for k in call.keywords if k.arg == "code"), None)
    elif name in RAISERS and len(call.args) > RAISERS[name]:
        node = call.args[RAISERS[name]]
    return node.value if isinstance(node, ast.Constant) else None


def raised_codes() -> set[str]:
    found = {code_of(n) for _, tree in trees() for n in ast.walk(tree) if isinstance(n, ast.Call)}
    found |= set(get_args(FailureKind)) | set(problems._CALL_STATUS) | set(problems._CODE_STATUS)
    return {str(code) for code in found if code}


def in_tables(page: str, name: str) -> bool:
    """Whether a row of one of the page's tables names this, in its first two cells."""
    rows = re.findall(r"^\|([^|]*\|[^|]*)\|", page, re.MULTILINE)
    return any(re.search(rf"(?:`|^ ){re.escape(name)}(?:`| \|)", row) for row in rows)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_and_images_are_there(page: Path) -> None:
    targets = [a or b for a, b in LINK.findall(FENCE.sub("", page.read_text()))]
    ours = [t.partition("#")[0] for t in targets if "://" not in t and not t.startswith("#")]
    assert [t for t in ours if not (page.parent / t).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_paths_of_the_repository_are_there(page: Path) -> None:
    made_by_the_reader = {path for other in PAGES for path in examples(other)}
    named = {path.rstrip(".") for path in OUR_PATH.findall(page.read_text())}
    named -= {*made_by_the_reader, BUILT}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_page_is_on_the_map() -> None:
    linked = {(DOCS / (a or b)).resolve() for a, b in LINK.findall(text_of("README.md"))}
    assert [page_id(p) for p in sorted(DOCS.rglob("*.md")) if p.resolve() not in linked] == [
        "docs/README.md"
    ]


def test_pages_are_short() -> None:
    assert len(README.read_text().splitlines()) <= 200
    decisions = sorted((DOCS / "decisions").glob("*.md"))
    assert [page_id(d) for d in decisions if len(d.read_text().splitlines()) > 40] == []
    assert [int(d.name[:4]) for d in decisions] == list(range(1, len(decisions) + 1))


@pytest.mark.parametrize("page", sorted((DOCS / "how-to").glob("*.md")), ids=page_id)
def test_how_tos_end_with_a_check(page: Path) -> None:
    headings = re.findall(r"^## (.*)", FENCE.sub("", page.read_text()), re.MULTILINE)
    assert headings[-1] == "Check that it works"


def test_settings_are_all_described_with_their_defaults() -> None:
    page = text_of("reference", "settings.md")
    rows = re.findall(r"^\| `([\w.]+)` \| `(\w+)` \| `([^`]*)` \| (.+) \|$", page, re.MULTILINE)
    described = {path: (variable, json.loads(default)) for path, variable, default, _ in rows}
    expected: dict[str, tuple[str, Any]] = {}
    for section in msgspec.structs.fields(Settings):
        default = getattr(Settings(), section.name)
        variable = f"TANDEM_{section.name.upper()}"
        if isinstance(default, msgspec.Struct):
            for field in msgspec.structs.fields(default):
                value = msgspec.to_builtins(getattr(default, field.name))
                path = f"{section.encode_name}.{field.encode_name}"
                expected[path] = (f"{variable}__{field.name.upper()}", value)
        else:
            expected[section.encode_name] = (variable, default)
    assert json.loads(json.dumps(expected)) == {path: list(d) for path, d in described.items()}


def test_every_error_code_is_described() -> None:
    codes = raised_codes()
    # Of each kind of place where codes come from, one: the search has found them.
    found_by = {
        "not-logged-in",
        "bad-image",
        "bad-period",
        "no-children",
        "lost",
        "404",
        "deadline",
    }
    assert found_by <= codes
    page = text_of("reference", "errors.md")
    assert sorted(code for code in codes if not in_tables(page, code)) == []


def test_every_route_is_described() -> None:
    page = text_of("reference", "http-api.md") + text_of("reference", "sockjs.md")
    nothing = cast("Any", None)
    sockjs = SockJs(nothing, user_id=nothing, origin_allowed=nothing)
    declared = [route for feature in app._FEATURES for route in feature.routes] + sockjs.routes
    routes = {f"{route.method} {PARAMETER.sub(BRACED, route.path)}" for route in declared}
    assert "POST /api/jobs/{id}/cancel" in routes
    missing = [route for route in routes if not re.search(rf"`{re.escape(route)}[`?]", page)]
    assert sorted(missing) == []


def test_every_method_and_publication_is_described() -> None:
    nothing = cast("Any", None)
    live, accounts = Live(nothing, nothing, nothing), Accounts(nothing, nothing, nothing, nothing)
    calls = Calls(nothing, nothing, max_waiting=1, wake_runner=lambda: None)
    web, _, jobs = text_of("reference", "ddp-api.md").partition("## Jobs service")
    assert {"jobs.call", "login"} <= {*live.methods, *accounts.methods}
    for end, page in ((live, web), (accounts, web), (calls, jobs)):
        names = {*end.methods, *end.publications}
        assert sorted(name for name in names if f"| `{name}` |" not in page) == []


def test_every_job_type_is_described() -> None:
    page = text_of("reference", "job-types.md")
    rows = dict(re.findall(r"^\| `([\w.]+)` \|.*\| ([\d,]+) s \|$", page, re.MULTILINE))
    contracts = contracts_in(["shared.contracts"])
    seconds = {name: contract.policy.timeout for name, contract in contracts.items()}
    assert {name: float(text.replace(",", "")) for name, text in rows.items()} == seconds


def test_every_metric_is_described() -> None:
    page = text_of("reference", "metrics-and-health.md")
    named = {
        str(node.args[0].value)
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("Histogram", "Counter", "Gauge")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert "tandem_run_seconds" in named
    assert sorted(name for name in named if f"`{name}`" not in page) == []


def run_in_a_copy(folder: Path, files: dict[str, str], *command: str) -> str:
    """What ``python command`` prints in a copy of the services with ``files`` added."""
    for package in ("shared", "jobs_service"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    helper = "tests/jobs_service/jobs/runs.py"
    for path, text in {helper: (ROOT / helper).read_text(), **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**clean_environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_job_of_the_readme_runs(tmp_path: Path) -> None:
    files = examples(README)
    assert set(files) == {"shared/contracts/text.py", "jobs_service/jobs/text.py"}
    program = """
from jobs_service.job import jobs_in
from shared.contracts.contract import contracts_in
from tests.jobs_service.jobs.runs import FILE, running

contract = contracts_in(["shared.contracts"])["text.words"]
job = jobs_in(["jobs_service.jobs"])["text.words"]
with running({FILE: ("a.txt", b"One two. Two!")}) as (run, _):
    print(job.function(contract(source=FILE, top=1), run))
"""
    assert run_in_a_copy(tmp_path, files, "-c", program) == "{'two': 2}\n"


def test_the_job_of_the_tutorial_passes_the_test_of_the_how_to(tmp_path: Path) -> None:
    files = examples(DOCS / "tutorials" / "first-job.md")
    files |= examples(DOCS / "how-to" / "test-jobs.md")
    test = "tests/jobs_service/jobs/test_text.py"
    assert set(files) == {"shared/contracts/text.py", "jobs_service/jobs/text.py", test}
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib")
    assert "2 passed" in run_in_a_copy(tmp_path, files, "-m", "pytest", *options, test)
