"""Health, readiness, metrics and version, for load balancers and monitoring."""

from aiohttp import web

from web_service.keys import HEALTH


async def operational_page(request: web.Request) -> web.Response:
    page = await request.app[HEALTH].page(request.path)
    assert page is not None, "only the four pages are routed here"
    return web.Response(
        status=page.status, body=page.body, headers={"Content-Type": page.content_type}
    )


routes = [
    web.get(path, operational_page) for path in ("/healthz", "/readyz", "/metrics", "/version")
]
