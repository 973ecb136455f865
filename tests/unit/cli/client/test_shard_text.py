"""One shard as text."""

from msgspec import structs

from tests.unit.cli.client.samples import HEALTHY, LOST, decision, readiness, recovery, shard, why
from tests.unit.demo.shards import B, C, cut_off, failing, judge, primary, replica, stopped, written
from vtorc.cli.client.readiness_text import readiness_lines
from vtorc.cli.client.shard_text import RECENT, topology_lines, why_lines
from vtorc.forms.fleet import InForceForm
from vtorc.forms.shard import ShardForm
from vtorc.recovery.runner import Judgement


def _tree(shard: ShardForm, width: int = 80) -> list[str]:
    """Return the lines of the tree without what stands above it."""
    lines = topology_lines(shard, width)
    return lines[lines.index("") + 1 :]


def test_a_healthy_shard() -> None:
    """The primary is on top, and below it are its replicas with their threads, lag and part in acknowledgements."""
    assert topology_lines(shard(HEALTHY), 100) == [
        "commerce/0  ● healthy",
        "  commerce/0: zone1-0000000101 takes writes; it has 2 replicas",
        "  durability policy semi_sync: a write needs 1 acknowledgement, and 2 tablets would give one",
        "",
        "zone1-0000000101     PRIMARY  writable  127.0.0.1:3101",
        "|- zone2-0000000102  REPLICA  io, sql running  lag 0 s  acks  127.0.0.1:3102",
        "`- zone3-0000000103  REPLICA  io, sql running  lag 0 s  acks  127.0.0.1:3103",
    ]


def test_a_lost_primary() -> None:
    """Under a tablet stands what is wrong with it: its silence, errors of its threads, and its findings.

    A sentence that stands above the tree is told once, and a replica that only tries to connect acknowledges nothing.
    """
    assert _tree(shard(LOST), 100) == [
        "zone1-0000000101     PRIMARY  writable  127.0.0.1:3101",
        "|  ✗ answers that its MySQL is down, for 0.6 s; the rest is older",
        "|  ✗ DeadPrimary, as said above",
        "|- zone2-0000000102  REPLICA  io connecting, sql running  lag 0 s  no acks  127.0.0.1:3102",
        "|     ✗ io: gone",
        "`- zone3-0000000103  REPLICA  io connecting, sql running  lag 0 s  no acks  127.0.0.1:3103",
        "      ✗ io: gone",
    ]
    other = structs.replace(shard(LOST), sentence="commerce/0: replacing the primary")
    assert _tree(other, 100)[2:4] == [
        "|  ✗ DeadPrimary: commerce/0: zone1-0000000101 answers that its MySQL is down and none of its 2",
        "|    replicas receives from it; replacing the primary",
    ]


def test_a_chain() -> None:
    """A replica of a replica is drawn below its source, with the transactions that it lacks."""
    behind = stopped(replica(C, of=B, executed=written(40), acks=False))
    tree = _tree(shard(judge(primary(), replica(B), behind)), 100)
    assert [line for line in tree if "✗" not in line][:3] == [
        "zone1-0000000101        PRIMARY  writable  127.0.0.1:3101",
        "`- zone2-0000000102     REPLICA  io, sql running  lag 0 s  acks  127.0.0.1:3102",
        "   `- zone3-0000000103  REPLICA  io stopped, sql running  lag 0 s  no acks  lacks 10  127.0.0.1:3103",
    ]


def test_transactions_beyond_the_primary_are_told_where_they_mean_something() -> None:
    """A replica that was asked after its primary has newer ones of it; they are news only if the primary is silent."""
    ahead = replica(B, executed=written(60))
    tree = _tree(shard(judge(primary(), ahead, replica(C))), 100)
    assert not [line for line in tree if "newer than" in line or "errant" in line]
    tree = _tree(shard(judge(failing(primary()), cut_off(ahead), cut_off(replica(C)))), 100)
    assert [line for line in tree if "newer than the primary's last answer: 10" in line]


def _told(judgement: Judgement) -> list[str]:
    """Return the tablets of a tree with their leads, without anything else."""
    return [line.split("  ")[0] for line in _tree(shard(judgement), 200) if "✗" not in line]


def test_a_ring() -> None:
    """Replicas in a ring, which no tablet leads to, are drawn once, from one of them on."""
    b, c = replica(B, of=C), replica(C, of=B)
    assert [line for line in _told(judge(primary(), b, c)) if line.strip(" |")] == [
        "zone1-0000000101",
        "zone2-0000000102",
        "`- zone3-0000000103",
    ]


def test_a_source_outside_the_shard() -> None:
    """A replica of another server stands beside the primary, with the address of its source."""
    strange = structs.replace(shard(HEALTHY).tablets[2], replication=None)
    source = structs.replace(shard(HEALTHY).tablets[1].replication, source="db9:3306", source_tablet=None)  # type: ignore[type-var]
    form = shard(HEALTHY)
    form = structs.replace(
        form, tablets=[form.tablets[0], structs.replace(form.tablets[1], replication=source), strange]
    )
    assert _tree(form, 120) == [
        "zone1-0000000101  PRIMARY  writable  127.0.0.1:3101",
        "zone2-0000000102  REPLICA  io, sql running  from db9:3306, which is no tablet of the shard  lag 0 s  acks",
        "     127.0.0.1:3102",
        "zone3-0000000103  REPLICA  read-only  no acks  127.0.0.1:3103",
    ]


