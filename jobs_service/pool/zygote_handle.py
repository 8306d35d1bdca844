"""The service's side of the zygote: starts it, asks it for children, hears how they ended."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from jobs_service import memfd
from jobs_service.pool import wire
from jobs_service.pool.work import PoolConfig

log = structlog.get_logger()

_END_SECONDS = 5.0
_STDERR = 2
_PATH = "/usr/local/bin:/usr/bin:/bin"


class ZygoteListener(Protocol):
    """Who is told what the zygote says; always on the event loop."""

    def zygote_ready(self) -> None:
        """Children can be forked."""

    def zygote_dying(self) -> None:
        """It has closed its socket; its children will be killed, if they are not already."""

    def zygote_lost(self, reason: str) -> None:
        """Its process is gone; always after :meth:`zygote_dying`."""

    def child_exited(self, exited: wire.Exited) -> None:
        """It reaped a child."""


class ZygoteHandle:
    """One zygote process, from its start to its end; another one is another handle."""

    def __init__(
        self, config: PoolConfig, listener: ZygoteListener, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._listener = listener
        self._loop = loop
        self._decoder: msgspec.msgpack.Decoder[wire.FromZygote] = msgspec.msgpack.Decoder(
            wire.FromZygote
        )
        self._reason = ""
        self._channel, theirs = wire.channel_pair()
        try:
            with theirs:
                self._process = _start(theirs, config)
        except OSError:
            self._channel.close()
            raise
        self._pidfd = os.pidfd_open(self._process.pid)
        self._ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._channel.fileno(), self._on_readable)
        loop.add_reader(self._pidfd, self._on_end)
        self._boot_timer = loop.call_later(config.start_seconds, self._boot_too_slow)
        with contextlib.suppress(ConnectionError):  # gone already: its pidfd tells
            self._channel.send(wire.Boot(config.packages, config.preload, config.nice))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._ended.done()

    def fork(self, child: int, theirs: socket.socket) -> None:
        """Ask for a child that speaks through ``theirs``, which stays the caller's.

        Raises:
            OSError: it can't be asked now: it is gone, or its socket is full.
        """
        self._channel.send(wire.Fork(child), [theirs.fileno()])

    def hear(self) -> None:
        """Hear now what it has said and the loop has not read yet."""
        while self._channel.fileno() >= 0 and self._on_readable():
            pass

    def kill_child(self, child: int) -> None:
        """Have a child killed that never said hello."""
        with contextlib.suppress(OSError):
            self._channel.send(wire.Kill(child))

    def end(self) -> None:
        """Close the socket: the zygote kills its children, reaps them and exits."""
        self._close_channel()

    async def ended(self) -> None:
        """Wait until the process is gone, and its children with it; SIGKILL it if it lingers."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                await asyncio.shield(self._ended)
        except TimeoutError:
            self.kill()
            await self._ended

    def kill(self) -> None:
        """SIGKILL it, unless it is gone."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_readable(self) -> bool:
        """Hear one message; False when there is none."""
        try:
            data, fds = self._channel.receive()
            wire.close_all(fds)
            message = self._decoder.decode(data)
        except BlockingIOError:
            return False
        except EOFError:
            self._close_channel()
            self._loop.call_later(_END_SECONDS, self.kill)  # it is on its way by itself
            self._listener.zygote_dying()  # how it ended comes by its pidfd
            return False
        except (wire.WireError, msgspec.MsgspecError):
            log.exception("pool.zygote_confused", pid=self.pid)
            self.kill()
            return True
        self._hear(message)
        return True

    def _hear(self, message: wire.FromZygote) -> None:
        match message:
            case wire.Exited():
                self._listener.child_exited(message)
            case wire.Ready():
                self._boot_timer.cancel()
                self._listener.zygote_ready()
            case wire.BootFailed():
                self._reason = message.reason

    def _on_end(self) -> None:
        if self._process.poll() is None:
            return
        self.hear()  # its last words
        if self._channel.fileno() >= 0:
            self._close_channel()
            self._listener.zygote_dying()
        self._boot_timer.cancel()
        self._loop.remove_reader(self._pidfd)
        memfd.close(self._pidfd)
        self._pidfd = -1
        if not self._ended.done():
            self._ended.set_result(None)
        self._listener.zygote_lost(
            self._reason or f"the zygote {how_it_ended(self._process.returncode)}"
        )

    def _boot_too_slow(self) -> None:
        self._reason = "the zygote's imports took too long"
        self.kill()

    def _close_channel(self) -> None:
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()


def _start(control: socket.socket, config: PoolConfig) -> subprocess.Popen[bytes]:
    """Start the process; takes 1–3 ms. The zygote dies with the thread that does this.

    In a Unix session of its own, so that no Ctrl-C reaches it. It sees none of the service's
    environment, where secrets are.
    """
    environment = {"PATH": _PATH, "LANG": "C.UTF-8", **config.environment}
    environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    module = "jobs_service.pool.zygote"
    command = [sys.executable, "-P", "-m", module, str(control.fileno()), str(os.getpid())]
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command,
        stdin=subprocess.DEVNULL,
        stdout=_STDERR,  # what a job prints belongs into the log, and must never be an answer
        pass_fds=[control.fileno()],
        env=environment,
        start_new_session=True,
    )


def how_it_ended(code: int | None) -> str:
    """``-11`` → ``"was killed by SIGSEGV"``; a positive number is an exit status."""
    if code is None:
        return "ended"
    if code >= 0:
        return f"exited with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
