"""TCP ports on this machine: which are free, and who holds the others."""

import os
import socket
from pathlib import Path

from scripts.supervisor.processes import command_line

_LISTEN = "0A"


def free_port(preferred: int | None = None) -> int:
    """A port of 127.0.0.1 that nobody listens on; ``preferred`` when that one is free."""
    if preferred is not None and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        # As servers do, so that connections of a server just gone don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def listens(port: int) -> bool:
    """Whether somebody accepts connections at ``port``."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def holder(port: int) -> str:
    """Who listens on ``port``: "pid 42 (python -m http.server)", or "" if it can't be seen."""
    inodes = _listening_inodes(port)
    if not inodes:
        return ""
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and inodes & _socket_inodes(process):
            return f"pid {process.name} ({command_line(int(process.name)) or 'unknown command'})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def _socket_inodes(process: Path) -> set[str]:
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            target = os.readlink(descriptor)  # noqa: PTH115 - "socket:[n]" is no path
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        pass  # gone meanwhile, or another user's
    return found
