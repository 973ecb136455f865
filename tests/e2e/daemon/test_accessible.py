"""Every page, in light and in dark, by the rules of axe: contrast, names of fields, order of headings and the like."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from bench.pages.chromium import DARK, LIGHT, PATIENCE, PHONE, Look, chromium, opened
from bench.pages.scene import Scene, scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERIOUS = ("serious", "critical")
"""The impacts of findings that no page may have."""

LOOKS = (LIGHT, DARK, PHONE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played() -> AsyncIterator[Scene]:
    """Give a cluster in which enough has happened that each page has something to show."""
    async with scene() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Start a Chromium."""
    async with chromium() as started:
        yield started


async def findings(browser: Browser, url: str, look: Look) -> list[str]:
    """Return what axe finds seriously wrong with a page."""
    async with opened(browser, url, look) as page:
        await expect(page.locator("h1")).to_be_visible(timeout=PATIENCE)
        told = await Axe().run(page)
    return [
        f"{look.name} {url}: {found['id']}: {node['target']} {node.get('failureSummary', '')}"
        for found in told.response["violations"]
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_no_page_has_a_serious_finding(played: Scene, browser: Browser, look: Look) -> None:
    """In each look axe finds nothing serious on any page."""
    found = [
        one for view in played.views for one in await findings(browser, f"http://{played.address}{view.path}", look)
    ]
    assert found == []


@pytest.mark.parametrize("path", ["/ui/nothing", "/ui/?q=no+such+shard", "/ui/recoveries?shard=none/0"])
async def test_pages_without_content_have_no_serious_finding(played: Scene, browser: Browser, path: str) -> None:
    """A page that does not exist, and lists that are empty, are as good as the others."""
    for look in (LIGHT, DARK):
        assert await findings(browser, f"http://{played.address}{path}", look) == []


async def test_a_disconnected_page_has_no_serious_finding(played: Scene, browser: Browser) -> None:
    """A page that is grey because vtorc is not heard can be read as well."""
    for look in (LIGHT, DARK):
        async with opened(browser, f"http://{played.address}{played.views[1].path}", look) as page:
            with played.stopped():
                await expect(page.locator("body.is-stale")).to_be_visible(timeout=PATIENCE)
                told = await Axe().run(page)
        assert [each["id"] for each in told.response["violations"] if each["impact"] in SERIOUS] == []
