"""The page of v12's routes."""

from pathlib import Path

from vtorc.server.v12.refusals import FOREIGN, REASONS
from vtorc.server.v12.route_doc import markdown_of_routes
from vtorc.server.v12.routes import ROUTES

_PAGE = Path(__file__).parents[4] / "docs" / "orchestrator.md"


def test_the_page_of_routes_is_current() -> None:
    """docs/orchestrator.md is what `python -m vtorc.server.v12.route_doc` writes."""
    expected = markdown_of_routes()
    assert _PAGE.read_text(encoding="utf-8") == expected, (
        "run: python -m vtorc.server.v12.route_doc > docs/orchestrator.md"
    )


def test_the_page_names_all_that_acts_and_all_that_is_refused() -> None:
    """Each path that acts has a sentence, and each command that is refused its reason."""
    page = markdown_of_routes()
    assert all(f"`{route.path}`" in page for route in ROUTES if route.acts)
    assert all(f"`{command}`" in page for command in (*REASONS, *FOREIGN))
    assert "| . |" not in page
