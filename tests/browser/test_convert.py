"""Convert: pictures in, one result or one clear error each, compared and downloaded."""

import asyncio
import base64
import io
import re
from functools import cache

import pytest
from PIL import Image
from playwright.async_api import FilePayload, Page, expect

from tests.browser.browsing import Visit, Visiting
from tests.browser.landscape import landscape
from tests.support.photos import photo
from tests.support.stack import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALLER = re.compile(r"^−\d+\s%$")


def jpeg(name: str, data: bytes) -> FilePayload:
    return FilePayload(name=name, mimeType="image/jpeg", buffer=data)


@cache
def twelve_megapixels() -> bytes:
    """4000 x 3000 stored pixels that a viewer turns by 90 degrees, as phones write them."""
    return photo(4000, 3000, orientation=6)


async def test_several_pictures_and_one_that_is_none(visit: Visiting, user: str) -> None:
    browsing = await visit(user)
    page = browsing.page
    await browsing.choose(
        jpeg("first.jpg", landscape(900, 600, "dawn")),
        jpeg("letter.jpg", b"%PDF-1.7 this is no picture at all"),
        jpeg("second.jpg", landscape(900, 600, "dusk")),
        jpeg("third.jpg", landscape(900, 600, "noon")),
    )
    for name in ("first.jpg", "second.jpg", "third.jpg"):
        row = browsing.image(name)
        await expect(row.get_by_text("Done", exact=True)).to_be_visible()
        await expect(row.get_by_text(SMALLER)).to_be_visible()
        await expect(row).to_contain_text("WebP · 900 × 600")
    broken = browsing.image("letter.jpg")
    await expect(broken.get_by_text("Failed", exact=True)).to_be_visible()
    await expect(broken).to_contain_text("letter.jpg is not an image we can read")
    await expect(broken).to_contain_text("code bad-image")
    await expect(broken.get_by_role("button", name="Try again: letter.jpg")).to_be_visible()
    await expect(page.get_by_text("3 of 4 images done")).to_be_visible()
    name, data = await browsing.download(
        browsing.image("second.jpg").get_by_role("link", name="Download second.webp")
    )
    assert name == "second.webp"
    assert Image.open(io.BytesIO(data)).size == (900, 600)


async def test_a_12_megapixel_photo_becomes_a_thumbnail_512_pixels_wide(
    visit: Visiting, user: str
) -> None:
    data = await asyncio.to_thread(twelve_megapixels)
    browsing = await visit(user)
    page = browsing.page
    await page.get_by_text("Thumbnail", exact=True).click()
    await expect(page.get_by_role("radio", name="Thumbnail")).to_be_checked()
    width = page.get_by_label("Largest width px")
    await expect(width).to_have_value("256")
    await width.fill("512")
    await page.get_by_label("Format").select_option("JPEG")
    await browsing.choose(jpeg("IMG_1.jpg", data))
    row = browsing.image("IMG_1.jpg")
    await expect(row).to_contain_text("JPEG · 512 × 683")
    await expect(row.get_by_text(SMALLER)).to_be_visible()

    name, made = await browsing.download(row.get_by_role("link", name="Download IMG_1.jpg"))
    assert name == "IMG_1.jpg"
    image = Image.open(io.BytesIO(made))
    assert (image.format, image.size) == ("JPEG", (512, 683))
    assert 0x0112 not in image.getexif()
    # Orientation 6 turns the stored picture clockwise: its lower left comes to upper left.
    for (x, y), colour in {
        (20, 20): (30, 40, 210),
        (491, 20): (220, 30, 30),
        (20, 662): (230, 220, 40),
        (491, 662): (30, 200, 40),
    }.items():
        box = image.convert("RGB").crop((x - 12, y - 12, x + 12, y + 12)).resize((1, 1))
        assert box.getpixel((0, 0)) == pytest.approx(colour, abs=35)


async def test_progress_goes_from_the_upload_to_the_saved_result(
    visit: Visiting, user: str
) -> None:
    data = await asyncio.to_thread(twelve_megapixels)
    browsing = await visit(user, "/convert?format=png&width=keep")
    await browsing.watch(".row-line")
    await browsing.choose(jpeg("large.jpg", data))
    row = browsing.image("large.jpg")
    await expect(row).to_contain_text("PNG · 3000 × 4000")
    await expect(row.get_by_text(re.compile(r"^\+\d+\s%$"))).to_be_visible()  # lossless is larger
    steps = await browsing.seen(".row-line")
    stages = ("Uploading", "Running", "Done")
    order = [stage for text in steps for stage in stages if re.match(rf" ?{stage}.*\d+\s%", text)]
    assert list(dict.fromkeys(order)) == list(stages), steps
    [job_id] = {m["id"] for m in browsing.received if m.get("collection") == "jobs"}
    done = [progress["done"] for progress in browsing.changes(job_id, "progress")]
    assert done == sorted(done)
    assert any(0 < percent < 100 for percent in done)


