"""One pair of real services and one Chromium for all the tests of this folder."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ViewportSize, async_playwright, expect
from pymongo import AsyncMongoClient

from shared.models.database import open_database
from shared.models.order_store import OrderStore
from shared.models.user_store import UserStore
from tests.browser.browsing import DESKTOP, WAIT_MS, Visit, Visiting, has_cookie_of, new_context
from tests.support.paths import ROOT
from tests.support.programs import chromium
from tests.support.stack import PASSWORD, Api, Stack, running_stack

ORDERS = 100_000

_CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # It refuses WebSockets to pages whose address it does not know: those that a test fulfils.
    "--disable-features=LocalNetworkAccessChecks",
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    executable = chromium()
    if not (ROOT / "web_service" / "ui" / "dist" / "index.html").exists():
        pytest.fail(
            "web_service/ui/dist is missing: run these tests by ./scripts/test, it builds it"
        )
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=_CHROMIUM_ARGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def started_stack(
    browser: Browser, mongo_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    database = f"test_{uuid.uuid4().hex}"
    async with running_stack(mongo_url, database, tmp_path_factory.mktemp("stack")) as stack:
        async with open_database(mongo_url, database) as opened:
            await OrderStore(opened).seed(ORDERS)
        yield stack
    client: AsyncMongoClient[dict[str, Any]]
    async with AsyncMongoClient(mongo_url) as client:
        await client.drop_database(database)


@pytest_asyncio.fixture(loop_scope="session")
async def stack(started_stack: Stack) -> AsyncIterator[Stack]:
    """The services; what a test stops and leaves stopped is started again after it."""
    yield started_stack
    for service in (started_stack.web, started_stack.jobs):
        if service.process is None or service.process.poll() is not None:
            await service.start()
    await started_stack.connected()


@pytest.fixture
def new_user(stack: Stack) -> Callable[[str], Awaitable[str]]:
    """Makes users with ``PASSWORD``, whose lists hold nothing of other tests."""

    async def create(name: str) -> str:
        username = f"{name}-{uuid.uuid4().hex[:6]}"
        async with open_database(stack.mongo_url, stack.database) as database:
            await UserStore(database).create(username, PASSWORD)
        return username

    return create


@pytest_asyncio.fixture(loop_scope="session")
async def user(new_user: Callable[[str], Awaitable[str]]) -> str:
    return await new_user("ann")


@pytest_asyncio.fixture(loop_scope="session")
async def api(stack: Stack, user: str) -> AsyncIterator[Api]:
    """HTTP as ``user``, for what the page does not offer."""
    async with stack.client(user) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, stack: Stack) -> AsyncIterator[Visiting]:
    """Opens pages, each in a browser of its own; no complaint of any may be left at the end."""
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    async def opened(
        username: str | None = None,
        path: str = "/convert",
        *,
        size: ViewportSize = DESKTOP,
        dark: bool = False,
    ) -> Visit:
        context = await new_context(browser, stack.web.url, size, dark)
        contexts.append(context)
        if username is not None:
            await has_cookie_of(context, username)
        visit = Visit(await context.new_page())
        visits.append(visit)
        await visit.page.goto(path)
        if username is not None:
            await visit.live()
        return visit

    yield opened
    for context in contexts:
        await context.close()
    assert [text for visit in visits for text in visit.unexpected] == []
