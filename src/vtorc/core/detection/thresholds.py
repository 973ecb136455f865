"""How much evidence a finding about a primary needs before it may be acted on."""

from dataclasses import dataclass

HUNG_AFTER = 10.0
"""Seconds that a primary gets to recover while its MySQL hangs and its tablet manager answers."""

RECONNECTS_WITHIN = 5.0
"""Seconds that a replica gets to connect again before its failure to do so counts against the primary.

A host may be slow to greet, and every vtorc makes replicas reconnect to learn whether the primary lives.
"""

RETRIES_WITHIN = 10.0
"""Seconds within which a replica that lost its source tries again to connect by itself (SOURCE_CONNECT_RETRY of Vitess'
replicas).
"""

CUT_OFF_AFTER = 2 * RETRIES_WITHIN
"""Seconds after which a replica that does not get to a primary which answers vtorc is told as cut off: two tries."""

STEADY_FOR = 5.0
"""Seconds of steady commits after which the silence of a primary's replicas says that it has stopped."""

QUIET_FOR = 1.5
"""Seconds without any event after which a replica is quiet: longer than the longest pause of steady commits."""

GREETS_WITHIN = 2.0
"""Seconds within which a server that works greets a new connection, however busy its disk is.

It counts only for a primary that has stopped committing: others get `RECONNECTS_WITHIN`.
"""

HUNG_AND_QUIET_AFTER = 4.0
"""Seconds that a primary gets to recover which hangs, has stopped committing and greets no new connection."""

SHOWS_LIFE_FOR = 4.0
"""Seconds for which a connection that a primary's MySQL took from vtorc shows that it lives.

vtorc opens another one each second, which may take two.
"""

SHORT_OF_ACKS_FOR = 3.0
"""Seconds for which too few replicas must have been able to acknowledge before the shard is said to take no writes.

A replica that is made to reconnect is away for less.
"""

ENDS_WITHIN = 1.0
"""Seconds in which the connections of replicas break after a crash of the primary's MySQL, which its tablet reports.

If they last longer, MySQL is shutting down, or only its socket is gone.
"""

PAST_STANDS_FOR = 10.0
"""Seconds for which tablets must have proved a past that no record names. Until then a first election, of which another
vtorc has told the records nothing yet, looks the same.
"""

BLOCKED_AFTER = 10.0
"""Seconds for which a commit must have waited before the primary counts as blocked without its tablet saying so."""

LONG_EVENT_WITHIN = 10.0
"""Seconds within which a replica that is receiving a long transaction receives the next event of it, or all of it."""

NO_COMMIT_FOR = 5.0
"""Seconds in which a primary that may be cut off from its replicas must have committed nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionThresholds:
    """The evidence that confirms a lost primary."""

    confirmations: int = 2
    """Failed probes in a row before a primary may count as lost."""
    silent_after: float = 5.0
    """Seconds that a primary must have failed where no replica tells by reconnecting."""
    hung_after: float = HUNG_AFTER
    """Seconds that it must have failed in any case while its tablet manager answers and its MySQL hangs.

    It may recover, and moving an overload to another tablet gains nothing.
    """
    heard_since: float = float("-inf")
    """Time, in seconds on the view's clock, before which no answer of a replica counts against the primary.

    Under the shard lock it is the time of the lock.
    """
