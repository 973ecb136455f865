"""The page of the API."""

import re
from pathlib import Path

from vtorc.server.v1.actions import FORWARDS
from vtorc.server.v1.api_doc import markdown_of_api
from vtorc.server.v1.openapi import description
from vtorc.server.v1.table import READS

_PAGE = Path(__file__).parents[3] / "docs" / "api.md"


def test_the_page_of_the_api_is_current() -> None:
    """docs/api.md is what `python -m vtorc.server.v1.api_doc` writes."""
    assert _PAGE.read_text(encoding="utf-8") == markdown_of_api(), (
        "run: python -m vtorc.server.v1.api_doc > docs/api.md"
    )


def test_each_path_and_each_form_has_its_place() -> None:
    """Each endpoint and each key of a form has a row with its meaning, and each link to a form finds its section."""
    page = markdown_of_api()
    assert "|  |" not in page
    assert not [each.path for each in (*READS, *FORWARDS) if f"`/api/v1{each.path}`" not in page.replace("POST ", "")]
    sections = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    linked = set(re.findall(r"\[(\w+Form|\w+Body|\w+Frame)\]\(", page))
    assert linked <= sections
    for name, schema in description("1")["components"]["schemas"].items():
        if name in sections and "properties" in schema:
            body = page.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
            assert re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE) == list(schema["properties"])
