"""The main path without a mouse: log in, convert a picture, compare, download, look at the job."""

import pytest
from playwright.async_api import FilePayload, expect

from tests.browser.browsing import Visiting
from tests.browser.landscape import landscape
from tests.support.stack import PASSWORD

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_from_the_login_to_the_download(visit: Visiting, user: str) -> None:
    browsing = await visit(path="/")
    page, keyboard = browsing.page, browsing.page.keyboard
    # Chromium hands over its file dialogs some time after the first listener is there.
    page.on("filechooser", lambda _: None)
    await expect(page.get_by_label("Username")).to_be_focused()
    await keyboard.type(user)
    await keyboard.press("Tab")
    await keyboard.type(PASSWORD)
    await keyboard.press("Enter")
    await expect(page).to_have_url("/convert")
    await browsing.live()

    await browsing.tab_to(page.get_by_role("radio", name="Web"))
    await keyboard.press("ArrowDown")
    await expect(page.get_by_role("radio", name="E-mail")).to_be_checked()
    await browsing.tab_to(page.get_by_role("button", name="Choose files"))
    async with page.expect_file_chooser() as opened:
        await keyboard.press("Enter")
    chooser = await opened.value
    assert chooser.is_multiple()
    await chooser.set_files(
        [FilePayload(name="lake.jpg", mimeType="image/jpeg", buffer=landscape(900, 600, "noon"))]
    )
    row = browsing.image("lake.jpg")
    await expect(row.get_by_text("Done", exact=True)).to_be_visible()

    await browsing.tab_to(row.get_by_role("button", name="Compare lake.jpg"))
    await keyboard.press("Space")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await keyboard.press("Escape")
    await expect(row.get_by_role("button", name="Compare lake.jpg")).to_be_focused()
    await browsing.tab_to(row.get_by_role("link", name="Download lake.jpg"))
    async with page.expect_download() as started:
        await keyboard.press("Enter")
    assert (await started.value).suggested_filename == "lake.jpg"


async def test_the_first_stop_skips_the_frame_and_a_new_page_has_the_focus(
    visit: Visiting, user: str
) -> None:
    browsing = await visit(user, "/reports")
    page, keyboard = browsing.page, browsing.page.keyboard
    await keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await keyboard.press("Enter")
    await keyboard.press("Tab")
    await expect(page.get_by_role("button", name="All orders", exact=True)).to_be_focused()
    main = page.get_by_role("navigation", name="Main")
    await main.get_by_role("link", name="My jobs").focus()
    await keyboard.press("Enter")
    await expect(page).to_have_url("/jobs")
    await expect(page.get_by_role("main")).to_be_focused()
    await browsing.tab_to(
        page.get_by_role("navigation", name="Filter").get_by_role("link", name="Failed"), most=5
    )
    await keyboard.press("Enter")
    await expect(page).to_have_url("/jobs?state=failed")
