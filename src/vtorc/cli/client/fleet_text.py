"""All shards as text: the status, the list, the findings. Pure."""

from collections.abc import Sequence

from vtorc.cli.client.hold_text import hold_lines
from vtorc.cli.client.layout import (
    NOT_KNOWN,
    WRONG,
    clock_time,
    columns,
    counted,
    state_mark,
    state_words,
    wrapped,
)
from vtorc.cli.client.recovery_text import last_lines
from vtorc.core.facts.holds import Purpose
from vtorc.forms.findings import SEVERITIES, FindingForm
from vtorc.forms.fleet import ShardRowForm, StatusForm
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.shard_states import STATE_MARKS


def status_lines(
    status: StatusForm, rows: Sequence[ShardRowForm], address: str, width: int, *, last: RecoveryForm | None = None
) -> list[str]:
    """Return the whole at a glance: one sentence, the counts, what holds for all, and the shards with problems.

    `last` is the recovery that ended last; None if there was none. It answers what vtorc has done about the alert.
    """
    counts = [(state_words(state), f"{status.states.get(state, 0):,}") for state in STATE_MARKS]
    return [
        *wrapped(status.sentence, width),
        "",
        *(f"  {line}" for line in columns(counts, numbers=(1,))),
        "",
        *_notes(status, width),
        *wrapped(
            f"vtorc {status.version} at {address}, process {status.process}, since {clock_time(status.started)}", width
        ),
        *_with_space_before(row_details(rows, width)),
        *_with_space_before([line for row in rows if row.ready is False for line in _unready(row, width)]),
        *_with_space_before(last_lines(last, width) if last is not None else []),
    ]


def _unready(row: ShardRowForm, width: int) -> list[str]:
    text = f"{row.name} is not ready for the death of its primary: {'; '.join(row.blocked_by)}"
    return wrapped(text, width, indent="  ", first=f"{WRONG} ")


def _notes(status: StatusForm, width: int) -> list[str]:
    notes = [one.sentence for one in status.announcements] + list(status.topology_failures)
    if status.recoveries_allowed and not status.emergency_reparents_allowed:
        notes.append("no lost primary is replaced: that is not allowed (--allow-emergency-reparent)")
    if status.clusters_to_watch:
        notes.append(f"vtorc acts on {', '.join(status.clusters_to_watch)} only (--clusters-to-watch)")
    if status.sharing:
        notes.append(status.sharing)
    lines = [line for note in notes for line in wrapped(note, width, indent="  ", first="! ")]
    told = [hold for hold in status.holds if hold.purpose != Purpose.SWITCH.value]  # which is an announcement as well
    lines += [line for hold in told for line in hold_lines(hold, width)]
    return [*lines, ""] if lines else []


def has_problems(row: ShardRowForm) -> bool:
    """Return whether something is wrong with a shard, or not known of it."""
    return row.state != "healthy" or bool(row.findings)


def row_details(rows: Sequence[ShardRowForm], width: int) -> list[str]:
    """Return each shard that has problems with its sentence."""
    return [
        line
        for row in rows
        if has_problems(row)
        for line in wrapped(row.sentence, width, indent="  ", first=f"{state_mark(row.state)} ")
    ]


def shards_lines(rows: Sequence[ShardRowForm], width: int) -> list[str]:
    """Return a table of shards, and under it the sentences of those with problems."""
    if not rows:
        return ["no shard is of that kind"]
    table = columns(
        [
            (
                state_words(row.state),
                row.name,
                row.primary or "none",
                _lag(row.largest_lag_seconds),
                _acks(row),
                _word(row.takes_writes, "in doubt"),
                _word(row.ready, NOT_KNOWN),
            )
            for row in rows
        ],
        header=("STATE", "SHARD", "PRIMARY", "LAG", "ACKS", "WRITES", "READY"),
        numbers=(3,),
    )
    return [*table, *_with_space_before(row_details(rows, width))]


def _lag(seconds: int | None) -> str:
    return NOT_KNOWN if seconds is None else f"{seconds:,} s"


def _acks(row: ShardRowForm) -> str:
    return NOT_KNOWN if row.acks is None else f"{row.acks.have}, needs {row.acks.needed}"


def _word(answer: bool | None, unknown: str) -> str:
    return {True: "yes", False: "no", None: unknown}[answer]


def problems_lines(findings: Sequence[FindingForm], width: int) -> list[str]:
    """Return all findings, most urgent first, each with what is done about it."""
    if not findings:
        return ["nothing is wrong in any shard"]
    shards = len({finding.shard for finding in findings})
    title = f"{counted(len(findings), 'finding')} in {counted(shards, 'shard')}"
    urgent_first = sorted(findings, key=lambda finding: (_urgency(finding), finding.shard))
    return [title, "", *(line for finding in urgent_first for line in finding_lines(finding, width))]


def _urgency(finding: FindingForm) -> int:
    return SEVERITIES.index(finding.severity) if finding.severity in SEVERITIES else len(SEVERITIES)


def finding_lines(finding: FindingForm, width: int, *, with_sentence: bool = True) -> list[str]:
    """Return one finding: its code and its rule, and under them the sentence, unless it stands above already."""
    words = [f"severity {finding.severity}", f"rule {finding.rule}"]
    if finding.needs_operator:
        words.append("needs an operator")
    if finding.silenced is not None:
        words.append("silenced")
    mark = STATE_MARKS["repairing" if finding.acts else "standing_still"]
    title = f"{finding.code} ({', '.join(words)})"
    lines = wrapped(title, width, indent="    ", first=f"{mark} ")
    return [*lines, *wrapped(finding.sentence, width, indent="    ")] if with_sentence else lines


def _with_space_before(lines: list[str]) -> list[str]:
    return ["", *lines] if lines else []
