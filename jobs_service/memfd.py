"""Anonymous files in memory that travel between processes as descriptors.

A memfd needs no name and no clean-up: the kernel frees it when the last descriptor is
closed, also after a SIGKILL. Whoever receives one checks its seals before mapping it,
for an unsealed one can be truncated under the reader's feet (SIGBUS).
"""

import contextlib
import fcntl
import os

# Python 3.11's fcntl has these, but typeshed and older builds do not agree on where.
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def create(name: str) -> int:
    """A new, empty, sealable memfd; the caller owns the descriptor."""
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def create_with(name: str, data: bytes | memoryview) -> int:
    """A sealed memfd that holds ``data``; the caller owns the descriptor."""
    fd = create(name)
    try:
        write(fd, data)
        seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def write(fd: int, data: bytes | memoryview) -> None:
    """Append all of ``data``; ``os.write`` may take only a part of it at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def seal(fd: int) -> None:
    """Make the contents final, for every process that holds the memfd."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)


def is_sealed(fd: int) -> bool:
    """Whether the contents can't change any more."""
    return (fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS) == _SEALS


def size(fd: int) -> int:
    """Bytes in it."""
    return os.fstat(fd).st_size


def read(fd: int) -> bytes:
    """All of its contents, wherever its file position stands."""
    parts, offset = [], 0
    while part := os.pread(fd, 1 << 24, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def reopen(fd: int) -> int:
    """The same memfd, to read, with a file position of its own; the caller owns it.

    A descriptor that was sent or duplicated shares its position with all its copies.
    """
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)


def close(fd: int) -> None:
    """Close it, also when a job function has done so already."""
    with contextlib.suppress(OSError):
        os.close(fd)
