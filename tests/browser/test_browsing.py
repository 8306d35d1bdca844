"""The tests' own eyes: what a page complains about is really seen."""

import pytest
from playwright.async_api import expect

from tests.browser.browsing import Visiting, texts_with
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_errors_and_what_the_content_security_policy_refuses_are_complaints(
    visit: Visiting,
) -> None:
    browsing = await visit(path="/login")
    page = browsing.page
    await expect(page.get_by_label("Username")).to_be_visible()
    assert browsing.unexpected == []
    await page.evaluate("""() => {
      document.body.append(Object.assign(new Image(), { src: "https://elsewhere.example/a.png" }));
      document.body.append(Object.assign(document.createElement("script"), { text: "alert(1)" }));
      setTimeout(() => { throw new Error("on purpose"); });
      console.warn("beware");
    }""")
    wanted = ("CSP: img-src https", "CSP: script-src-elem inline", "uncaught: on purpose", "beware")
    await eventually(lambda: all(texts_with(text, browsing.unexpected) for text in wanted))
    browsing.allow("")
