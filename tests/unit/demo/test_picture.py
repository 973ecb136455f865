"""The content of the demo's screen, and how it is drawn."""

from dataclasses import replace
from datetime import datetime

import pytest
from rich.console import Console

from tests.unit.demo.shards import A, B, C, cut_off, failing, healthy, judge, primary, replica, stopped, written
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.views import TabletView
from vtorc.demo.demo_observer import DemoObserver, Mark, Sentence
from vtorc.demo.ledger import Ledger
from vtorc.demo.picture import HELP_KEYS, UNKNOWN, Picture, ServerState, TabletLine, draw, help_on_keys, keys_of
from vtorc.demo.screen import as_text, render
from vtorc.recovery.runner import Judgement

SERVERS = [ServerState(alias=alias, port=3000 + alias.uid, mysqld="running") for alias in (A, B, C)]
ASK = "vtorc ctl --server http://127.0.0.1:65535 status"
ELSEWHERE = GtidSet.of("0000000c-0000-0000-0000-000000000000", 1)


def _draw(judgement: Judgement | None, ledger: Ledger | None = None, *, earlier: Judgement | None = None) -> Picture:
    observer = DemoObserver()
    for each in (earlier, judgement):
        if each is not None:
            observer.judged(each)
    return draw(observer, SERVERS, ledger or Ledger(), title="vtorc demo", ask=ASK, now=10.0)


def _line(judgement: Judgement, number: int, *, earlier: Judgement | None = None) -> TabletLine:
    return _draw(judgement, earlier=earlier).tablets[number - 1]


def test_a_healthy_shard_says_so_first() -> None:
    """The headline names the state, the primary and its headroom."""
    picture = _draw(healthy())
    assert picture.mark is Mark.GOOD
    assert picture.headline == "healthy: zone1-0000000101 needs 1 acknowledgement, has 2 that may give one"
    assert picture.findings == []


def test_a_vtorc_that_has_ended_calls_no_shard_healthy() -> None:
    """The headline says that it is an old one."""
    observer = DemoObserver()
    observer.judged(healthy())
    picture = draw(observer, SERVERS, Ledger(), title="vtorc demo", ask=ASK, now=10.0, has_vtorc=False)
    assert picture.mark is Mark.NO_ACTION
    assert picture.headline.startswith("as vtorc knew it last: healthy: zone1-0000000101")


def test_before_the_first_judgement_nothing_is_claimed() -> None:
    """Before vtorc's first judgement only the processes' states are known."""
    picture = _draw(None)
    assert picture.headline.startswith("starting")
    assert {line.role for line in picture.tablets} == {UNKNOWN}
    assert {line.mysqld for line in picture.tablets} == {"running"}


def test_a_problem_that_is_acted_upon_is_a_repair() -> None:
    """A finding has its decision's sentence, and a mark that says whether vtorc acts."""
    picture = _draw(judge(failing(primary()), cut_off(replica(B)), cut_off(replica(C))))
    assert (picture.mark, picture.headline) == (Mark.REPAIR, "repairing: 1 problem")
    ((mark, sentence),) = picture.findings
    assert mark is Mark.REPAIR
    assert sentence.endswith("replacing the primary")


def test_a_problem_without_a_remedy_is_doing_nothing() -> None:
    """If vtorc does nothing about a problem, the headline says that there are reasons."""
    errant = judge(primary(), replica(B), replica(C, executed=written(50).union(ELSEWHERE)))
    picture = _draw(errant)
    assert (picture.mark, picture.headline) == (Mark.NO_ACTION, "doing nothing: 1 problem, for the reasons below")


