"""The common part of every check of a shard: the facts, the thresholds, and how a finding is put into words."""

from collections.abc import Mapping
from types import MappingProxyType

from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.replica_evidence import declared_primaries
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.fitness import FIT, Fitness
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.views import ShardView, TabletView


class ShardCheck:
    """The facts that all checks look at.

    `now` is in seconds on the clock of the view, and `fitness` says what each tablet is fit for. `rolled_back` has the
    tablets whose servers went back in time, each with the transactions of its own that it has lost.
    """

    def __init__(
        self,
        view: ShardView,
        policy: DurabilityPolicy | None,
        thresholds: DetectionThresholds,
        now: float,
        fitness: Mapping[TabletAlias, Fitness] = MappingProxyType({}),
        rolled_back: Mapping[TabletAlias, GtidSet] = MappingProxyType({}),
    ) -> None:
        self.view = view
        self.policy = policy
        self.thresholds = thresholds
        self.now = now
        self.fitness = fitness
        self.rolled_back = rolled_back
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
        cause: str = "",
        **evidence: object,
    ) -> Finding:
        """Make a finding about a tablet, or about the shard if there is none, with the evidence for it."""
        subject = f"{self.view.shard}: {tablet.alias} {what}" if tablet is not None else f"{self.view.shard}: {what}"
        return Finding(
            code=code,
            shard=self.view.shard,
            alias=tablet.alias if tablet is not None else None,
            sentence=subject,
            confirmed=confirmed,
            evidence={name: str(value) for name, value in evidence.items()},
            may_be_load=may_be_load,
            cause=cause,
        )

    def fitness_of(self, tablet: TabletView) -> Fitness:
        """Return the fitness of that tablet's server."""
        return self.fitness.get(tablet.alias, FIT)

    @property
    def late_record_note(self) -> str:
        """The end of a sentence that names the self-declared primaries; empty if there is none."""
        return f"; {declared_primaries(self.self_declared_primaries)}" if self.self_declared_primaries else ""

    @property
    def all_probed(self) -> bool:
        """Whether every tablet has been probed at least once."""
        return all(tablet.probed for tablet in self.view.tablets)
