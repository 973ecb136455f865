"""How often operators may ask for something: what runs away by mistake is stopped before it does harm."""

import enum
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from vtorc.core.facts.ids import ShardId
from vtorc.desk.problems import DeskRefusal
from vtorc.forms.access import Caller, Means

WITHIN = 60.0
"""Seconds in which requests are counted."""

PLANS = 60
"""Plans of one operator within `WITHIN`, and of all unknown clients together; each asks tablets for their clocks."""

ORDERS = 60
"""Requests of one operator within `WITHIN` that vtorc only keeps in mind, such as holds and tokens."""

MOST_COUNTED = 4096
"""Operators and shards that are counted; then the one that was counted longest ago is forgotten."""


class Pace(enum.Enum):
    """The limit that a kind of request counts towards."""

    PLAN = "plans"
    """For requests that change nothing."""
    ORDER = "orders"
    """For requests that vtorc keeps in mind, and that change no server by themselves."""
    ACT = "actions"
    """For requests that change servers."""


class Rates:
    """Counts the requests of the last minute, by operator and by shard."""

    def __init__(self, now: Callable[[], float], most_acts: Callable[[], int]) -> None:
        """Read seconds from `now`; `most_acts` is the limit of acts for an operator and for a shard, 0 for none."""
        self._now = now
        self._most_acts = most_acts
        self._counted: OrderedDict[tuple[Pace, str], deque[float]] = OrderedDict()

    def check(self, pace: Pace, caller: Caller, shard: ShardId | None) -> None:
        """Raise DeskRefusal if the operator asked too often of late, or the shard was acted on too often."""
        most = {Pace.PLAN: PLANS, Pace.ORDER: ORDERS, Pace.ACT: self._most_acts()}[pace]
        for name in _counted_as(pace, caller, shard) if most else ():
            recent = self._recent(pace, name)
            if len(recent) >= most:
                wait = recent[-most] + WITHIN - self._now()
                raise DeskRefusal(
                    429,
                    what=name,
                    why=f"{len(recent)} {pace.value} within {WITHIN:g} s, and {most} are allowed",
                    do=f"find out why so many are needed, and try again in {max(1.0, wait):.0f} s",
                )

    def note(self, pace: Pace, caller: Caller, shard: ShardId | None) -> None:
        """Count a request."""
        for name in _counted_as(pace, caller, shard):
            self._recent(pace, name).append(self._now())
        while len(self._counted) > MOST_COUNTED:
            self._counted.popitem(last=False)

    def _recent(self, pace: Pace, name: str) -> deque[float]:
        recent = self._counted.setdefault((pace, name), deque())
        self._counted.move_to_end((pace, name))
        while recent and self._now() - recent[0] >= WITHIN:
            recent.popleft()
        return recent


def _counted_as(pace: Pace, caller: Caller, shard: ShardId | None) -> Sequence[str]:
    """Return what a request counts for. Unknown clients share one count, as they could use any number of addresses."""
    operator = "clients of other hosts" if caller.means is Means.UNKNOWN else f"{caller.actor} ({caller.means.value})"
    return [operator, str(shard)] if pace is Pace.ACT and shard is not None else [operator]
