"""The first election of a shard call by call: which tablets take part, which one wins, and what it fetches first."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import STOPPED, alias, answers, failing, fresh_shard, gtids, held, hold, new, replica
from tests.unit.recovery.fakes import Rig, in_session
from vtorc.core.facts.durability import policy
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.errors import RecoveryRefused
from vtorc.recovery.first_election import FirstElection

FIRST, SECOND, THIRD = (str(alias(f"zone1-{number}")) for number in (101, 102, 103))
RESTORED = replica(THIRD, TabletType.RDONLY, of=None, executed="103:1-5", semi_sync=False)
"""An RDONLY tablet that alone was restored from a backup."""


async def elect(rig: Rig, view: ShardView) -> None:
    """Elect the first primary of a shard under the policy "semi_sync"."""
    await FirstElection(rig.session, view, policy("semi_sync")).run()


def initialised(rig: Rig) -> list[str]:
    """Return the calls that made a tablet the first primary."""
    return [call for call in rig.calls if call.startswith("init_primary")]


def fetched(name: str, source: str, position: str) -> str:
    """Return the call that lets a tablet fetch from another one."""
    return f"set_replication_source {name} source={source} semi_sync=False force_start=True wait={position}"


def unapplied(name: str, *, source: str = THIRD) -> TabletView:
    """A tablet that holds transactions of `source` in its relay log, and does not receive any more."""
    return replica(name, of=source, executed="103:1-3", received="103:1-5", io=STOPPED, semi_sync=False)


def test_the_first_of_equals_is_initialised_and_the_others_follow_it() -> None:
    """Nothing is fetched, and the journal names Vitess' operation for it."""

    async def main(rig: Rig) -> None:
        await elect(rig, fresh_shard(new(FIRST), new(SECOND), new(THIRD, type_=TabletType.RDONLY)))
        assert rig.calls[0] == f"init_primary {FIRST} semi_sync=True"
        journal = f"action=PlannedReparentShard primary={FIRST} position="
        assert sorted(rig.calls[1:]) == [
            f"populate_reparent_journal {FIRST} created={100 * 10**9} {journal}",
            f"set_replication_source {SECOND} source={FIRST} semi_sync=True force_start=True",
            f"set_replication_source {THIRD} source={FIRST} semi_sync=False force_start=True",
        ]
        assert rig.held.calls == ["check"]
        assert rig.session.winner == alias(FIRST)
        assert rig.session.argument is not None
        assert rig.session.marks.keys() == {"elected", "promoted", "acknowledged"}

    in_session(main)


def test_only_tablets_that_answer_and_serve_take_part() -> None:
    """The others are neither waited for nor re-pointed, and the record says why they could not be primary."""

    async def main(rig: Rig) -> None:
        spare, silent = new("zone1-100", type_=TabletType.SPARE), failing(new("zone1-104"))
        await elect(rig, fresh_shard(spare, new(FIRST), new(SECOND), silent))
        assert initialised(rig) == [f"init_primary {FIRST} semi_sync=True"]
        assert {call.split()[1] for call in rig.calls} == {FIRST, SECOND}
        assert rig.session.removed == {spare.alias: "was not reached", silent.alias: "was not reached"}

    in_session(main)


def test_a_tablet_that_lacks_transactions_fetches_them_before_it_is_initialised() -> None:
    """An RDONLY tablet never becomes primary, and what it alone was restored with must not be lost."""

    async def main(rig: Rig) -> None:
        await elect(rig, fresh_shard(new(FIRST), new(SECOND), RESTORED))
        assert rig.calls[:3] == [
            f"wait_for_position {THIRD} position=103:1-5",
            fetched(FIRST, THIRD, "103:1-5"),
            f"init_primary {FIRST} semi_sync=True",
        ]
        assert any(call.endswith(f"primary={FIRST} position=103:1-5") for call in rig.calls)

    in_session(main)


