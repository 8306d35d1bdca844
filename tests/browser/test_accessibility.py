"""axe-core finds nothing on any page: phone and desktop, light and dark; and all fits 320 px."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import cache

import pytest
import pytest_asyncio
from playwright.async_api import FilePayload, Page, ViewportSize, expect

from tests.browser.browsing import DESKTOP, PHONE, Visit, Visiting
from tests.browser.landscape import landscape
from tests.support.paths import ROOT
from tests.support.stack import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")

# WCAG 1.4.10: what is read in one direction needs no scrolling in the other.
NARROWEST = ViewportSize(width=320, height=640)

_AXE = """
async () => {
  // The last change of size or theme is drawn, and what fades has faded.
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await Promise.allSettled(document.getAnimations().map((animation) => animation.finished));
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) =>
    `${id}: ` + nodes.map((node) => node.failureSummary + " " + node.html.slice(0, 200)).join("; "));
}
"""

Prepare = Callable[[Visit], Awaitable[None]]


@cache
def axe() -> str:
    return (ROOT / "web_service/ui/node_modules/axe-core/axe.min.js").read_text()


async def nothing(_browsing: Visit) -> None:
    """The page as it comes."""


async def wrong_password(browsing: Visit) -> None:
    browsing.allow(r"status of 401.* /api/login$")
    await browsing.log_in("nobody", "nothing")
    await expect(browsing.page.get_by_role("alert")).to_contain_text("don’t match")


async def account_menu(browsing: Visit) -> None:
    await browsing.page.get_by_role("button", name="Account:").click()
    await expect(browsing.page.get_by_role("button", name="Log out")).to_be_visible()


async def pictures(browsing: Visit) -> None:
    await browsing.choose(
        FilePayload(name="hills.jpg", mimeType="image/jpeg", buffer=landscape(300, 200)),
        FilePayload(name="notes.jpg", mimeType="image/jpeg", buffer=b"not a picture"),
    )
    await expect(browsing.image("hills.jpg").get_by_text("Done", exact=True)).to_be_visible()
    await expect(browsing.image("notes.jpg").get_by_text("Failed", exact=True)).to_be_visible()


async def compare(browsing: Visit) -> None:
    await pictures(browsing)
    await browsing.page.get_by_role("button", name="Compare hills.jpg").click()
    await expect(browsing.page.get_by_role("dialog")).to_be_visible()


async def bad_period(browsing: Visit) -> None:
    await expect(browsing.page.get_by_text("The first day is after the last one.")).to_be_visible()


@pytest_asyncio.fixture(loop_scope="session")
async def work(api: Api) -> AsyncIterator[None]:
    """Jobs of ``user`` in every state that stays: running, waiting, done, failed, cancelled."""
    _, source = await api.upload(landscape(300, 200), "valley.jpg")
    _, letter = await api.upload(b"Dear Sir or Madam", "letter.jpg")
    for job_type, params in (
        ("images.convert", {"source": source["id"], "format": "webp"}),
        ("images.convert", {"source": letter["id"], "format": "webp"}),
        ("reports.orders", {"start": "2025-03-01", "end": "2025-03-31"}),
    ):
        await api.ended(await api.submit(job_type, params))
    open_jobs = [await api.submit("system.sleep", {"ms": 60_000}) for _ in range(3)]
    await api.json("POST", f"/api/jobs/{open_jobs.pop()}/cancel")
    open_jobs.append(await api.submit("reports.orders", {}))
    yield
    for job_id in open_jobs:
        await api.json("POST", f"/api/jobs/{job_id}/cancel")


@pytest.mark.parametrize(
    ("path", "prepare"),
    [("/login", nothing), ("/login", wrong_password)],
)
async def test_before_the_login(visit: Visiting, path: str, prepare: Prepare) -> None:
    browsing = await visit(path=path)
    await expect(browsing.page.get_by_role("heading", name="Log in")).to_be_visible()
    await prepare(browsing)
    await has_no_faults(browsing.page)


@pytest.mark.parametrize("prepare", [nothing, pictures, compare, account_menu])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_convert(visit: Visiting, user: str, prepare: Prepare, size: ViewportSize) -> None:
    # Which parts are folded is decided when the page opens, so each width opens its own.
    browsing = await visit(user, "/convert", size=size)
    await prepare(browsing)
    await has_no_faults(browsing.page, [size])


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("path", "prepare"),
    [
        ("/reports", nothing),
        ("/reports?start=2026-02-01&end=2026-01-01", bad_period),
        ("/jobs", nothing),
    ],
)
async def test_reports_and_jobs(visit: Visiting, user: str, path: str, prepare: Prepare) -> None:
    browsing = await visit(user, path)
    await expect(browsing.page.get_by_text("Waiting", exact=True)).to_be_visible()
    await prepare(browsing)
    await has_no_faults(browsing.page)


async def has_no_faults(page: Page, sizes: Sequence[ViewportSize] = (PHONE, DESKTOP)) -> None:
    """Ask axe at each size, light and dark, then look for sideways scrolling at 320 px."""
    await page.evaluate(axe())
    found = {}
    for size in sizes:
        await page.set_viewport_size(size)
        for dark in (False, True):
            await page.emulate_media(color_scheme="dark" if dark else "light")
            if faults := await page.evaluate(_AXE):
                found[size["width"], "dark" if dark else "light"] = faults
    assert found == {}
    await page.set_viewport_size(NARROWEST)
    width = await page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= NARROWEST["width"]
