"""The page of settings."""

from pathlib import Path

from vtorc.config.catalogue import SETTINGS
from vtorc.config.doc import markdown

_PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_keeps_the_page_of_settings_current() -> None:
    """docs/settings.md is what `python -m vtorc.config.doc` writes."""
    assert _PAGE.read_text(encoding="utf-8") == markdown(), "run: python -m vtorc.config.doc > docs/settings.md"


def test_names_every_spelling() -> None:
    """Each spelling of each setting stands on the page."""
    page = markdown()
    assert not [spelling.name for one in SETTINGS for spelling in one.spellings if spelling.name not in page]
