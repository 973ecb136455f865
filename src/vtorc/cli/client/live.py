"""Frames of the stream of events as lines, each piece of news once. Pure but for its own memory."""

from collections.abc import Iterable, Iterator, Sequence

from vtorc.cli.client.hold_text import HELD
from vtorc.cli.client.layout import clock_time, state_mark, wrapped
from vtorc.cli.client.recovery_text import hook_lines, outcome_lines, step_words
from vtorc.cli.client.shard_text import decision_lines
from vtorc.forms.fleet import AnyEvent, RowFrame, ShardRowForm
from vtorc.forms.frames import (
    DecisionFrame,
    GoneFrame,
    HeartbeatFrame,
    HoldsFrame,
    RecoveryFrame,
    ShardFrame,
    StatusFrame,
)
from vtorc.forms.hold import HoldForm
from vtorc.forms.recovery import RecoveryForm, StepForm
from vtorc.forms.shard import ShardForm

KEPT_ENDED = 1000
"""Ended recoveries of which is remembered that they were told; hooks of one may end after it."""


class NewSteps:
    """Tells those steps of a recovery that were not told yet."""

    def __init__(self) -> None:
        self._told = 0

    def lines(self, steps: Sequence[StepForm], width: int) -> list[str]:
        """Return the steps since the last call, of a list that only grows until the recovery ends."""
        new = steps[self._told :]
        self._told = max(self._told, len(steps))
        return [line for step in new for line in live_step_lines(step, width)]


def live_step_lines(step: StepForm, width: int) -> list[str]:
    """Return one step with the moment of its end, in seconds since the recovery began."""
    end = f"  {step.started + step.seconds:8.3f} s  "
    return wrapped(step_words(step), width, indent=" " * len(end), first=end)


class LiveLines:
    """Tells what is new in each frame, once."""

    def __init__(self, rows: Iterable[ShardRowForm]) -> None:
        """Take what was shown already as told."""
        self._sentences = {row.name: row.sentence for row in rows}
        self._steps: dict[str, NewSteps] = {}
        self._told_hooks: dict[str, int] = {}
        self._announced: dict[str, str] = {}
        self._holds: dict[int, str] = {}
        self._now = ""

    def lines(self, frame: AnyEvent, width: int) -> list[str]:
        """Return the lines of a frame; empty if it has no news for an operator."""
        match frame:
            case ShardFrame(shard=shard) | RowFrame(shard=shard):
                return list(self._shard(shard, width))
            case GoneFrame(shard=name):
                self._sentences.pop(name, None)
                return _timed(self._now, f"{name} has left the topology server", width)
            case DecisionFrame(finding=finding):
                if frame.change == "decided":
                    self._sentences[finding.shard] = finding.sentence
                return decision_lines(frame, width)
            case RecoveryFrame(recovery=recovery):
                return list(self._ended(recovery, width))
            case StatusFrame():
                return list(self._status(frame, width))
            case HoldsFrame(holds=holds):
                return list(self._holds_changed(holds, width))
            case HeartbeatFrame(at=at):
                self._now = at
        return []

    def missed(self, rows: Iterable[ShardRowForm], width: int) -> list[str]:
        """Return the lines of what has changed in shards while nothing was heard of them."""
        news = [row for row in rows if self._sentences.get(row.name) != row.sentence]
        self._sentences.update((row.name, row.sentence) for row in news)
        return [line for row in news for line in _timed(self._now, f"{state_mark(row.state)} {row.sentence}", width)]

    def _shard(self, shard: ShardForm | ShardRowForm, width: int) -> Iterator[str]:
        told = self._sentences.get(shard.name)
        self._sentences[shard.name] = shard.sentence
        if told is None or not shard.sentence.startswith(told):  # a decision is told first, the number of others after
            yield from _timed(shard.as_of, f"{state_mark(shard.state)} {shard.sentence}", width)
        if shard.running is None:
            self._steps.pop(shard.name, None)
        else:
            steps = self._steps.setdefault(shard.name, NewSteps())
            yield from steps.lines(shard.running.steps, width)

    def _ended(self, recovery: RecoveryForm, width: int) -> Iterator[str]:
        """Yield the last steps of a recovery and how it ended, once, and each run of a hook as it ends.

        The last steps come with the end, and the promotion is one of them.
        """
        if recovery.id not in self._told_hooks:
            yield from self._steps.pop(recovery.shard, NewSteps()).lines(recovery.steps, width)
            yield from outcome_lines(recovery, width)
        told = self._told_hooks.get(recovery.id, 0)
        for hook in recovery.hooks[told:]:
            yield from hook_lines(hook, width, of=recovery.shard)
        self._told_hooks[recovery.id] = len(recovery.hooks)
        while len(self._told_hooks) > KEPT_ENDED:
            del self._told_hooks[next(iter(self._told_hooks))]

    def _holds_changed(self, holds: Sequence[HoldForm], width: int) -> Iterator[str]:
        """Yield the lines of holds that are new, and of those that are gone."""
        before, self._holds = self._holds, {hold.number: hold.sentence for hold in holds}
        for number, sentence in self._holds.items():
            if number not in before:
                yield from _timed(self._now, f"{HELD} in force: {sentence}", width)
        for number in before.keys() - self._holds.keys():
            yield from _timed(self._now, f"{HELD} not in force any more: {before[number]}", width)

    def _status(self, frame: StatusFrame, width: int) -> Iterator[str]:
        news = {one.rule: one for one in frame.announcements}
        for rule, one in news.items():
            if self._announced.get(rule) != one.sentence:
                yield from _timed(one.since, f"[{rule}] {one.sentence}", width)
        for rule in self._announced.keys() - news.keys():
            yield from _timed(self._now, f"[{rule}] over", width)
        self._announced = {rule: one.sentence for rule, one in news.items()}


def _timed(at: str, text: str, width: int) -> list[str]:
    return wrapped(text, width, indent="    ", first=f"{clock_time(at)}  ")
