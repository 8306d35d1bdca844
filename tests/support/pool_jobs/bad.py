"""Jobs that misbehave, each in its own way."""

import contextlib
import ctypes
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from typing_extensions import override

from jobs_service.job import Discard, Run, job
from shared.contracts.contract import Contract


class Crash(Contract[None], name="test.crash"):
    how: Literal["exit", "exit-0", "segfault", "abort", "kill"]


@job(Crash)
def crash(params: Crash, run: Run) -> None:
    match params.how:
        case "exit":
            os._exit(3)
        case "exit-0":
            os._exit(0)
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


class UnprintableError(Exception):
    @override
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Raise(Contract[None], name="test.raise"):
    what: Literal[
        "value", "discard", "exit", "interrupt", "unprintable", "surrogate", "recursion", "huge"
    ]


@job(Raise)
def raise_(params: Raise, run: Run) -> None:
    match params.what:
        case "value":
            raise ValueError("a value that is wrong")
        case "discard":
            raise Discard("bad-image", "This is not a picture.")
        case "exit":
            sys.exit(4)
        case "interrupt":
            raise KeyboardInterrupt
        case "unprintable":
            raise UnprintableError
        case "surrogate":
            raise ValueError("half a pair: \ud800")
        case "recursion":
            raise_.function(params, run)
        case "huge":
            raise ValueError("x" * 1_000_000)


class Return(Contract[Any], name="test.return"):
    what: Literal["object", "cycle", "surrogate", "mapped-output", "closed-output", "many-outputs"]


@job(Return)
def return_(params: Return, run: Run) -> Any:
    match params.what:
        case "object":
            return threading.Lock()
        case "cycle":
            cycle: list[Any] = []
            cycle.append(cycle)
            return cycle
        case "surrogate":
            return "half a pair: \ud800"
        case "mapped-output":
            output = run.output("a", "text/plain")
            output.write(b"x" * 4096)
            return _Kept(mmap.mmap(output.fd, 4096))
        case "closed-output":
            os.close(run.output("a", "text/plain").fd)
        case "many-outputs":
            for _ in range(300):
                run.output("a", "text/plain")
    return None


class _Kept(msgspec.Struct):
    """Encoded without the mapping, which it keeps open."""

    mapping: Any

    def __post_init__(self) -> None:
        _KEPT.append(self.mapping)
        self.mapping = None


_KEPT: list[Any] = []


class Wreck(Contract[Any], name="test.wreck"):
    what: Literal[
        "print", "close-stdout", "close-stdout-fd", "close-socket", "close-all", "write-socket",
        "unsealed", "pipe", "too-few", "fork", "fork-and-stay", "thread", "subprocess",
        "flood", "hello",
    ]  # fmt: skip


@job(Wreck)
def wreck(params: Wreck, run: Run) -> Any:
    return _WRECKS[params.what](run)


def _socket() -> socket.socket:
    """The pool's own socket, as a job could find it."""
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            if "socket" in os.readlink(f"/proc/self/fd/{fd}"):
                return socket.socket(fileno=os.dup(fd))
    raise AssertionError("no socket")


def _print(run: Run) -> str:
    print("printed by a job, half a pair: \ud800")
    sys.stdout.write("without an end")
    os.write(1, b"\xff\x00 raw\n")
    return "printed"


def _close_socket(run: Run) -> None:
    os.closerange(3, 64)


def _write_socket(run: Run) -> None:
    _socket().send(b"no message at all")
    time.sleep(30)


def _returned(run: Run, count: int) -> bytes:
    cost = (0.0, 0.0, 0)
    outputs = [("0" * 24, "a", "b")] * count
    return msgspec.msgpack.encode(("Returned", 1, None, outputs, cost))


def _send_file(run: Run, fd: int) -> None:
    socket.send_fds(_socket(), [_returned(run, 0)], [fd])
    time.sleep(30)


def _unsealed(run: Run) -> None:
    fd = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.write(fd, b"\xc0")
    _send_file(run, fd)


def _pipe(run: Run) -> None:
    _send_file(run, os.pipe()[0])


def _too_few(run: Run) -> None:
    _socket().send(_returned(run, 2))
    time.sleep(30)


def _fork(run: Run) -> int:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid


def _fork_and_stay(run: Run) -> None:
    """The copy keeps the socket open when its parent is gone."""
    if os.fork() == 0:
        time.sleep(60)
    os._exit(5)


def _thread(run: Run) -> None:
    def report() -> None:
        while True:
            time.sleep(0.001)
            run._reported_at = float("-inf")
            run.progress(1, None, "from a thread left behind")

    threading.Thread(target=report, daemon=True).start()


def _subprocess(run: Run) -> int:
    process = subprocess.Popen(["/bin/sleep", "60"])
    run.progress(process.pid)
    time.sleep(60)
    return process.pid


def _flood(run: Run) -> None:
    while True:
        run._reported_at = float("-inf")
        run.progress(1, None, "x" * 500)


def _hello(run: Run) -> None:
    _socket().send(msgspec.msgpack.encode(("Hello", 1)))
    time.sleep(30)


_WRECKS: dict[str, Callable[[Run], Any]] = {
    "print": _print,
    "close-stdout": lambda run: sys.stdout.close(),
    "close-stdout-fd": lambda run: os.close(1),
    "close-socket": _close_socket,
    "close-all": lambda run: os.closerange(0, 64),
    "write-socket": _write_socket,
    "unsealed": _unsealed,
    "pipe": _pipe,
    "too-few": _too_few,
    "fork": _fork,
    "fork-and-stay": _fork_and_stay,
    "thread": _thread,
    "subprocess": _subprocess,
    "flood": _flood,
    "hello": _hello,
}
