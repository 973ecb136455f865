"""The pages of a demo, in a real browser: what breaks and mends its servers, and what vtorc does about it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from bench.pages.chromium import PATIENCE, chromium, opened
from tests.e2e.demo.demos import Demo, running


@asynccontextmanager
async def page_of(demo: Demo) -> AsyncIterator[Page]:
    """Open the address that a demo prints; what goes wrong in its scripts or with its policy fails the test."""
    expect.set_options(timeout=PATIENCE)
    address = (await demo.wait_line("/ui/", "the pages of vtorc")).split()[0]
    async with chromium() as browser, opened(browser, address) as page:
        yield page


async def serious_findings(page: Page) -> list[str]:
    """Return what axe finds seriously wrong with a page."""
    told = await Axe().run(page)
    return [each["id"] for each in told.response["violations"] if each["impact"] in ("serious", "critical")]


async def test_a_primary_is_killed_on_the_page_and_dragged_back(tmp_path: Path) -> None:
    """The page kills the primary, shows the recovery and its steps without being loaded again, mends the old primary,
    and moves it back to its place by a drag.
    """
    async with running(tmp_path, "--topo", "local") as demo, page_of(demo) as page:
        await page.get_by_role("link", name="commerce/0").click()
        await expect(page.locator("h1 .word")).to_have_text("healthy")
        old = await page.locator(".card-primary").get_attribute("data-alias")
        await page.evaluate("window.isTheSamePage = true")
        panel = page.get_by_role("complementary", name="Demo")
        await expect(panel).to_contain_text("all servers run")

        await panel.get_by_role("button", name="Kill mysqld").click()
        await expect(panel).to_contain_text(f"Done: kill -9 of the mysqld of {old}, the primary.")
        await expect(panel.get_by_label("What is broken")).to_contain_text(f"{old}: its mysqld is down")
        done = page.locator("[data-key=recoveries] li", has_text="RecoverDeadPrimary succeeded")
        await expect(done).to_have_count(1)
        await expect(page.locator(".card-primary")).not_to_have_attribute("data-alias", str(old))

        await panel.get_by_role("button", name=f"Mend {old}").click()
        await expect(panel).to_contain_text("all servers run")
        errant = page.locator(f"[data-alias='{old}'] .gtid-errant")
        await expect(errant.or_(page.locator("h1 .word", has_text="healthy"))).to_be_visible()
        if await errant.count():  # it wrote last what no replica had acknowledged, and MySQL keeps that after a crash
            await panel.get_by_label("Break").select_option(old)
            await panel.get_by_role("button", name="Rebuild").click()
        await expect(page.locator("h1 .word")).to_have_text("healthy")
        assert await page.evaluate("window.isTheSamePage")

        await page.locator(f"[data-alias='{old}'] h3").hover()
        await page.mouse.down()
        await page.locator(".card-primary").hover()
        await page.locator(".card-primary").hover()  # browsers begin a drag with the second move
        await expect(page.locator("#drop-hint")).to_contain_text(f"Promote {old}. Writes pause")
        await page.mouse.up()
        await page.locator("input[name=reason]").fill("back to where it was")
        await page.get_by_role("button", name="Carry it out").click()
        await expect(page.locator("h1")).to_have_text("PlannedReparentShard: succeeded")
        await expect(page.locator("tr", has_text="promote").first).to_contain_text(str(old))


async def test_vtorc_is_ended_and_started_on_its_own_page(tmp_path: Path) -> None:
    """While vtorc has ended, the demo answers in its place: the page says so, and starts it again.

    With the controls axe finds nothing serious on it, in light and in dark.
    """
    async with running(tmp_path, "--simulated", "--topo", "local") as demo, page_of(demo) as page:
        panel = page.get_by_role("complementary", name="Demo")
        await panel.get_by_role("button", name="End vtorc").click()
        await expect(panel).to_contain_text("vtorc has ended: nothing is repaired until it runs again")
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert await serious_findings(page) == []
        await expect(page.locator("#freshness")).to_contain_text("Disconnected: showing what was known as of")
        await expect(page.locator("h1")).to_have_text("The shard is healthy.")
        await panel.get_by_role("button", name="Kill etcd").click()
        await expect(panel).to_contain_text("the demo refuses")
        await page.reload()
        await expect(page.locator("h1")).to_have_text("vtorc has ended.")
        await panel.get_by_role("button", name="Mend all").click()
        await expect(page.locator("h1")).to_have_text("The shard is healthy.")
        await expect(panel).to_contain_text("all servers run")
