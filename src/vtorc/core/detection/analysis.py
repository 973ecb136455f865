"""Names everything that is wrong with a shard: `analyse(ShardView, …) -> findings`, most urgent first.

Conditions follow Vitess (`go/vt/vtorc/inst/analysis_problem.go`) where it has the code. They are stricter where Vitess
acts on too little. A primary is dead only on evidence newer than its failure. A tablet is deleted only if its cell
could be read. Around a self-declared primary vtorc replaces and repairs nothing.
"""

from vtorc.core.detection.acknowledgements import Acknowledgements
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.fitness_check import FitnessCheck
from vtorc.core.detection.lost_primary import LostPrimary
from vtorc.core.detection.primary_check import PrimaryCheck
from vtorc.core.detection.replica_check import ReplicaCheck
from vtorc.core.detection.stability_check import StabilityCheck
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.detection.topology_check import TopologyCheck
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.fitness import shard_fitness
from vtorc.core.facts.records import KeyspaceType
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.views import ShardView


def analyse(
    view: ShardView, policy: DurabilityPolicy | None, thresholds: DetectionThresholds, now: float
) -> tuple[Finding, ...]:
    """Return all problems of the shard, most urgent first.

    `policy` is None where no usable policy is known; problems that need none are found all the same. `now` is in
    seconds on the clock of the view. SNAPSHOT keyspaces have no primary and so no problems.
    """
    if view.keyspace_record.type is KeyspaceType.SNAPSHOT:
        return ()
    fitness, gone = shard_fitness(view, policy), rolled_back(view)
    findings = [*TopologyCheck(view, policy, thresholds, now).findings()]
    if view.primary is not None:
        findings += LostPrimary(view, policy, thresholds, now).findings(view.primary)
        findings += PrimaryCheck(view, policy, thresholds, now, fitness, gone).findings(view.primary)
    findings += ReplicaCheck(view, policy, thresholds, now, fitness, gone).findings()
    findings += FitnessCheck(view, policy, thresholds, now, fitness).findings()
    findings += StabilityCheck(view, policy, thresholds, now).findings()
    return tuple(sorted(findings, key=lambda finding: finding.sort_key))


def may_change_with_time(view: ShardView, policy: DurabilityPolicy | None) -> bool:
    """Return whether `analyse` may find a problem later although all tablets answer the same again.

    It is asked of a shard without problems. Commits that wait, replicas that cannot acknowledge or connect, and clients
    that no tablet explains become problems once they have lasted. It is true as well while a tablet does not answer, or
    has a stalled disk.
    """
    primary, count = view.primary, view.client_count
    if primary is None or any(t.current_status is None or t.current_status.disk_stalled for t in view.tablets):
        return True
    if any(t.memory.not_receiving_since is not None for t in view.replicas_of(primary)):
        return True
    if primary.memory.commits_wait_since is not None or (count is not None and count.certain_since is not None):
        return True
    return Acknowledgements.of(view, primary, policy).short_since is not None
