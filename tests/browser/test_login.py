"""Logging in and out, by the form alone."""

import pytest
from playwright.async_api import expect

from tests.browser.browsing import Visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_wrong_password_is_told_and_the_right_one_leads_where_one_wanted(
    visit: Visiting, user: str
) -> None:
    browsing = await visit(path="/reports")
    page = browsing.page
    browsing.allow(r"status of 401.* /api/login$")
    await expect(page).to_have_url("/login?next=%2Freports")
    await browsing.log_in(user, "a guess")
    await expect(page.get_by_role("alert")).to_have_text(
        "That username and password don’t match. Try again. code bad-credentials"
    )
    await expect(page.get_by_label("Password")).to_be_focused()
    await expect(page.get_by_label("Username")).to_have_value(user)
    await browsing.log_in(user)
    await expect(page).to_have_url("/reports")
    await browsing.live()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Reports")


async def test_logging_out_ends_the_session_and_shows_nothing_more(
    visit: Visiting, user: str
) -> None:
    browsing = await visit(user, "/jobs")
    page = browsing.page
    await page.get_by_role("button", name=f"Account: {user}").click()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    await expect(page.get_by_role("banner")).to_have_count(0)
    await page.goto("/jobs")
    await expect(page).to_have_url("/login?next=%2Fjobs")


async def test_the_chosen_theme_stays(visit: Visiting, user: str) -> None:
    page = (await visit(user)).page
    light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.get_by_role("button", name=f"Account: {user}").click()
    await page.get_by_text("Dark", exact=True).click()
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
