"""Names the tablets that come and go."""

from collections.abc import Iterator

from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.shard_check import ShardCheck


class StabilityCheck(ShardCheck):
    """The check of tablets that answer one question and not the next.

    Such a tablet is one finding for as long as it lasts. Its failures and answers are no news one by one, and would
    hide all else in the log.
    """

    def findings(self) -> Iterator[Finding]:
        """Yield each tablet that has failed several times within a minute, and answered in between."""
        for tablet in self.view.tablets:
            if tablet.memory.is_unstable(self.now):
                times, since = len(tablet.memory.failed_at), self.now - tablet.memory.failed_at[0]
                yield self.found(
                    Code.UNSTABLE_TABLET,
                    tablet,
                    f"comes and goes: it failed {times} times within {since:.0f} s and answered in between; now it "
                    f"{tablet.failure_phrase}",
                )