@pytest.mark.parametrize(
    ("tablet", "role", "lag", "semi_sync", "gtids"),
    [
        (replica(C), "replica", "0 s", "acks", "has all"),
        (replica(C, acks=False), "replica", "0 s", "off", "has all"),
        (replica(C, received=written(58)), "replica", "0 s", "acks", "8 to apply"),
        (replica(C, executed=written(43)), "replica", "0 s", "acks", "lacks 7"),
        (replica(C, received=written(4000)), "replica", "0 s", "acks", "3k to apply"),
        (replica(C, executed=written(50).union(ELSEWHERE)), "replica", "0 s", "acks", "1 errant"),
        (cut_off(replica(C)), "replica", "trying", "acks", "has all"),
        (stopped(replica(C)), "replica", "stopped", "acks", "has all"),
        (failing(replica(C)), "replica", UNKNOWN, UNKNOWN, UNKNOWN),
    ],
)
def test_a_replica_is_described_by_what_it_said_last(
    tablet: TabletView, role: str, lag: str, semi_sync: str, gtids: str
) -> None:
    """Role, lag, semi-sync and GTIDs follow the last status; they are unknown for a tablet that does not answer."""
    line = _line(judge(primary(), replica(B), tablet), 3)
    assert (line.role, line.lag, line.semi_sync, line.gtids) == (role, lag, semi_sync, gtids)


def test_a_primary_is_described_by_its_acknowledgements() -> None:
    """The primary's line says how many acknowledgements it needs, of how many replicas."""
    line = _line(healthy(), 1)
    assert (line.role, line.lag, line.semi_sync, line.gtids) == ("primary", "–", "needs 1 of 2", "50")
    assert _line(judge(primary(acks=0), durability="none"), 1).semi_sync == "off"


def test_a_tablet_that_was_replaced_is_no_primary_any_more() -> None:
    """Of two tablets of type PRIMARY only the one with the later term is shown as primary."""
    newer = primary(B)
    newer = replace(newer, record=replace(newer.record, primary_term_start=2))
    lines = _draw(judge(failing(primary()), newer, replica(C, of=B))).tablets
    assert [line.role for line in lines] == ["ex-primary", "primary", "replica"]


def test_a_replica_is_compared_with_what_the_primary_said_before_it() -> None:
    """Writes after a replica's status do not make it seem to lack them."""
    earlier = judge(primary(at=99.0), replica(B), replica(C))
    later = judge(primary(executed=written(90), at=99.9), replica(B, at=99.5), replica(C, at=99.95))
    assert _line(later, 2, earlier=earlier).gtids == "has all"
    assert _line(later, 3, earlier=earlier).gtids == "lacks 40"


def test_the_writes_tell_rate_silence_and_the_last_gap() -> None:
    """The line shows the rate of writes, or for how long there were none; a gap names the tablet that ended it."""
    ledger = Ledger()
    assert _draw(healthy(), ledger).writes == "no row acknowledged yet"
    for row in range(1, 101):
        ledger.acknowledge(row, 8 + row / 100, A)
    ledger.acknowledge(101, 9.5, B)
    writes = _draw(healthy(), ledger).writes
    assert writes == "50/s, 101 rows acknowledged by now; last gap 0.50 s until zone2-0000000102 took over"
    ledger.acknowledge(102, 4.0, B)
    assert _draw(healthy(), ledger).writes.startswith("none for 6.0 s, 102 rows")


LONG = "commerce/0: " + "zone1-0000000101 does not answer, " * 6


def _full(sentences: int) -> Picture:
    picture = _draw(judge(failing(primary()), cut_off(replica(B)), cut_off(replica(C))))
    at = datetime(2026, 11, 22, 3, 12, 7).astimezone()
    said = [Sentence(at, Mark.REPAIR, f"{number} {LONG}") for number in range(sentences)]
    return replace(picture, sentences=said, keys=("k kill primary", "q quit"))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 20)])
def test_the_screen_is_filled_and_not_overfilled(width: int, height: int) -> None:
    """With any number of sentences the picture takes exactly the lines of the terminal, the keys last."""
    console = Console(width=width, height=height, color_system=None, force_terminal=True)
    for picture in (_full(0), _full(1), _full(50)):
        lines = console.render_lines(render(picture, console, height=height), pad=False)
        assert len(lines) == height
        assert "".join(part.text for part in lines[-1]).strip() == "k kill primary  q quit"
        assert max(sum(part.cell_length for part in line) for line in lines) <= width


