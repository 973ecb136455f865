"""Pictures of all pages for the documentation: `python -m bench.pages.pictures [--folder docs/pictures]`.

A small real cluster is started, a primary is moved and another one is killed. Then each page is drawn in light, in
dark, on a phone, and some of them disconnected from vtorc.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.async_api import Browser, expect

from bench.pages.chromium import LIGHT, LOOKS, PATIENCE, Look, chromium, opened
from bench.pages.scene import Scene, View, scene

DISCONNECTED = ("fleet", "shard", "plan")
"""The views that are drawn disconnected as well."""

HEIGHT = 1300
"""Most pixels of a picture from top to bottom; what is below is cut off."""


async def draw(folder: Path, only: Sequence[str]) -> None:
    """Draw the views of these names, or all of them without a name."""
    _say("starting a cluster of twelve MySQL servers")
    async with scene() as played, chromium() as browser:
        for view in played.views:
            if only and view.name not in only:
                continue
            for look in LOOKS:
                await _draw(browser, played, view, look, folder)
        for view in played.views:
            if view.name in DISCONNECTED and (not only or view.name in only):
                await _draw_disconnected(browser, played, view, folder)


async def _draw(browser: Browser, played: Scene, view: View, look: Look, folder: Path) -> None:
    async with opened(browser, f"http://{played.address}{view.path}", look) as page:
        await page.wait_for_load_state("load")
        await expect(page.locator("h1")).to_be_visible(timeout=PATIENCE)
        height = min(HEIGHT, await page.evaluate("document.documentElement.scrollHeight"))
        await page.set_viewport_size({"width": look.width, "height": max(height, 400)})
        await page.screenshot(path=folder / f"{view.name}-{look.name}.png")
    _say(f"{view.name}, {look.name}")


async def _draw_disconnected(browser: Browser, played: Scene, view: View, folder: Path) -> None:
    async with opened(browser, f"http://{played.address}{view.path}", LIGHT) as page:
        with played.stopped():
            await expect(page.locator("#freshness")).to_contain_text("Disconnected", timeout=PATIENCE)
            await page.screenshot(path=folder / f"{view.name}-disconnected.png")
    _say(f"{view.name}, disconnected")


def _say(line: str) -> None:
    sys.stdout.write(f"pictures: {line}\n")
    sys.stdout.flush()


def main() -> int:
    """Read the command line and draw; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages.pictures", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("docs/pictures"), help="where the pictures go")
    parser.add_argument("--only", nargs="*", default=[], metavar="VIEW", help="views to draw; all without it")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(draw(options.folder, options.only))
    return 0


if __name__ == "__main__":
    sys.exit(main())
