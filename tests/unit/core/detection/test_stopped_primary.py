"""A primary that committed all the time and has stopped: what its replicas' streams tell, and what they do not."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import CONNECTING, NOW, changed, failing, primary, replica, shard
from tests.unit.core.detection.test_analysis import R1, R2, found
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.thresholds import (
    GREETS_WITHIN,
    HUNG_AND_QUIET_AFTER,
    QUIET_FOR,
    STEADY_FOR,
    DetectionThresholds,
)
from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.tablet_memory import STEADY_GAP
from vtorc.core.facts.views import ShardView, TabletView

SILENT_FOR = 2.2
"""Seconds of silence in most cases: two questions without an answer."""


def steady(
    failure: ProbeFailure = ProbeFailure.TIMEOUT,
    *,
    silent_for: float = SILENT_FOR,
    steady_for: float = STEADY_FOR,
    pause: float = 1.0,
    late: float = 0.0,
    **changes: Any,
) -> TabletView:
    """A primary that committed for so many seconds, up to `pause` seconds before it began to fail."""
    tablet = primary(dead_for=silent_for, failure=failure, **changes)
    last = NOW - silent_for - pause
    tablet = changed(tablet, last_commit_at=last, commits_steadily_since=last - steady_for)
    return replace(tablet, last_probe=replace(tablet.last_probe, late_before_failure=late))


def streaming(name: str, *, quiet_for: float = QUIET_FOR, **changes: Any) -> TabletView:
    """A replica that still counts as connected, and got its last event so many seconds before its last answer."""
    tablet = replica(name, **changes)
    assert tablet.status_at is not None
    return changed(tablet, last_read_at=tablet.status_at - quiet_for)


def waiting(name: str, *, for_: float = GREETS_WITHIN + 0.01, io_error: str = "") -> TabletView:
    """A replica that has tried to connect for so many seconds."""
    tablet = replica(name, io=CONNECTING, io_error=io_error)
    assert tablet.status_at is not None
    return changed(tablet, not_receiving_since=tablet.status_at - for_, last_read_at=tablet.status_at - for_ - 1.0)


def asked(tablet: TabletView, outcome: DirectOutcome = DirectOutcome.NO_GREETING, *, ago: float = 1.0) -> TabletView:
    """The same tablet, with a MySQL that vtorc asked itself so many seconds ago."""
    return replace(tablet, is_asked_directly=True, direct=DirectAnswer(outcome=outcome, asked_at=NOW - ago))


def of_primary(view: ShardView, **thresholds: Any) -> Finding:
    """Return what is found of the primary."""
    return found(view, thresholds=DetectionThresholds(**thresholds))[0]


QUIET_1, QUIET_2 = streaming(R1), streaming(R2)
SILENT = steady()
HUNG = steady(ProbeFailure.HUNG, silent_for=HUNG_AND_QUIET_AFTER)
QUIET_LONG, QUIET_LONG_2 = (streaming(name, quiet_for=HUNG_AND_QUIET_AFTER) for name in (R1, R2))
SAYS_NO_GREETING = DirectOutcome.NO_GREETING
SAYS_MORE = tuple(each for each in DirectOutcome if each is not SAYS_NO_GREETING)


def test_a_primary_that_committed_all_the_time_is_dead_once_its_streams_are_silent() -> None:
    """No replica has to reconnect for that, although both still count as connected."""
    finding = of_primary(shard(SILENT, QUIET_1, QUIET_2))
    assert (finding.code, finding.confirmed, finding.may_be_load) == (Code.DEAD_PRIMARY, True, False)
    assert finding.sentence == (
        "commerce/0: zone1-0000000100 does not answer, and none of its replicas gets anything from it any more, "
        "though it had committed all the time"
    )


@pytest.mark.parametrize(
    "view",
    [
        shard(steady(ProbeFailure.UNREACHABLE), QUIET_1, QUIET_2),
        shard(steady(silent_for=QUIET_FOR), QUIET_1, QUIET_2),
        shard(steady(pause=STEADY_GAP), QUIET_1, QUIET_2),
        shard(SILENT, QUIET_1, waiting(R2)),
        shard(HUNG, QUIET_LONG, waiting(R2)),
        shard(asked(HUNG), QUIET_LONG, QUIET_LONG_2),
    ],
    ids=[
        "no route",
        "for just so long",
        "just so steady",
        "one waits for a greeting",
        "it hangs",
        "it hangs, and does not greet vtorc",
    ],
)
def test_the_least_evidence_of_a_stop(view: ShardView) -> None:
    """Each of these is dead for certain."""
    finding = of_primary(view)
    assert (finding.code, finding.confirmed) == (Code.DEAD_PRIMARY, True)


@pytest.mark.parametrize(
    "view",
    [
        shard(steady(steady_for=STEADY_FOR - 0.1), QUIET_1, QUIET_2),
        shard(steady(pause=STEADY_GAP + 0.1), QUIET_1, QUIET_2),
        shard(steady(late=STEADY_GAP - 0.9), QUIET_1, QUIET_2),
        shard(changed(SILENT, commits_steadily_since=None), QUIET_1, QUIET_2),
        shard(SILENT, QUIET_1, streaming(R2, quiet_for=QUIET_FOR - 0.1)),
        shard(SILENT, QUIET_1, changed(QUIET_2, last_read_at=None)),
        shard(steady(silent_for=QUIET_FOR - 0.1), QUIET_1, QUIET_2),
        shard(steady(silent_for=60.0), QUIET_1, streaming(R2, quiet_for=50.0)),
        shard(SILENT, QUIET_1, waiting(R2, for_=GREETS_WITHIN - 0.1)),
        shard(SILENT, QUIET_1, waiting(R2, io_error="Too many connections")),
        shard(steady(ProbeFailure.REFUSED), QUIET_1, QUIET_2),
        shard(steady(ProbeFailure.ERROR), QUIET_1, QUIET_2),
        shard(HUNG, QUIET_LONG, streaming(R2, quiet_for=HUNG_AND_QUIET_AFTER)),
        shard(HUNG, QUIET_1, waiting(R2, for_=GREETS_WITHIN - 0.1)),
        shard(steady(ProbeFailure.HUNG, silent_for=HUNG_AND_QUIET_AFTER - 0.1), QUIET_LONG, waiting(R2)),
        *(shard(asked(HUNG, outcome), QUIET_LONG, QUIET_LONG_2) for outcome in SAYS_MORE),
        shard(asked(HUNG, ago=HUNG_AND_QUIET_AFTER + 0.1), QUIET_LONG, QUIET_LONG_2),
        shard(replace(HUNG, is_asked_directly=True), QUIET_LONG, QUIET_LONG_2),
        shard(steady(semi_sync=False), QUIET_1, QUIET_2),
        shard(SILENT, QUIET_1, QUIET_2, policy_name="none"),
    ],
    ids=[
        "it has not committed for long",
        "it had paused",
        "it may have paused while vtorc was late",
        "nothing is known of its commits",
        "one got something just now",
        "one never got anything",
        "it failed just now",
        "it outlives its failure",
        "one may yet be greeted",
        "one is refused",
        "only its tablet manager is gone",
        "its tablet manager answers",
        "it hangs, and nobody tried to connect",
        "it hangs, and may yet greet",
        "it hangs since a moment ago",
        *(
            f"it hangs, and vtorc is told: {each.value}"
            for each in DirectOutcome
            if each is not DirectOutcome.NO_GREETING
        ),
        "it hangs, and left vtorc without a greeting before",
        "it hangs, and vtorc was told nothing yet",
        "it waits for no acknowledgement",
        "it need not wait for one",
    ],
)
def test_streams_that_prove_no_stop(view: ShardView) -> None:
    """A pause of the clients, a cut between vtorc and the primary, or a busy disk look alike in a part of this."""
    assert (of_primary(view).code, of_primary(view).confirmed) not in [
        (Code.DEAD_PRIMARY, True),
        (Code.DEAD_PRIMARY_AND_SOME_REPLICAS, True),
    ]


def test_a_stop_is_certain_only_once_all_replicas_were_heard_under_the_lock() -> None:
    """What they told before the lock was taken is from before."""
    assert of_primary(shard(SILENT, QUIET_1, QUIET_2), heard_since=NOW - 0.2).confirmed
    assert not of_primary(shard(SILENT, QUIET_1, QUIET_2), heard_since=NOW - 0.05).confirmed


def test_one_failure_proves_no_stop() -> None:
    """A single call may be lost."""
    assert not of_primary(shard(steady(failures=1), QUIET_1, QUIET_2)).confirmed


def test_a_replica_that_does_not_answer_is_told_of() -> None:
    """The election decides whether it may have acknowledged anything."""
    finding = of_primary(shard(SILENT, QUIET_1, failing(replica(R2), ProbeFailure.TIMEOUT)))
    assert (finding.code, finding.confirmed) == (Code.DEAD_PRIMARY_AND_SOME_REPLICAS, True)


@pytest.mark.parametrize(
    ("tablet", "reconnects"),
    [
        (steady(silent_for=2 * QUIET_FOR - 0.1), False),
        (steady(silent_for=2 * QUIET_FOR), True),
        (steady(pause=STEADY_GAP + 0.1), True),
        (steady(ProbeFailure.HUNG), True),
        (replace(steady(ProbeFailure.HUNG), is_asked_directly=True), False),
        (asked(steady(ProbeFailure.HUNG)), False),
        (asked(steady(ProbeFailure.HUNG), DirectOutcome.GREETS), True),
        (asked(steady(ProbeFailure.HUNG, silent_for=HUNG_AND_QUIET_AFTER + QUIET_FOR)), True),
        (asked(steady(ProbeFailure.HUNG, pause=STEADY_GAP + 0.1)), True),
    ],
    ids=[
        "soon",
        "not any more",
        "not steady",
        "hangs",
        "hangs, and is just asked",
        "hangs, and does not greet",
        "hangs, and greets",
        "hangs for long",
        "hangs, and was not steady",
    ],
)
def test_no_replica_is_made_to_reconnect_while_the_streams_may_tell(tablet: TabletView, *, reconnects: bool) -> None:
    """MySQL takes two seconds to stop a replica that waits for a greeting, which the failover would wait for."""
    finding = of_primary(shard(tablet, QUIET_1, streaming(R2, quiet_for=QUIET_FOR - 0.1)))
    assert (finding.code, finding.confirmed) == (Code.UNREACHABLE_PRIMARY, reconnects)
