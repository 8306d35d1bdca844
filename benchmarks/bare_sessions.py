"""A process with an aiohttp server whose WebSockets do nothing: ``python -m benchmarks.bare_sessions``."""

import asyncio

import uvloop
from aiohttp import web

from shared.ops.garbage import freeze_what_is_there


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Wait until it is closed."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for _ in socket:
        pass
    return socket


async def _run() -> None:
    app = web.Application()
    app.router.add_get("/websocket", websocket)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    freeze_what_is_there()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_run())
