"""A page that is open while a service dies: it goes on, says so, and ends in the right state."""

import re
import signal

import pytest
from bson import ObjectId
from playwright.async_api import FilePayload, expect

from shared.models.database import open_database
from tests.browser.browsing import Visiting, texts_with
from tests.browser.landscape import landscape
from tests.support.stack import Api, Stack
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG_MS = 1500
GONE = "ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|WebSocket connection to"
MARCH = "/reports?start=2025-03-01&end=2025-03-31"
PICTURE = FilePayload(name="meanwhile.jpg", mimeType="image/jpeg", buffer=landscape(600, 400))


async def test_the_jobs_service_is_killed_and_comes_back(
    visit: Visiting, stack: Stack, user: str, api: Api
) -> None:
    browsing = await visit(user, MARCH)
    page = browsing.page
    job_id = await api.submit("system.sleep", {"ms": LONG_MS})
    await browsing.go("My jobs")
    await expect(browsing.job(job_id).get_by_role("progressbar")).to_have_attribute(
        "aria-valuenow", re.compile("[1-9]")
    )
    stack.jobs.kill()

    # Everything but the work goes on: pages, data, uploads, and asking for more.
    await page.go_back()
    await expect(page.get_by_role("definition").first).to_have_text(re.compile(r"^\d,\d{3}$"))
    await page.get_by_role("button", name="Make the report").click()
    report = page.get_by_role("article", name="Orders, 1 Mar 2025 – 31 Mar 2025")
    await expect(report.get_by_text("Waiting", exact=True)).to_be_visible()
    await browsing.go("Convert")
    await browsing.choose(PICTURE)
    picture = browsing.image("meanwhile.jpg")
    await expect(picture.get_by_text("Waiting for its turn", exact=True)).to_be_visible()
    await browsing.live()

    await stack.jobs.start()
    await expect(picture.get_by_text("Done", exact=True)).to_be_visible()
    await browsing.go("My jobs")
    row = browsing.job(job_id)
    await expect(row.get_by_text("Done", exact=True)).to_be_visible()
    await expect(row.get_by_text(re.compile(r"^Attempt 2 of \d+$"))).to_be_visible()
    finished = page.get_by_role("list", name="Jobs").get_by_text("Done", exact=True)
    await expect(finished).to_have_count(3)
    assert browsing.changes(job_id, "state").count("completed") == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_the_web_service_is_restarted(
    visit: Visiting, stack: Stack, user: str, api: Api, how: signal.Signals
) -> None:
    browsing = await visit(user, MARCH)
    page = browsing.page
    browsing.allow(GONE)
    job_id = await api.submit("system.sleep", {"ms": LONG_MS})
    await expect(page).to_have_title("▸ 1 running · Reports · Tandem")
    await page.evaluate("window.sameDocument = true")
    stack.web.stop(how)

    banner = page.get_by_role("banner")
    await expect(banner).to_contain_text("Reconnecting")
    await expect(banner.get_by_text("Live", exact=True)).to_have_count(0)
    await page.get_by_role("button", name="Make the report").click()  # waits for the connection
    await browsing.go("My jobs")
    row = browsing.job(job_id)
    await expect(row.get_by_text("Running", exact=True)).to_be_visible()  # as it was last known
    await browsing.go("Convert")
    await browsing.choose(PICTURE)
    picture = browsing.image("meanwhile.jpg")
    await expect(picture).to_contain_text("The server can’t be reached.")
    await ended(stack, job_id)

    await stack.web.start()
    await browsing.live()
    await picture.get_by_role("button", name="Try again: meanwhile.jpg").click()
    await expect(picture.get_by_text("Done", exact=True)).to_be_visible()
    await browsing.go("My jobs")
    listed = page.get_by_role("list", name="Jobs").get_by_role("listitem")
    await expect(listed.get_by_text("Done", exact=True)).to_have_count(3)
    await expect(listed).to_have_count(3)  # what was asked for meanwhile was asked for once
    assert await page.evaluate("window.sameDocument")
    assert texts_with("completed", browsing.changes(job_id, "state")) == ["completed"]


async def ended(stack: Stack, job_id: str) -> None:
    """Wait until a job is completed, by the database alone."""
    async with open_database(stack.mongo_url, stack.database) as database:
        jobs = database.collection("jobs")
        wanted = {"_id": ObjectId(job_id), "state": "completed"}
        await eventually(lambda: jobs.find_one(wanted), 30, f"job {job_id} completed")
