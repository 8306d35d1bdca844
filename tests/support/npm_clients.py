"""DDP clients from npm, unmodified: scenarios in Node.js, and what their applications saw."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from tests.support.paths import ROOT
from tests.support.programs import node
from tests.support.proxy import Plan, Proxy

FOLDER = ROOT / "tests" / "conformance" / "clients"
_SECONDS = 100
_MAX_LINE_BYTES = 1_000_000

Event = tuple[str, Any]
"""Its name, and what came with it."""


class Seen(NamedTuple):
    """What an application saw of a scenario, in order."""

    events: list[Event]
    unhandled: list[Any]
    """Rejections inside the client that no application can handle."""


async def run(
    scenario: str, client: str, port: int, environ: Mapping[str, str] | None = None
) -> Seen:
    """Run one of ``clients/*.mjs`` with one of ``clients/drivers`` against a port of this host.

    Where the scenario says "cut me", the connection is reset, without a close.

    Raises:
        AssertionError: it did not run to its end; the text holds what it saw and said.
    """
    require_modules()
    command = [node(), "run.mjs", scenario, client]
    async with Proxy(port, lambda _: Plan()).listening() as proxy, asyncio.timeout(_SECONDS):
        process = await asyncio.create_subprocess_exec(
            *(*command, proxy.url),
            cwd=FOLDER,
            env=os.environ | dict(environ or {}),
            stdout=PIPE,
            stderr=PIPE,
            limit=_MAX_LINE_BYTES,
        )
        try:
            seen, complaints = await _follow(process, proxy)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    last = "\n".join(map(repr, seen.events[-5:]))
    assert (process.returncode, seen.events[-1:]) == (0, [("done", None)]), (
        f"status {process.returncode}, last seen:\n{last}\n{complaints}"
    )
    return seen._replace(events=seen.events[:-1])


def require_modules() -> None:
    """Fail where the clients are not installed."""
    if not (FOLDER / "node_modules").exists():
        pytest.fail(f"{FOLDER}/node_modules is missing: run this by ./scripts/test, it makes it")


async def _follow(process: Process, proxy: Proxy) -> tuple[Seen, str]:
    """What it tells until it ends, and its complaints."""
    assert process.stdout is not None
    assert process.stderr is not None
    seen = Seen([], [])
    async with asyncio.TaskGroup() as group:
        complaints = group.create_task(process.stderr.read())
        async for line in process.stdout:
            event, value = event_of(line)
            if event == "unhandled rejection":
                seen.unhandled.append(value)
            else:
                seen.events.append((event, value))
            if event == "cut me":
                proxy.reset_all()
    await process.wait()
    return seen, complaints.result().decode()


def event_of(line: str | bytes) -> Event:
    """What a scenario printed in one line."""
    told = json.loads(line)
    return told["event"], told.get("value")
