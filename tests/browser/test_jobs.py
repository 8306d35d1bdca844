"""My jobs: live in every browser of their owner, kept over a reload, nobody else's business."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import expect

from tests.browser.browsing import PHONE, Visiting, texts_with
from tests.browser.landscape import landscape
from tests.support.stack import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_two_browsers_of_one_person_see_a_job_move_and_another_person_nothing(
    visit: Visiting, user: str, api: Api, new_user: Callable[[str], Awaitable[str]]
) -> None:
    first = await visit(user, "/jobs")
    second = await visit(user, "/jobs", size=PHONE)
    other = await visit(await new_user("bob"), "/jobs")
    for browsing in (first, second, other):
        await expect(browsing.page.get_by_text("Nothing yet.")).to_be_visible()
        await browsing.watch(".row-line")
    job_id = await api.submit("system.burn", {"ms": 1500})
    for browsing in (first, second):
        await expect(browsing.job(job_id).get_by_text("Done", exact=True)).to_be_visible()
        lines = await browsing.seen(".row-line")
        assert len(texts_with(r"^Running.* \d+\s%", lines)) >= 2, lines
        assert browsing.changes(job_id, "state") == ["available", "executing", "completed"]
    await expect(other.page.get_by_text("Nothing yet.")).to_be_visible()
    assert not [message for message in other.received if message.get("collection") == "jobs"]
    assert await other.seen(".row-line") == []


async def test_the_list_survives_a_reload_and_can_be_filtered(
    visit: Visiting, user: str, api: Api
) -> None:
    _, source = await api.upload(landscape(600, 400), "valley.jpg")
    _, letter = await api.upload(b"Dear Sir or Madam", "letter.jpg")
    jobs = {
        "valley.jpg": ("images.convert", {"source": source["id"], "format": "avif"}, "Done"),
        "letter.jpg": ("images.thumbnail", {"source": letter["id"], "width": 64}, "Failed"),
        "Orders, Mar 2025": (
            "reports.orders",
            {"start": "2025-03-01", "end": "2025-03-31"},
            "Done",
        ),
    }
    ids = [await api.submit(kind, params) for kind, params, _ in jobs.values()]
    browsing = await visit(user, "/jobs")
    page = browsing.page
    for _ in ("before", "after"):
        for job_id, (_, _, state) in zip(ids, jobs.values(), strict=True):
            await expect(browsing.job(job_id).get_by_text(state, exact=True)).to_be_visible()
        for job_id, name in zip(ids[:2], jobs, strict=False):
            await expect(browsing.job(job_id)).to_have_accessible_name(name)
        await page.reload()
        await browsing.live()
    listed = page.get_by_role("list", name="Jobs").get_by_role("listitem")
    await expect(listed).to_have_count(3)
    order = [await row.get_attribute("data-job") for row in await listed.all()]
    assert order == ids[::-1]
    await page.get_by_role("navigation", name="Filter").get_by_role("link", name="Failed").click()
    await expect(listed).to_have_count(1)
    await expect(page).to_have_url("/jobs?state=failed")
    await expect(browsing.job(ids[1])).to_contain_text("code bad-image")
    await page.go_back()
    await expect(listed).to_have_count(3)


async def test_a_running_job_is_cancelled_and_runs_again(
    visit: Visiting, user: str, api: Api
) -> None:
    browsing = await visit(user, "/jobs")
    page = browsing.page
    job_id = await api.submit("system.sleep", {"ms": 60_000})
    row = browsing.job(job_id)
    await expect(row.get_by_text("Running", exact=True)).to_be_visible()
    await expect(page).to_have_title("▸ 1 running · My jobs · Tandem")
    await row.get_by_role("button", name="Cancel system.sleep").click()
    await expect(row.get_by_text("Cancelled", exact=True)).to_be_visible()
    await row.get_by_role("button", name="Try again: system.sleep").click()
    await expect(row.get_by_text("Running", exact=True)).to_be_visible()
    await row.get_by_role("button", name="Cancel system.sleep").click()
    await expect(row.get_by_text("Cancelled", exact=True)).to_be_visible()
    await expect(page).to_have_title("My jobs · Tandem")


async def test_a_job_that_ends_while_one_is_elsewhere_is_told(
    visit: Visiting, user: str, api: Api
) -> None:
    browsing = await visit(user, "/convert")
    page = browsing.page
    await api.submit("reports.orders", {"start": "2025-03-01", "end": "2025-03-31"})
    news = page.get_by_role("complementary", name="News")
    await expect(news).to_contain_text("is ready")
    name, data = await browsing.download(news.get_by_role("link", name="Download"))
    assert name == "orders-from-2025-03-01-to-2025-03-31.xlsx"
    assert data.startswith(b"PK")
    await expect(page).to_have_title("✓ 1 done · Convert images · Tandem")
