"""The zygote: imports what jobs need, once, then forks a ready child whenever it is asked.

``python -m jobs_service.pool.zygote FD PARENT_PID``, started by the service with one end of a
control socket and none of its other descriptors. One thread, no event loop. It reaps its
children and reports how each ended. It dies with the service, and its children with it.
"""

import contextlib
import faulthandler
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

import msgspec

from jobs_service.job import jobs_in
from jobs_service.pool import child, linux, wire


class _Forked(NamedTuple):
    id: int
    pid: int
    pidfd: int


class Zygote:
    """Forks on request, reaps, reports; that is all it ever does."""

    def __init__(self, control: socket.socket) -> None:
        self._control = wire.Channel(control)
        self._pid = os.getpid()
        self._decoder: msgspec.msgpack.Decoder[wire.ToZygote] = msgspec.msgpack.Decoder(
            wire.ToZygote
        )
        self._forked: dict[int, _Forked] = {}
        """By pidfd."""
        self._poll = select.poll()
        self._jobs: Mapping[str, child.Runnable] = {}
        self._nice = 0

    def serve(self) -> None:
        """Boot, then fork and reap until the service closes its end of the control socket."""
        boot, _ = self._receive()
        if not isinstance(boot, wire.Boot):
            raise wire.WireError("the first message must be Boot")
        self._boot(boot)
        self._poll.register(self._control, select.POLLIN)
        try:
            while True:
                for fd, _events in self._poll.poll():
                    if fd == self._control.fileno():
                        self._obey()
                    else:
                        self._reap(self._forked[fd])
        except (EOFError, ConnectionError):
            self._end()

    def _boot(self, boot: wire.Boot) -> None:
        try:
            for module in boot.preload:
                importlib.import_module(module)
            self._jobs = child.runnables(jobs_in(boot.packages))
            threads = linux.thread_names()
            if len(threads) > 1:
                raise RuntimeError(  # a fork copies one thread, and the locks of all
                    f"importing {[*boot.preload, *boot.packages]} started threads: {threads}"
                )
        except BaseException:  # noqa: BLE001 - the service is told, and decides
            self._control.send(wire.BootFailed(traceback.format_exc()[-20_000:]))
            raise SystemExit(1) from None
        self._nice = boot.nice
        gc.collect()
        gc.freeze()  # or the children's collections would copy every page that they share
        self._control.send(wire.Ready())

    def _receive(self) -> tuple[wire.ToZygote, list[int]]:
        data, fds = self._control.receive()
        return self._decoder.decode(data), fds

    def _obey(self) -> None:
        request, fds = self._receive()
        match request:
            case wire.Fork():
                self._fork(request.child, socket.socket(fileno=fds[0]))
            case wire.Kill():
                for forked in self._forked.values():
                    if forked.id == request.child:
                        _kill(forked)
            case wire.Boot():
                raise wire.WireError("Boot comes once")

    def _fork(self, child_id: int, sock: socket.socket) -> None:
        try:
            pid = os.fork()
        except OSError:  # out of processes or memory: the service sees its end close
            traceback.print_exc()
            sock.close()
            self._control.send(wire.Exited(child_id, code=1, cpu_seconds=0.0, peak_bytes=0))
            return
        if pid == 0:
            self._become_child(sock)
        sock.close()
        forked = _Forked(child_id, pid, os.pidfd_open(pid))
        self._forked[forked.pidfd] = forked
        self._poll.register(forked.pidfd, select.POLLIN)

    def _become_child(self, sock: socket.socket) -> NoReturn:
        status = 1
        try:
            linux.die_with_parent(self._pid)
            os.setsid()  # the zygote's own is not lowered: it must fork and reap under full load
            os.nice(self._nice)
            linux.be_killed_first()
            linux.close_other_descriptors(keep={0, 1, 2, sock.fileno()})
            child.Child(sock, self._jobs, self._nice).serve()
            status = 0
        except BaseException:  # noqa: BLE001 - a child must never become a second zygote
            with contextlib.suppress(BaseException):
                traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self, forked: _Forked) -> None:
        # Its process group goes first: while it is a zombie, nobody else can have its number.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(forked.pid, signal.SIGKILL)
        _, status, usage = os.wait4(forked.pid, 0)
        self._poll.unregister(forked.pidfd)
        os.close(forked.pidfd)
        del self._forked[forked.pidfd]
        self._control.send(
            wire.Exited(
                child=forked.id,
                code=os.waitstatus_to_exitcode(status),
                cpu_seconds=usage.ru_utime + usage.ru_stime,
                peak_bytes=usage.ru_maxrss * 1024,
            )
        )

    def _end(self) -> None:
        """Leave no process behind: when the zygote is gone, so are they."""
        for forked in self._forked.values():
            _kill(forked)
        for forked in self._forked.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(forked.pid, signal.SIGKILL)
            os.waitpid(forked.pid, 0)


def _kill(forked: _Forked) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(forked.pidfd, signal.SIGKILL)


def main() -> None:
    """Set up this process, then serve."""
    control_fd, parent_pid = int(sys.argv[1]), int(sys.argv[2])
    linux.die_with_parent(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when it ends
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    linux.no_core_dumps()
    faulthandler.enable()  # a segfault shows where it was, on stderr
    Zygote(socket.socket(fileno=control_fd)).serve()


if __name__ == "__main__":
    main()
