"""The codes as a page of Markdown: `python -m vtorc.server.today.code_doc > docs/codes.md`."""

import sys
from collections.abc import Iterator, Mapping

from vtorc.core.detection.problems import Code
from vtorc.forms.findings import SEVERITIES
from vtorc.server.today.code_guide import GUIDES, SUMMARY_GUIDES, WARNING_GUIDES, CodeGuide, NoteGuide
from vtorc.server.today.summaries import SUMMARIES

_HEAD = """\
# Codes

<!-- Made by `python -m vtorc.server.today.code_doc`; change `src/vtorc/server/today/code_guide.py` instead. -->

This page says for each code what is seen, what vtorc does and refuses, and what is left for the operator.
[It is 3 a.m.](3am.md) is the short way from an alert to an action.
[The rules](operating.md#why-is-it-doing-nothing) explain why vtorc waits.

All codes of Vitess' vtorc of today are here, and the structure warnings that it has had since v11.
Codes that only this vtorc has say so.
Severity is Vitess' number: 0 concerns the whole shard, 1 is critical, 2 high, 3 medium, 4 low.
`vtorc sim scenario NAME --trace` plays the scenario in which a code is found.

Not here are the codes of intermediate primaries, co-primaries and binlog servers of v11 to v13.
In Vitess each replica follows the primary of its shard: one that does not is `ConnectedToWrongPrimary`.

## Codes by which vtorc decides

"""

_SUMMARIES = """\
## Codes that sum up a primary and its replicas

They are for dashboards that match on them.
`/api/detection-analysis`, v12's `/api/replication-analysis` and the metric `vtorc_detected_problems` tell them.
vtorc decides by its findings about each tablet instead, and no action follows from such a code.

| code | severity | seen | findings with an action, or more | operator |
| --- | --- | --- | --- | --- |
"""

_WARNINGS = """
## Structure warnings

They are in `StructureAnalysis` of the same two answers, whether or not anything fails now.
No action follows from them.

| warning | seen | findings that say more | operator |
| --- | --- | --- | --- |
"""

_ONLY_HERE = frozenset(
    {
        Code.UNKNOWN_DURABILITY_POLICY,
        Code.NO_DURABILITY_POLICY,
        Code.BAD_TABLET_RECORD,
        Code.UNREACHABLE_CELL,
        Code.UNKNOWN_SEMI_SYNC_CLIENTS,
        Code.PRIMARY_ROLLED_BACK,
        Code.SHARD_TAKES_NO_WRITES,
        Code.PRIMARY_RECORD_OUTDATED,
        Code.REPLICATION_BROKEN,
        Code.REPLICA_CUT_OFF,
        Code.REPLICA_ROLLED_BACK,
        Code.TABLET_UNFIT,
        Code.UNSTABLE_TABLET,
    }
)
"""The codes that Vitess does not have."""


def markdown_of_codes() -> str:
    """Return the page."""
    sections = "".join(_section(code, GUIDES[code]) for code in sorted(Code, key=lambda code: code.value))
    summed_up = "".join(_summary_rows(SUMMARY_GUIDES))
    return f"{_HEAD}{sections}{_SUMMARIES}{summed_up}{_WARNINGS}{''.join(_warning_rows(WARNING_GUIDES))}"


def _section(code: Code, guide: CodeGuide) -> str:
    problem = code.problem
    recovery = f"`{problem.recovery.value}`" if problem.recovery is not None else "none"
    only = "; only this vtorc has it" if code in _ONLY_HERE else ""
    return (
        f"### `{code.value}`\n\n"
        f"Severity {problem.priority} ({SEVERITIES[problem.priority]}); recovery: {recovery}{only}.\n\n"
        f"- **Seen**: {guide.seen}\n"
        f"- **vtorc does**: {guide.acts}\n"
        f"- **vtorc refuses**: {guide.refuses}\n"
        f"- **Operator**: {guide.operator}\n"
        f"- **Scenario**: `{guide.scenario}`\n\n"
    )


def _summary_rows(guides: Mapping[str, NoteGuide]) -> Iterator[str]:
    for code, traits in SUMMARIES.items():
        guide = guides[code]
        yield f"| `{code}` | {traits.priority} | {guide.seen} | {guide.acts} | {guide.operator} |\n"


def _warning_rows(guides: Mapping[str, NoteGuide]) -> Iterator[str]:
    for code, guide in guides.items():
        yield f"| `{code}` | {guide.seen} | {guide.acts} | {guide.operator} |\n"


if __name__ == "__main__":
    sys.stdout.write(markdown_of_codes())
