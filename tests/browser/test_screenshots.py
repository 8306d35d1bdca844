"""The pictures of the documentation, of real work; they are kept when ``UPDATE_IMAGES`` is 1."""

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import FilePayload, Page, expect

from tests.browser.browsing import PHONE, Visit, Visiting
from tests.browser.landscape import landscape
from tests.support.paths import ROOT
from tests.support.stack import Api, Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

LARGEST = 200_000
PHOTOS = {
    "harbour-at-noon.jpg": ("noon", (1800, 1200), 2),
    "ridge-at-dawn.jpg": ("dawn", (2400, 1600), 3),
    "IMG_2047.jpg": ("mist", (1200, 1600), 5),
    "last-light.jpg": ("dusk", (2000, 1333), 4),
}
_DRAWN = """
async () => {
  await Promise.all([...document.images].map((image) => image.decode()));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}
"""

SLOW_UPLOAD = 150_000
"""Bytes a second: a picture on its way stays on its way while it is photographed."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go."""
    return ROOT / "docs" / "images" if os.environ.get("UPDATE_IMAGES") == "1" else tmp_path


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def photos() -> list[FilePayload]:
    def made() -> list[FilePayload]:
        return [
            FilePayload(
                name=name, mimeType="image/jpeg", buffer=landscape(*size, light=light, seed=seed)
            )
            for name, (light, size, seed) in PHOTOS.items()
        ]

    return await asyncio.to_thread(made)


@pytest_asyncio.fixture(loop_scope="session")
async def ann(stack: Stack) -> AsyncIterator[Api]:
    async with stack.client("ann") as api:
        yield api


@pytest_asyncio.fixture(loop_scope="session")
async def bob(stack: Stack) -> AsyncIterator[Api]:
    async with stack.client("bob") as api:
        yield api


async def test_convert_on_a_desktop(
    visit: Visiting, photos: list[FilePayload], folder: Path
) -> None:
    browsing = await visit("ann")
    await three_are_done_and_one_is_on_its_way(browsing, photos)
    await keep(browsing.page, folder / "convert-desktop-light.png")
    await browsing.page.emulate_media(color_scheme="dark")
    await keep(browsing.page, folder / "convert-desktop-dark.png")


async def test_convert_on_a_phone(visit: Visiting, photos: list[FilePayload], folder: Path) -> None:
    browsing = await visit("ann", size=PHONE)
    await three_are_done_and_one_is_on_its_way(browsing, photos)
    totals = browsing.page.get_by_text("3 of 4 images done")
    await totals.evaluate("(element) => element.scrollIntoView()")
    await keep(browsing.page, folder / "convert-phone.png")


async def test_reports(visit: Visiting, ann: Api, folder: Path) -> None:
    for period in (
        {"start": "2025-01-01", "end": "2025-12-31"},
        {"start": "2026-06-01", "end": "2026-06-30"},
        {"start": "2026-07-01", "end": "2026-07-31"},
    ):
        await ann.ended(await ann.submit("reports.orders", period))
    browsing = await visit("ann", "/reports")
    page = browsing.page
    await expect(page.get_by_role("definition").first).to_have_text("100,000")
    await page.get_by_role("button", name="Make the report").click()
    await a_third_is_done(page, "All orders")
    await keep(page, folder / "reports-desktop.png")


async def test_jobs(visit: Visiting, bob: Api, photos: list[FilePayload], folder: Path) -> None:
    _, letter = await bob.upload(b"%PDF-1.7", "scan.jpg")
    await bob.ended(await bob.submit("images.convert", {"source": letter["id"], "format": "webp"}))
    for photo, form in zip(photos[:3], ("webp", "avif", "jpeg"), strict=True):
        _, source = await bob.upload(photo["buffer"], photo["name"])
        params = {"source": source["id"], "format": form, "width": 1200, "quality": 70}
        await bob.ended(await bob.submit("images.convert", params))
    page = (await visit("bob", "/jobs")).page
    await bob.submit("reports.orders", {})
    await a_third_is_done(page, "All orders")
    await keep(page, folder / "jobs-desktop.png")
    await page.set_viewport_size(PHONE)
    await keep(page, folder / "jobs-phone.png")


async def three_are_done_and_one_is_on_its_way(browsing: Visit, photos: list[FilePayload]) -> None:
    *done, last = photos
    await browsing.choose(*done[::-1])
    for photo in done:
        row = browsing.image(photo["name"])
        await expect(row.get_by_text("Done", exact=True)).to_be_visible()
    await uploads_slowly(browsing.page)
    await browsing.choose(last)
    await a_third_is_done(browsing.page, f"{last['name']}: Uploading")


async def uploads_slowly(page: Page) -> None:
    devtools = await page.context.new_cdp_session(page)
    await devtools.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": SLOW_UPLOAD,
        },
    )


async def a_third_is_done(page: Page, label: str) -> None:
    """Wait until the bar whose label starts so is at a third or more."""
    await page.wait_for_function(
        """(label) => {
          const bar = document.querySelector(`[role="progressbar"][aria-label^="${label}"]`);
          return bar && Number(bar.ariaValueNow) >= 33;
        }""",
        arg=label,
    )


async def keep(page: Page, path: Path) -> None:
    """Write what is on show, with all its pictures loaded, as a small PNG."""
    await page.evaluate(_DRAWN)
    png = await page.screenshot(path=path)
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == tuple((page.viewport_size or {}).values())
    assert len(png) < LARGEST
