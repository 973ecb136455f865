"""One shard as it is analysed: what is known, by which bars it is judged, and how a finding is put into words."""

from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.replica_evidence import names
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.views import ShardView, TabletView


class ShardCheck:
    """What all conditions look at; `now` is in seconds on the clock of the view."""

    def __init__(
        self, view: ShardView, policy: DurabilityPolicy | None, thresholds: DetectionThresholds, now: float
    ) -> None:
        self.view = view
        self.policy = policy
        self.thresholds = thresholds
        self.now = now
        self.primary = view.primary
        self.self_declared_primaries = view.self_declared_primaries

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
        return (
            f"; {names(self.self_declared_primaries)} is by its own account, so its record may be late"
            if self.self_declared_primaries
            else ""
        )

    @property
    def everybody_probed(self) -> bool:
        """Whether every tablet was asked at least once."""
        return all(tablet.probed for tablet in self.view.tablets)