@pytest.mark.parametrize("picked", [None, A])
def test_the_keys_fit_three_lines_of_80_columns(picked: TabletAlias | None) -> None:
    """Each key stands beside the name of what it does, and no key is cut off or parted from that."""
    console = Console(width=80, height=24, color_system=None)
    keys = keys_of(picked, 3)
    drawn = console.render_lines(render(replace(_full(50), keys=keys), console, height=24), pad=False)
    foot = ["".join(part.text for part in line).strip() for line in drawn[-3:]]
    assert foot[0].startswith(f"break {'zone1-101' if picked else 'primary'}: k kill-mysqld  p stop-mysqld  ")
    assert "  ".join(foot).split("  ") == keys


def test_the_explanation_of_the_keys_fits_a_screen_of_24_lines() -> None:
    """It stands in place of the cluster, below the state, and no key of it is cut off or scrolls away."""
    console = Console(width=80, height=24, color_system=None)
    history, login = "vtorc history /tmp/vtorc-demo/vtorc-history.sqlite", "mysql " + "--an-option=of-some-length " * 5
    places = [("folder", "/tmp/vtorc-demo"), ("history", history), ("MySQL", f"{login} vt_commerce")]
    picture = replace(_full(50), help=[*help_on_keys(), *places], keys=HELP_KEYS)
    drawn = console.render_lines(render(picture, console, height=24), pad=False)
    lines = ["".join(part.text for part in line).rstrip() for line in drawn]
    assert len(lines) == 24
    assert lines[1].startswith("▲ repairing: 1 problem")
    shown = {line.split()[0] for line in lines[3:-1] if line and not line.startswith(" ")}
    assert shown == {key for key, _ in picture.help}
    assert lines[-2].endswith("vt_commerce")
    assert lines[-1].strip() == "  ".join(HELP_KEYS)


def test_long_findings_leave_the_keys_that_mend() -> None:
    """Where they fill the screen, the last line of keys still stands at its foot."""
    console = Console(width=80, height=24, color_system=None)
    findings = [(Mark.NO_ACTION, LONG)] * 4
    picture = replace(_full(0), findings=findings, keys=keys_of(None, 3))
    lines = console.render_lines(render(picture, console, height=24), pad=False)
    assert len(lines) == 24
    assert "r mend" in "".join(part.text for part in lines[-1])


def test_a_terminal_that_is_too_small_still_shows_the_state() -> None:
    """On a terminal without room for sentences, topology and findings stay."""
    console = Console(width=80, height=8, color_system=None)
    with console.capture() as captured:
        console.print(render(_full(50), console, height=8))
    assert "repairing: 1 problem" in captured.get()


def test_as_text_it_fits_80_columns_and_says_everything() -> None:
    """As text the picture shortens no cell, and no line is wider than 80 columns or ends in blanks."""
    text = as_text(_full(2), 80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)
    assert " 2  zone2-0000000102  replica     ● running   trying  acks          has all" in lines
    assert "03:12:07 ▲ 1 commerce/0:" in text
    assert "…" not in text
    assert f"ASK       {ASK}" in lines


def test_on_a_wide_screen_cells_and_ports_have_columns() -> None:
    """From 100 columns on each cell is named once, and the MySQL ports are shown."""
    lines = as_text(_draw(healthy()), 120).splitlines()
    assert lines[3].split() == ["CELL", "TABLET", "ROLE", "MYSQLD", "MYSQL", "PORT", "LAG", "SEMI-SYNC", "GTIDS"]
    assert lines[4].split()[:6] == ["1", "zone1", "zone1-0000000101", "primary", "●", "running"]
    assert "3101" in lines[4]