def test_a_former_primary() -> None:
    """A tablet with a record as primary of an earlier term is told apart from the primary."""
    form = shard(HEALTHY)
    former = structs.replace(form.tablets[2], type="PRIMARY")
    assert "FORMER PRIMARY" in "\n".join(_tree(structs.replace(form, tablets=[*form.tablets[:2], former])))


def test_what_cannot_be_read() -> None:
    """Cells and records that cannot be read are told under the tree."""
    form = structs.replace(
        shard(HEALTHY), unreadable_cells={"zone4": "no answer"}, unreadable_tablets={"zone1-0000000109": "no record"}
    )
    assert topology_lines(form, 80)[-2:] == ["✗ zone4: no answer", "✗ zone1-0000000109: no record"]


def test_no_policy() -> None:
    """Without a known policy no acknowledgements are promised."""
    form = structs.replace(shard(HEALTHY), durability=None, acks=None)
    assert "  durability policy unknown" in topology_lines(form, 80)


def test_a_tablet_that_never_answered() -> None:
    """A tablet that was not asked yet is told so, and nothing else is made up about it."""
    form = shard(judge(primary(), replica(B)))
    silent = structs.replace(
        form.tablets[1], reach="unasked", says="was not asked yet", replication=None, semi_sync=None, gtid=None,
        read_only=None,
    )  # fmt: skip
    assert _tree(structs.replace(form, tablets=[form.tablets[0], silent]))[-2:] == [
        "zone2-0000000102  REPLICA  never answered  127.0.0.1:3102",
        "   ✗ was not asked yet",
    ]


def test_why_has_the_sentences_of_vtorc() -> None:
    """The reasons are vtorc's own sentences, word for word: state, findings, decisions and recoveries."""
    form = shard(LOST)
    lines = why_lines(why(form, decisions=[decision(is_gone=True), decision()], recoveries=[recovery()]), 80)
    told = " ".join(" ".join(lines).split())
    assert lines[0] == "commerce/0  ▲ repairing"
    for sentence in (form.sentence, form.findings[0].sentence, recovery().sentence):
        assert sentence in told
    assert [line for line in lines if line.istitle() or line.startswith(("Findings", "Recent"))] == [
        "Findings",
        "Recent recoveries",
        "Recent decisions",
    ]
    assert "2025-11-30 00:00:00Z [act] gone: commerce/0: zone1-0000000101 answers that its MySQL is down" in told
    assert max(map(len, lines)) <= 80


def test_why_tells_no_sentence_twice() -> None:
    """The sentence of the shard is often that of its only finding, and takes half a screen."""
    form = shard(LOST)
    (finding,) = form.findings
    told = " ".join(" ".join(why_lines(why(form), 80)).split())
    assert told.count(finding.sentence) == 1
    other = structs.replace(finding, sentence="commerce/0: zone2-0000000102 is drained")
    both = structs.replace(why(form), findings=[finding, other])
    told = " ".join(" ".join(why_lines(both, 80)).split())
    assert (told.count(finding.sentence), told.count(other.sentence)) == (1, 1)


def test_readiness_stands_with_the_state() -> None:
    """The tree says in one sentence what would follow if the primary died, and the reasons tell all of it."""
    form = structs.replace(shard(HEALTHY), ready=readiness())
    assert "  if zone1-0000000101 died now, zone2-0000000102 (or zone3-0000000103)" in topology_lines(form, 80)[4]
    assert why_lines(why(form), 100)[2:] == [
        "",
        "Readiness",
        *(f"  {line}" for line in readiness_lines(readiness(), 98)),
    ]


def test_why_is_about_what_was_of_late() -> None:
    """Of a long past the latest decisions are shown, and the others are counted."""
    form = shard(LOST)
    lines = why_lines(why(form, decisions=[decision()] * (RECENT + 2), recoveries=[recovery()] * RECENT), 80)
    assert lines[-1] == "  and 2 older decisions, which --json has as well"
    assert len([line for line in lines if line.startswith("  2025-11-30 00:00:00Z  [act]")]) == RECENT
    assert not [line for line in lines if "older recoveries" in line]


def test_why_of_a_healthy_shard_is_short() -> None:
    """A healthy shard without a past has its sentence and no empty lists."""
    form = shard(HEALTHY)
    assert why_lines(why(form), 80) == ["commerce/0  ● healthy", f"  {form.sentence}"]


def test_a_past_state_has_its_time_and_what_was_in_force() -> None:
    """Each decision stands with the span in which it was in force, and the shard as it was seen then comes last."""
    each = InForceForm(
        since="2026-11-29T21:00:10.000Z",
        until="2026-11-29T21:00:40.000Z",
        code="DeadPrimary",
        tablet=None,
        rule="backoff",
        sentence="commerce/0: it failed a moment ago",
    )
    then = structs.replace(why(shard(LOST)), at="2026-11-29T21:00:20.000Z", in_force=[each], seen=shard(LOST))
    lines = why_lines(then, 100)
    assert lines[0].endswith("at 2026-11-29 21:00:20Z")
    start = lines.index("In force then")
    assert lines[start + 1] == "  [backoff] commerce/0: it failed a moment ago"
    assert lines[start + 2].strip() == "in force from 2026-11-29 21:00:10Z to 2026-11-29 21:00:40Z"
    assert any(line.startswith("Seen at ") for line in lines)
