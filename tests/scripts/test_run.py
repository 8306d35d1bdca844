import json
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from scripts.supervisor.ports import free_port
from tests.support.paths import ROOT
from tests.support.script import Script, clean_environment, descendants, kill, running
from tests.support.waiting import eventually_sync

RUN = ROOT / "scripts" / "run"


@pytest.fixture
def ports() -> list[str]:
    return ["--port", str(free_port()), "--jobs-port", str(free_port())]


def run(data: Path, *arguments: str, **environ: str) -> Script:
    return Script([RUN, "--data", str(data), *arguments], environ)


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read()


def log_in(port: str, username: str, password: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/login",
        json.dumps({"username": username, "password": password}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["username"] == username


def test_everything_runs_and_stops(tmp_path: Path, ports: list[str]) -> None:
    with run(tmp_path, *ports, "--no-seed") as script:
        script.until("Ctrl-C stops everything", timeout=100)
        for port in (ports[1], ports[3]):
            assert get(f"http://127.0.0.1:{port}/readyz")[0] == 200
        assert b"<html" in get(f"http://127.0.0.1:{ports[1]}/")[1].lower()
        for username in ("demo", "operator"):
            log_in(ports[1], username, script.until(rf"{username} / (\S+)")[1])
        pids = descendants(script.process.pid)
        assert len(pids) >= 4  # mongod, web, jobs, and the zygote of its pool
        script.process.send_signal(signal.SIGINT)
        assert script.wait(10) == 0
        assert not running(pids)
    assert "killing it" not in script.output


def test_nothing_remains_when_the_script_is_killed(tmp_path: Path, ports: list[str]) -> None:
    with run(tmp_path, *ports, "--no-seed", TANDEM_DEMO_PASSWORD="correct horse") as script:
        script.until("Ctrl-C stops everything", timeout=100)
        log_in(ports[1], "demo", "correct horse")
        pids = descendants(script.process.pid)
        assert len(pids) >= 4
        kill(script.process.pid)
        eventually_sync(lambda: not running(pids))


def test_wrong_settings_are_explained(tmp_path: Path, ports: list[str]) -> None:
    with run(tmp_path, *ports, "--no-seed", TANDEM_WEB__PROT="1") as script:
        assert script.wait(60) == 1
    assert "TANDEM_WEB__PROT is not a setting; did you mean TANDEM_WEB__PORT?" in script.output


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("--prot", 2)])
def test_help_and_mistakes_come_before_any_set_up(argument: str, status: int) -> None:
    done = subprocess.run([RUN, argument], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert "usage: scripts/run" in done.stdout + done.stderr
    assert "==>" not in done.stdout


def test_without_a_suitable_python_it_says_so(tmp_path: Path) -> None:
    for name in ("sh", "dirname", "readlink"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        [RUN],
        env={**clean_environment(), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr
