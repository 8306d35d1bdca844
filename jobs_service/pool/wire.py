"""The messages between the service, its zygote and its children, and how they travel.

Each pair of processes has one ``SOCK_SEQPACKET`` pair: the kernel keeps the messages apart,
and descriptors ride with the message that they belong to. Messages are msgpack, never pickle:
unpickling what a child says would run the child's code in the service.

A packet larger than the socket's buffer can never be sent, so nothing above
:data:`MAX_INLINE` goes inline. Parameters and results above it travel in a sealed memfd
of their own; a *message* above it (hundreds of file names) travels whole in one.
"""

import array
import socket
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from jobs_service import memfd

MAX_INLINE = 96 * 1024
"""Bytes. Measured: above 64–256 KB a memfd is faster; Linux's default buffer holds 208 KB."""
MAX_RUN_FILES = 250
"""Inputs or outputs of one run; the kernel takes 253 descriptors a message (SCM_MAX_FD)."""

_SOCKET_BUFFER = 256 * 1024
_IN_MEMFD = b"\xc1"
"""Stands for a message that is in the first descriptor; msgpack never uses this byte."""
_MAX_IN_MEMFD = 16 * 1024 * 1024
_DESCRIPTOR_BYTES = array.array("i").itemsize
_ANCILLARY_BYTES = socket.CMSG_SPACE(253 * _DESCRIPTOR_BYTES)
# As plain ints: combining flags that are enums costs 3 µs a message.
_RECEIVE_FLAGS = int(socket.MSG_CMSG_CLOEXEC)
_CUT_OFF = int(socket.MSG_TRUNC) | int(socket.MSG_CTRUNC)
_ENCODER = msgspec.msgpack.Encoder()


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages; arrays with the class name as tag."""


class Boot(_Message, frozen=True, tag=True):
    """Service to zygote, first and once: what to import."""

    packages: tuple[str, ...]
    preload: tuple[str, ...]
    nice: int


class Fork(_Message, frozen=True, tag=True):
    """Service to zygote: fork a child that speaks through the socket that comes along."""

    child: int


class Kill(_Message, frozen=True, tag=True):
    """Service to zygote: kill a child that never said hello, so that nobody has its pidfd."""

    child: int


class Ready(_Message, frozen=True, tag=True):
    """Zygote to service: imported all; children can be forked."""


class BootFailed(_Message, frozen=True, tag=True):
    """Zygote to service, its last message: why it can't."""

    reason: str


class Exited(_Message, frozen=True, tag=True):
    """Zygote to service: a child is gone, and reaped."""

    child: int
    code: int
    """As ``subprocess`` has it: the exit status, or minus the signal."""
    cpu_seconds: float
    """In its whole life."""
    peak_bytes: int


class FileInfo(msgspec.Struct, frozen=True, array_like=True):
    """What an input or output is called; its bytes come as a descriptor."""

    id: str
    filename: str
    content_type: str


class Start(_Message, frozen=True, tag=True):
    """Service to child: run this. Descriptors: the parameters unless inline, then the inputs."""

    seq: int
    """Counts this child's runs, so that a thread left over from one can't speak for the next."""
    job: str
    params: bytes | None
    inputs: tuple[FileInfo, ...]
    run_id: str
    attempt: int
    files_seed: bytes
    database_url: str


class Hello(_Message, frozen=True, tag=True):
    """Child to service, first: it is ready. Comes with its pidfd."""

    pid: int


class Progressed(_Message, frozen=True, tag=True):
    """Child to service: how far the run is."""

    seq: int
    done: float
    total: float | None
    note: str


