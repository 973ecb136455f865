"""One shard as it is analysed: what is known, by which bars it is judged, and how a finding is put into words."""

from dataclasses import dataclass

from vtorc.core.detection.problems import Code, Finding
from vtorc.core.detection.replica_evidence import names
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.views import ShardView, TabletView

HUNG_AFTER = 10.0
"""Seconds that a primary whose MySQL hangs gets to come round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionThresholds:
    """How much evidence a verdict needs.

    `confirmations` is the number of failed probes in a row that makes a primary suspect enough to be condemned;
    `silent_after` (seconds) is how long a primary must have failed when no replica can vouch by trying to reconnect,
    `hung_after` how long in any case while its tablet manager answers and its MySQL hangs: it may come round, and
    nothing is gained by moving an overload elsewhere. `heard_since` is the time before which no replica's answer counts
    against the primary: that of the lock, once it is taken.
    """

    confirmations: int = 2
    silent_after: float = 5.0
    hung_after: float = HUNG_AFTER
    heard_since: float = float("-inf")


class ShardCheck:
    """What all conditions look at; `now` is in seconds on the clock of the view."""

    def __init__(self, view: ShardView, policy: DurabilityPolicy | None, bars: DetectionThresholds, now: float) -> None:
        self.view = view
        self.policy = policy
        self.bars = bars
        self.now = now
        self.primary = view.primary
        self.rivals = view.rivals

    def found(
        self,
        code: Code,
        tablet: TabletView | None,
        what: str,
        *,
        confirmed: bool = True,
        may_be_load: bool = False,
        **evidence: object,
    ) -> Finding:
        """Say what is wrong with a tablet, or with the shard, and what was seen of it."""
        subject = f"{self.view.shard}: {tablet.alias} {what}" if tablet is not None else f"{self.view.shard}: {what}"
        return Finding(
            code=code,
            shard=self.view.shard,
            alias=tablet.alias if tablet is not None else None,
            sentence=subject,
            confirmed=confirmed,
            evidence={name: str(value) for name, value in evidence.items()},
            may_be_load=may_be_load,
        )

    @property
    def yet(self) -> str:
        """What may make all the difference soon: a primary whose record is late."""
        return f"; {names(self.rivals)} is by its own account, so its record may be late" if self.rivals else ""

    @property
    def everybody_probed(self) -> bool:
        """Whether every tablet was asked at least once."""
        return all(tablet.probed for tablet in self.view.tablets)
