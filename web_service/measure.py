"""Counts and times HTTP requests by route."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LONG_LIVED = web.ResponseKey("long_lived", bool)
"""Set in a response that waits for something to happen, and so says nothing about our speed."""

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SWITCHING_PROTOCOLS = 101


def measuring_middleware(
    registry: CollectorRegistry,
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """A middleware that times every answer but those that are long-lived, as WebSockets are."""
    seconds = Histogram(
        "tandem_http_request_seconds",
        "Seconds per HTTP request.",
        ["method", "route", "status"],
        buckets=_BUCKETS,
        registry=registry,
    )

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await handler(request)
        if response.status != _SWITCHING_PROTOCOLS and LONG_LIVED not in response:
            resource = request.match_info.route.resource
            route = "unknown" if resource is None else resource.canonical
            seconds.labels(request.method, route, str(response.status)).observe(
                time.perf_counter() - started
            )
        return response

    return measure
