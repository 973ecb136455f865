"""A Chromium without a screen, and pages in it that tell what went wrong."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from playwright.async_api import Browser, Page, async_playwright

from vtorc.lab.parts import find_chromium

# As root it has no sandbox; the rest keeps it from asking hosts of its maker.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

PATIENCE = 300_000
"""Milliseconds that anything in a browser may take on a busy machine."""

Scheme = Literal["light", "dark"]
"""Which colours the system of the reader asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a reader looks at a page."""

    name: str
    """The name that pictures of it have."""
    scheme: Scheme = "light"
    width: int = 1280
    """Width of the window, in pixels, as the height."""
    height: int = 800


LIGHT, DARK = Look(name="light"), Look(name="dark", scheme="dark")
PHONE = Look(name="phone", width=390, height=844)
LOOKS: Sequence[Look] = (LIGHT, DARK, PHONE)
"""The looks that every page is to be good in."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start the Chromium of the parts; it ends with the context. Raises PartMissing if there is none."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium().path, args=_OPTIONS, timeout=PATIENCE
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(browser: Browser, url: str, look: Look = LIGHT, *, scripts: bool = True) -> AsyncIterator[Page]:
    """Open a page; raises AssertionError at the end with what went wrong in its scripts, or against its policy."""
    page = await browser.new_page(
        java_script_enabled=scripts,
        color_scheme=look.scheme,
        viewport={"width": look.width, "height": look.height},
        reduced_motion="reduce",
    )
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda told: wrong.append(told.text) if "Content Security Policy" in told.text else None)
    try:
        await page.goto(url)
        yield page
    finally:
        await page.close()
    assert wrong == [], f"{url}: {wrong}"
