"""Short ways to say what the pool's tests say often."""

import os
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from jobs_service import memfd
from jobs_service.job import Input
from jobs_service.pool.pool import Pool
from jobs_service.pool.work import Finished, PoolConfig, RunFailed, Work

PACKAGES = ("tests.support.pool_jobs",)
SEED = bytes.fromhex("0123456789abcdef01")


class StartPool(Protocol):
    """The fixture ``start_pool``."""

    async def __call__(
        self,
        slots: int = 2,
        spares: int = 1,
        packages: tuple[str, ...] = PACKAGES,
        preload: tuple[str, ...] = (),
        exit_seconds: float = 30.0,
    ) -> Pool: ...


def pool_config(
    slots: int = 2,
    spares: int = 1,
    packages: tuple[str, ...] = PACKAGES,
    preload: tuple[str, ...] = (),
    exit_seconds: float = 30.0,
) -> PoolConfig:
    return PoolConfig(
        slots=slots,
        spares=spares,
        packages=packages,
        preload=preload,
        exit_seconds=exit_seconds,
    )


def work(
    job: str,
    params: Any = None,
    *,
    run_id: str = "run",
    time_limit: float = 30.0,
    urgent: bool = True,
    inputs: tuple[Input, ...] = (),
    database_url: str = "",
    attempt: int = 1,
) -> Work:
    return Work(
        job=f"test.{job}",
        params=msgspec.msgpack.encode({} if params is None else params),
        run_id=run_id,
        files_seed=SEED,
        time_limit=time_limit,
        urgent=urgent,
        inputs=inputs,
        database_url=database_url,
        attempt=attempt,
    )


def value_of(finished: Finished) -> Any:
    return msgspec.msgpack.decode(finished.value)


async def failure(pool: Pool, wanted: Work) -> RunFailed:
    """How ``wanted`` fails, which it must."""
    with pytest.raises(RunFailed) as caught:
        await pool.run(wanted)
    return caught.value


def input_file(file_id: str, data: bytes) -> Input:
    """A sealed memfd; the test closes it."""
    return Input(
        id=file_id,
        fd=memfd.create_with("input", data),
        filename=f"{file_id[:4]}.bin",
        content_type="application/octet-stream",
        size=len(data),
    )


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def descendants(pid: int) -> list[int]:
    """The processes below ``pid``, zombies too."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    found = []
    for child in map(int, text.split()):
        found += [child, *descendants(child)]
    return found


def zombies(pid: int) -> list[int]:
    """The zombies below ``pid``."""
    return [child for child in descendants(pid) if not alive(child)]
