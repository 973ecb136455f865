"""Asks the MySQL of a tablet itself while its tablet manager does not answer: a second vantage point beside vttablet.

It tells a dead vttablet from a dead mysqld, and both from one that hangs. It is asked beside the probes and delays none
of them.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import structlog

from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.views import TabletView
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.probe import TabletProbe

FIRST_PAUSE = 1.0
"""Seconds from an answer to the next question, doubled while the answers are of one kind. A primary that lives is asked
at this pace for ever, because its life counts only for seconds."""

LONGEST_PAUSE = 10.0
"""Seconds that the pause grows to."""

LONGEST_PAUSE_WITHOUT_GREETING = 120.0
"""Seconds that it grows to while the server accepts connections and says nothing.

Each question leaves a connection to a process that stands still. MySQL counts those once it goes on, and refuses a host
with a hundred of them (`max_connect_errors`).
"""

LATE_AT_MOST = 0.2
"""Seconds by which vtorc may be late during a question whose outcome counts, if nothing came from the server."""

LOGGED_AGAIN_AFTER = 300.0
"""Seconds after which the same answer is logged again, in another failure of the tablet."""

_log = structlog.get_logger("vtorc.mysql")


class DirectMysql(Protocol):
    """Asks mysqlds over connections of its own."""

    async def ask(self, tablet: TabletRecord) -> DirectAnswer:
        """Return the answer of the tablet's mysqld, within seconds; a failure is an answer, and no error is raised."""
        ...


async def ask_while_silent(
    probe: TabletProbe, mysql: DirectMysql, clock: OnTimeClock, told: Callable[[bool], None]
) -> None:
    """Ask the tablet's MySQL while its probes fail, until cancelled.

    After each answer `told` is called with whether it is of another kind than the one before. A question during which
    vtorc was late tells of vtorc only, unless the server has spoken.
    """
    pause, before, log = FIRST_PAUSE, None, _AnswerLog()
    while True:
        await probe.wait_until_it_fails()
        record, failing_since = probe.record, probe.view.failing_since
        if record.has_mysql_address:
            asked_at, late_before = clock.now(), clock.late
            answer = replace(await mysql.ask(record), asked_at=asked_at)
            if answer.outcome not in _SILENT or clock.late - late_before <= LATE_AT_MOST:
                repeats = before is answer.outcome and probe.view.direct is not None
                pause = _next_pause(pause if repeats else 0.0, answer, record)
                if probe.note_direct(answer, record):
                    told(not repeats)
                    if not repeats:
                        log.note(probe.view, answer)
                before = answer.outcome
        await _pause(pause, probe, failing_since)


class _AnswerLog:
    """Logs what the MySQL of one tablet tells beyond the failure of its tablet manager."""

    def __init__(self) -> None:
        self._outcome: DirectOutcome | None = None
        self._at = -math.inf

    def note(self, tablet: TabletView, answer: DirectAnswer) -> None:
        """Log an answer, unless it is the last one again and that was a short while ago.

        A server that is down with its tablet manager, or cannot be reached either, is no news: findings tell of that.
        """
        outcome, at = answer.outcome, answer.asked_at
        is_known = outcome is self._outcome and at - self._at < LOGGED_AGAIN_AFTER
        if is_known or outcome in (DirectOutcome.REFUSED, DirectOutcome.UNREACHABLE):
            return
        self._outcome, self._at = outcome, at
        why = f": {answer.text}" if answer.text else ""
        shard = str(tablet.record.shard_id)
        _log.info(f"{tablet.alias} {tablet.failure_phrase}{why}", shard=shard, tablet=str(tablet.alias))


async def _pause(seconds: float, probe: TabletProbe, failing_since: float | None) -> None:
    """Wait so long, but no longer than the failure since then goes on: the next one is another matter."""
    left = seconds
    while left > 0 and probe.view.failing_since == failing_since:
        await asyncio.sleep(min(left, FIRST_PAUSE))
        left -= FIRST_PAUSE


_SILENT = (DirectOutcome.NO_GREETING, DirectOutcome.GREETS, DirectOutcome.UNREACHABLE)


def _next_pause(pause: float, answer: DirectAnswer, record: TabletRecord) -> float:
    if answer.outcome in (DirectOutcome.ANSWERS, DirectOutcome.REFUSES_LOGIN) and record.type is TabletType.PRIMARY:
        return FIRST_PAUSE
    hangs = answer.outcome is DirectOutcome.NO_GREETING
    return min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE_WITHOUT_GREETING if hangs else LONGEST_PAUSE)
