"""What is answered at the address of a demo's pages while its vtorc has ended."""

from tests.unit.server.told import ask_app
from vtorc.demo.stand_in import stand_in_app
from vtorc.server.ui.assets import asset_path


async def test_a_page_and_a_program_are_told_that_vtorc_has_ended() -> None:
    """A page says so, with the controls and their files; a program gets a problem that says how to start vtorc."""
    app = stand_in_app("/no/such/door")
    page = await ask_app(app, "/ui/shards/commerce/0")
    assert (page.status, "vtorc has ended." in page.text) == (503, True)
    assert '<aside class="demo-panel" id="demo" aria-label="Demo" data-ended hidden>' in page.text
    assert "fills in a moment" not in page.text
    assert (await ask_app(app, asset_path("demo.js"))).status == 200
    told = await ask_app(app, "/api/v1/status")
    assert (told.status, told.json["do"]) == (503, "start it: vtorc demo start all")
