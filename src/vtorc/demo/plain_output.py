"""The lines that the demo prints without a screen: commands to try, and the results of the failovers."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.faults import FAULTS
from vtorc.demo.report import MEASURED, PHASES, DemoReport, Failover, summarise
from vtorc.demo.running_demo import RunningDemo

_TO_TRY = """\
What to try, from another terminal:
  vtorc demo status            the tablets, the problems, the last sentences
  vtorc demo kill primary      kill -9 its mysqld; another one takes over
  vtorc demo pause primary     make its mysqld hang (SIGSTOP)
  vtorc demo break FAULT       {faults}
  vtorc demo start all         mend all of that
  vtorc demo rebuild ALIAS     delete a replica's data and have it replicate from the start
  {pages}  the pages of vtorc, in a browser; they break and mend all that, too
  {ask}  ask vtorc over its API
Folder of all data and logs, {fate}: {folder}
What vtorc did and why:  {history}
MySQL:  {login}
Ctrl-C, or SIGTERM, ends the demo and all its servers.
"""

HEADER = "  #  BROKEN     SUCCESSOR  DETECTED  PROMOTED  WRITE GAP    ACKED  LOST    BACK"

_TITLES = {
    "detected_ms": "from the fault to the decision",
    "promoted_ms": "from the fault to the promotion",
    "write_gap_ms": "without an acknowledged write",
    "returned_ms": "from the repair to a healthy shard",
}


def to_try(demo: RunningDemo) -> str:
    """Return what operators can do with the demo, and where its data and logs are."""
    return _TO_TRY.format(
        pages=demo.pages,
        ask=demo.ask,
        faults=", ".join(FAULTS),
        fate="kept afterwards" if demo.spec.folder is not None else "deleted at the end (--dir keeps one)",
        folder=demo.cluster.folder,
        history=demo.history,
        login=demo.login,
    )


def failover_line(number: int, failover: Failover) -> str:
    """Return one failover as one line under `HEADER`; its problem, if any, stands at the end."""
    names = f"{number:>3}  {_short(failover.old_primary):<9}  {_short(failover.new_primary):<9}"
    times = f"{_ms(failover.detected_ms):>8}  {_ms(failover.promoted_ms):>8}  {_ms(failover.write_gap_ms):>9}"
    back = "–" if failover.returned_ms is None else f"{failover.returned_ms / 1000:.1f} s"
    line = f"{names}  {times}  {failover.acked:>7,}  {failover.lost:>4}  {back:>6}"
    notes = [
        *(["rebuilt"] if failover.rebuilt else []),
        *([f"one cell alone: {failover.one_cell}"] if failover.one_cell else []),
        *([failover.problem] if failover.problem else []),
    ]
    return "  ".join([line, *notes])


def summary_text(report: DemoReport, width: int) -> str:
    """Return the distribution of the times as a table, with the verdict under it."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("MILLISECONDS")
    for title in ("P50", "P99", "MAX"):
        table.add_column(title, justify="right")
    for name in MEASURED:
        values = summarise(report.measured(name)).values()
        table.add_row(_TITLES[name], *("–" if value is None else f"{value:,.0f}" for value in values))
    for phase in PHASES:
        if took := report.took(phase):
            table.add_row(
                f"  of that, {phase}", *(f"{value:,.0f}" for value in summarise(took).values() if value is not None)
            )
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return f"{captured.get()}\n{verdict(report)}\n"


def verdict(report: DemoReport) -> str:
    """Say in a few lines whether the series succeeded, and if not, why."""
    acked = report.failovers[-1].acked if report.failovers else 0
    rebuilt = sum(each.rebuilt for each in report.failovers)
    lines = [
        f"{report.converged} of {report.setup.wanted} failovers converged; "
        f"{report.lost} of {acked:,} acknowledged rows lost."
    ]
    if report.setup.simulated:
        lines.append("The MySQL servers were simulated: their times are no measure of real ones.")
    if rebuilt:
        lines.append(
            f"{rebuilt} of the broken servers came back with a row that no replica had acknowledged, "
            "since MySQL keeps it after a crash, and were rebuilt."
        )
    return "\n".join([*lines, *_listed(report.failures)])


def _listed(failures: Sequence[str]) -> list[str]:
    return [f"FAILED: {each}" for each in failures]


def _short(alias: str | None) -> str:
    """Return an alias without its padding; Vitess accepts that form too."""
    if alias is None or alias == "none":
        return "–"
    parsed = TabletAlias.parse(alias)
    return f"{parsed.cell}-{parsed.uid}"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"