class Cost(msgspec.Struct, frozen=True, array_like=True):
    """What a run cost, as its child measured it."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


class Returned(_Message, frozen=True, tag=True):
    """Child to service: the function returned. Descriptors: the value unless inline, then outputs."""

    seq: int
    value: bytes | None
    outputs: tuple[FileInfo, ...]
    cost: Cost


class Raised(_Message, frozen=True, tag=True):
    """Child to service: there is no result, and why."""

    seq: int
    kind: Literal["failed", "discarded"]
    code: str
    message: str
    traceback: str
    cost: Cost


ToZygote = Boot | Fork | Kill
FromZygote = Ready | BootFailed | Exited
FromChild = Hello | Progressed | Returned | Raised


class WireError(Exception):
    """The other end sent what it must not."""


class Channel:
    """One end of a SEQPACKET pair; blocking or not, as its socket is."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray(MAX_INLINE + 1024)
        self._buffers = [self._buffer]
        self._view = memoryview(self._buffer)

    def fileno(self) -> int:
        return self.sock.fileno()

    def close(self) -> None:
        self.sock.close()

    def send(self, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        """Send one message, whole or not at all; ``fds`` stay the caller's.

        Raises:
            BlockingIOError: the socket doesn't block, and its buffer is full.
            OSError: the other end is gone (``BrokenPipeError``, ``ConnectionResetError``), or
                the kernel refuses the descriptors.
        """
        data = _ENCODER.encode(message)
        if len(data) > MAX_INLINE:
            whole = memfd.create_with("message", data)
            try:
                self._send(_IN_MEMFD, [whole, *fds])
            finally:
                memfd.close(whole)
        elif fds:
            self._send(data, fds)
        else:
            self.sock.send(data)

    def receive(self) -> tuple[memoryview | bytes, list[int]]:
        """The next message and its descriptors, which belong to the caller.

        The message is valid until the next call: it lies in this channel's buffer.

        Raises:
            EOFError: the other end is closed.
            BlockingIOError: the socket doesn't block, and nothing is there.
            WireError: a message that was cut off, or is not what it says it is.
        """
        try:
            count, ancillary, flags, _ = self.sock.recvmsg_into(
                self._buffers, _ANCILLARY_BYTES, _RECEIVE_FLAGS
            )
        except ConnectionError as error:
            raise EOFError from error
        fds = _descriptors(ancillary) if ancillary else []
        if flags & _CUT_OFF:
            close_all(fds)
            raise WireError("a message was cut off (too large, or out of descriptors)")
        if count == 0:
            close_all(fds)
            raise EOFError
        if count == 1 and self._buffer[0] == _IN_MEMFD[0]:
            return _from_memfd(fds), fds
        return self._view[:count], fds

    def _send(self, data: bytes, fds: Sequence[int]) -> None:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        self.sock.sendmsg([data], [rights])


def channel_pair() -> tuple[Channel, socket.socket]:
    """A non-blocking end for the event loop, and a blocking one to hand to another process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in (ours, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
    ours.setblocking(False)
    return Channel(ours), theirs


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that came with a message."""
    for fd in fds:
        memfd.close(fd)


def read_sealed(fd: int, limit: int | None = None) -> bytes:
    """All bytes of a memfd that another process filled.

    Raises:
        WireError: it is not sealed, no memfd at all, or holds more than ``limit`` bytes.
    """
    check_sealed(fd)
    if limit is not None and memfd.size(fd) > limit:
        raise WireError(f"{memfd.size(fd)} bytes where {limit} are allowed")
    return memfd.read(fd)


def check_sealed(fd: int) -> None:
    """Make sure that nobody can change or truncate what is in ``fd``.

    Raises:
        WireError: somebody could.
    """
    try:
        sealed = memfd.is_sealed(fd)
    except OSError:  # EINVAL: neither a memfd nor on tmpfs
        sealed = False
    if not sealed:
        raise WireError("a descriptor that is not a sealed memfd")


def _from_memfd(fds: list[int]) -> bytes:
    if not fds:
        raise WireError("a message in a memfd, without the memfd")
    fd = fds.pop(0)
    try:
        return read_sealed(fd, _MAX_IN_MEMFD)
    except WireError:
        close_all(fds)
        raise
    finally:
        memfd.close(fd)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds: array.array[Any] = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % _DESCRIPTOR_BYTES])
    return list(fds)