def test_what_the_holder_has_purged_keeps_the_shard_without_a_primary() -> None:
    """The tablet that alone holds the transactions cannot give them, so an operator has to restore the others."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryRefused) as refused:
            await elect(rig, fresh_shard(new(FIRST), new(SECOND), answers(RESTORED, purged=gtids("103:1-2"))))
        assert refused.value.rule is Rule.PURGED
        assert (rig.calls, rig.session.winner) == ([], None)

    in_session(main)


def test_a_tablet_applies_its_relay_log_before_it_is_initialised() -> None:
    """A first primary serves all that it received."""

    async def main(rig: Rig) -> None:
        await elect(rig, fresh_shard(unapplied(FIRST), new(SECOND)))
        assert rig.calls[:2] == [
            f"wait_for_position {FIRST} position=103:1-5",
            f"init_primary {FIRST} semi_sync=True",
        ]
        assert rig.session.marks.keys() == {"elected", "promoted", "acknowledged"}

    in_session(main)


def test_operators_say_which_tablet_becomes_the_first_primary() -> None:
    """A hold rules a tablet out, and a wish puts another one first; both follow the one that is elected."""

    async def main(rig: Rig) -> None:
        view = fresh_shard(new(FIRST), new(SECOND), new(THIRD))
        await elect(
            rig,
            held(
                view,
                hold(Effect.NOT_PROMOTABLE, on=f"tablet:{FIRST}"),
                hold(Effect.PREFER, on=f"tablet:{THIRD}", number=4),
            ),
        )
        assert initialised(rig) == [f"init_primary {THIRD} semi_sync=True"]
        assert rig.session.removed.keys() == {alias(FIRST)}
        assert sorted(call.split()[1] for call in rig.calls if "set_replication_source" in call) == [FIRST, SECOND]

    in_session(main)


def test_a_hold_alone_rules_a_tablet_out_of_the_first_election() -> None:
    """The next of the others is elected, and the record names the operator of the hold."""

    async def main(rig: Rig) -> None:
        view = fresh_shard(new(FIRST), new(SECOND), new(THIRD))
        await elect(rig, held(view, hold(Effect.NOT_PROMOTABLE, on=f"tablet:{FIRST}")))
        assert initialised(rig) == [f"init_primary {SECOND} semi_sync=True"]
        assert "ann" in rig.session.removed[alias(FIRST)]

    in_session(main)


def test_a_tablet_that_a_backup_is_taken_of_becomes_primary_only_for_want_of_others() -> None:
    """Its backup would be broken off."""
    first = unapplied(FIRST)
    assert first.status is not None
    assert first.status.replication is not None
    first = answers(first, replication=replace(first.status.replication, backup_running=True))

    async def main(rig: Rig) -> None:
        await elect(rig, fresh_shard(first, unapplied(SECOND), new(THIRD)))
        assert initialised(rig) == [f"init_primary {SECOND} semi_sync=True"]

    in_session(main)


def short_of_patience(name: str) -> TabletView:
    """A tablet whose server would tell clients OK without an acknowledgement after a second."""
    tablet = new(name)
    assert tablet.status is not None
    return answers(tablet, semi_sync=replace(tablet.status.semi_sync, timeout=1000))


@pytest.mark.parametrize(
    "unfit", [new(FIRST, log_bin=False), short_of_patience(FIRST)], ids=["no binary log", "acknowledgements time out"]
)
def test_an_unfit_server_is_not_the_first_primary(unfit: TabletView) -> None:
    """No replica could follow it, or its writes would not be safe under the policy."""

    async def main(rig: Rig) -> None:
        await elect(rig, fresh_shard(unfit, new(SECOND), new(THIRD)))
        assert initialised(rig) == [f"init_primary {SECOND} semi_sync=True"]

    in_session(main)


def test_a_shard_whose_tablets_cannot_acknowledge_elects_no_first_primary() -> None:
    """Under a policy that asks for an acknowledgement one tablet alone could never take a write."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryRefused) as refused:
            await elect(rig, fresh_shard(new(FIRST), failing(new(SECOND))))
        assert refused.value.rule is Rule.NO_CANDIDATE
        assert rig.session.removed.keys() == {alias(FIRST), alias(SECOND)}
        assert rig.calls == []

    in_session(main)
