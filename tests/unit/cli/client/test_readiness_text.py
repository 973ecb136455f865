"""The readiness of a shard as text."""

from msgspec import structs

from tests.unit.cli.client.samples import UNREADY, readiness
from vtorc.cli.client.readiness_text import readiness_lines
from vtorc.forms.readiness import LossForm


def test_a_shard_that_is_ready() -> None:
    """A shard that is ready has its sentence alone."""
    assert readiness_lines(readiness(), 100) == [
        "● if zone1-0000000101 died now, zone2-0000000102 (or zone3-0000000103) would become primary"
    ]


def test_a_shard_that_is_not_ready() -> None:
    """The mark says that the primary would not be replaced, and a reason that the sentence has is told once."""
    assert readiness_lines(readiness(UNREADY), 140) == [
        "✗ if zone1-0000000101 died now, vtorc would not replace it: emergency reparents are disabled "
        "(allow-emergency-reparent); but for that,",
        "    zone2-0000000102 (or zone3-0000000103) would become primary",
    ]


def test_all_that_is_known_is_told() -> None:
    """Reasons beside the first, doubts, risks, losses and the tablets that cannot win have a line each."""
    ready = structs.replace(
        readiness(UNREADY),
        doubts=["a doubt"],
        at_risk=["a risk"],
        losses=[LossForm(what="cell zone1", outcome="no_primary", sentence="without cell zone1 no tablet wins")],
        removed={"zone3-0000000103": "was not reached"},
    )
    ready = structs.replace(ready, blocked_by=[*ready.blocked_by, "another reason"])
    assert readiness_lines(ready, 140)[2:] == [
        "    - another reason",
        "    - a doubt",
        "    - a risk",
        "    - without cell zone1 no tablet wins",
        "    - zone3-0000000103 was not reached",
    ]
