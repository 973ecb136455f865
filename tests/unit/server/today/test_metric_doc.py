"""The page of metrics."""

from pathlib import Path

from vtorc.server.today.metric_doc import markdown_of_metrics

_PAGE = Path(__file__).parents[4] / "docs" / "metrics.md"


def test_the_page_of_metrics_is_current() -> None:
    """docs/metrics.md is what `python -m vtorc.server.today.metric_doc` writes."""
    expected = markdown_of_metrics()
    assert _PAGE.read_text(encoding="utf-8") == expected, (
        "run: python -m vtorc.server.today.metric_doc > docs/metrics.md"
    )
