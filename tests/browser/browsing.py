"""A person with a browser of their own: pages that tell what they complained about."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, Protocol

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    FilePayload,
    Locator,
    Page,
    ViewportSize,
    WebSocket,
    expect,
)

from tests.support.stack import PASSWORD

DESKTOP: Final = ViewportSize(width=1280, height=800)
PHONE: Final = ViewportSize(width=390, height=844)
WAIT_MS: Final = 30_000
"""For a loaded machine: no test waits that long where all is well."""

# Chromium itself reports each failed request; before the login the page asks who is logged in.
_NOT_LOGGED_IN = r"status of 401.* /api/me$"

_TELL_OF_CSP = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""

_WATCH = """
(selector) => {
  const seen = (window.seenTexts ??= {})[selector] = [];
  const look = () => {
    for (const element of document.querySelectorAll(selector)) {
      const text = element.textContent;
      if (!seen.includes(text)) seen.push(text);
    }
  };
  look();
  new MutationObserver(look).observe(document.body, {
    childList: true, subtree: true, characterData: true, attributes: true,
  });
}
"""


class Visit:
    """One page, all that its live connection received, and all that went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.received: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self._allowed = [_NOT_LOGGED_IN]
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("websocket", self._websocket)

    def allow(self, pattern: str) -> None:
        """Expect complaints that hold ``pattern``, such as those of a server that is gone."""
        self._allowed.append(pattern)

    @property
    def unexpected(self) -> list[str]:
        return [
            text
            for text in self.complaints
            if not any(re.search(pattern, text) for pattern in self._allowed)
        ]

    async def live(self) -> None:
        """Wait until the page says that what it shows is live."""
        await expect(
            self.page.get_by_role("banner").get_by_text("Live", exact=True)
        ).to_be_visible()

    async def log_in(self, username: str, password: str = PASSWORD) -> None:
        """Fill the form that is on show, and send it."""
        await self.page.get_by_label("Username").fill(username)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Log in").click()

    async def go(self, name: str) -> None:
        """Follow a link of the main navigation."""
        await (
            self.page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()
        )

    async def choose(self, *files: FilePayload) -> None:
        await self.page.get_by_label("Image files").set_input_files(list(files))

    def image(self, name: str) -> Locator:
        """The row of a picture on Convert."""
        images = self.page.get_by_role("list", name="Images")
        return images.get_by_role("listitem", name=name, exact=True)

    def job(self, job_id: str) -> Locator:
        """The row of a job on My jobs."""
        return self.page.get_by_role("list", name="Jobs").locator(f'[data-job="{job_id}"]')

    async def download(self, link: Locator) -> tuple[str, bytes]:
        """Name and contents of the file that a link gives."""
        async with self.page.expect_download() as started:
            await link.click()
        download = await started.value
        path = await download.path()
        return download.suggested_filename, path.read_bytes()

    async def watch(self, selector: str) -> None:
        """From now on note every text that an element of ``selector`` ever shows."""
        await self.page.evaluate(_WATCH, selector)

    async def seen(self, selector: str) -> list[str]:
        """The noted texts, in order, each once."""
        return list(await self.page.evaluate("(selector) => window.seenTexts[selector]", selector))

    async def tab_to(self, target: Locator, most: int = 40) -> None:
        """Press Tab until ``target`` has the focus, as somebody without a mouse does."""
        for _ in range(most):
            if await target.evaluate("(element) => element === document.activeElement"):
                return
            await self.page.keyboard.press("Tab")
        await expect(target).to_be_focused(timeout=1000)

    def changes(self, job_id: str, field: str) -> list[Any]:
        """The values of one field of a job, as its data messages brought them."""
        fields = [m["fields"] for m in self.received if m.get("id") == job_id and "fields" in m]
        return [f[field] for f in fields if f.get(field) is not None]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            address = re.sub(r"^https?://[^/]+", "", message.location["url"])
            self.complaints.append(f"{message.type}: {message.text} {address}")

    def _websocket(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda text: self.received.append(json.loads(text)))


class Visiting(Protocol):
    """The fixture ``visit``."""

    async def __call__(
        self,
        username: str | None = None,
        path: str = "/convert",
        *,
        size: ViewportSize = DESKTOP,
        dark: bool = False,
    ) -> Visit: ...


async def new_context(browser: Browser, url: str, size: ViewportSize, dark: bool) -> BrowserContext:
    """A browser as fresh as a private window; it tells of what its CSP refused."""
    context = await browser.new_context(
        base_url=url,
        viewport=size,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",  # nothing is caught halfway through a transition
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(WAIT_MS)
    await context.add_init_script(_TELL_OF_CSP)
    return context


async def has_cookie_of(context: BrowserContext, username: str) -> None:
    """Log in without the form."""
    answer = await context.request.post(
        "/api/login", data={"username": username, "password": PASSWORD}
    )
    assert answer.ok, await answer.text()


def texts_with(pattern: str, texts: Sequence[str]) -> list[str]:
    return [text for text in texts if re.search(pattern, text)]