async def test_dropped_files_start_and_options_can_be_changed_afterwards(
    visit: Visiting, user: str
) -> None:
    browsing = await visit(user)
    page = browsing.page
    await drop(page, {"dropped.jpg": landscape(640, 480, "mist"), "too.jpg": photo(320, 240)})
    await expect(page.get_by_text("2 of 2 images done")).to_be_visible()
    await page.get_by_text("E-mail", exact=True).click()
    await expect(page).to_have_url("/convert?preset=email")
    await page.get_by_role("button", name="Convert all 2 again with these options").click()
    for name, size in {"dropped.jpg": "640 × 480", "too.jpg": "320 × 240"}.items():
        await expect(browsing.image(name)).to_contain_text(f"JPEG · {size}")
    await expect(page.get_by_text("2 of 2 images done")).to_be_visible()
    await page.get_by_role("button", name="Remove too.jpg").click()
    await expect(page.get_by_text("1 of 1 image done")).to_be_visible()
    await page.get_by_role("button", name="Clear the list").click()
    await expect(page.get_by_text("Drop images here")).to_be_visible()


async def test_a_picture_that_waits_can_be_cancelled_and_tried_again(
    visit: Visiting, user: str, api: Api
) -> None:
    browsing = await visit(user)
    in_the_way = [await api.submit("system.sleep", {"ms": 60_000}) for _ in range(2)]
    try:
        await browsing.choose(jpeg("late.jpg", landscape(600, 400)))
        row = browsing.image("late.jpg")
        await expect(row.get_by_text("Waiting for its turn", exact=True)).to_be_visible()
        await row.get_by_role("button", name="Cancel late.jpg").click()
        await expect(row.get_by_text("Cancelled", exact=True)).to_be_visible()
    finally:
        for job_id in in_the_way:
            await api.json("POST", f"/api/jobs/{job_id}/cancel")
    await row.get_by_role("button", name="Try again: late.jpg").click()
    await expect(row.get_by_text("Done", exact=True)).to_be_visible()


async def test_before_and_after_by_keyboard(visit: Visiting, user: str) -> None:
    browsing = await visit(user)
    page = browsing.page
    await browsing.choose(jpeg("hills.jpg", landscape(900, 600)))
    compare = page.get_by_role("button", name="Compare hills.jpg")
    await compare.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Before and after: hills.jpg")
    await expect(dialog).to_be_visible()
    for alternative in ("Before: hills.jpg", "After: hills.webp"):
        await is_drawn(browsing, alternative)
    slider = dialog.get_by_role("slider", name="Share of the original")
    await browsing.tab_to(slider, most=3)
    stage = dialog.locator(".stage")
    for key, share in (("ArrowRight", 51), ("End", 100), ("Home", 0), ("PageUp", 10)):
        await page.keyboard.press(key)
        await expect(slider).to_have_value(str(share))
        await expect(stage).to_have_attribute("style", re.compile(rf"--split: ?{share}%"))
    number = dialog.get_by_role("spinbutton", name="Share of the original in percent")
    await page.keyboard.press("Tab")
    await expect(number).to_be_focused()
    await number.fill("33")
    await expect(slider).to_have_value("33")
    await expect(dialog.get_by_text(SMALLER)).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(compare).to_be_focused()


async def drop(page: Page, files: dict[str, bytes]) -> None:
    """Let go of files over the page, as a file manager does."""
    texts = {name: base64.b64encode(data).decode() for name, data in files.items()}
    transfer = await page.evaluate_handle(
        """async (texts) => {
          const transfer = new DataTransfer();
          for (const [name, text] of Object.entries(texts)) {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
          }
          return transfer;
        }""",
        texts,
    )
    await page.dispatch_event("main", "dragover", {"dataTransfer": transfer})
    await expect(page.get_by_text("Let go to start")).to_be_visible()
    await page.dispatch_event("main", "drop", {"dataTransfer": transfer})


async def is_drawn(browsing: Visit, alternative: str) -> None:
    image = browsing.page.get_by_role("img", name=alternative)
    await expect(image).to_have_js_property("complete", True)
    assert await image.evaluate("(image) => image.naturalWidth") == 900
