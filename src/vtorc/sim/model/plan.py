"""What is explored: how many tablets of which types, how much may happen, and by which rules failovers go."""

from dataclasses import dataclass, field

from vtorc.core.facts.durability import DurabilityPolicy, Member, policy
from vtorc.core.facts.ids import TabletAlias, TabletType


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """The rules of a failover, each of which a mutant of the model can be without."""

    check_revoked: bool = True
    """Refuse while somebody who was not stopped may acknowledge."""
    unreached_counts: bool = True
    """A tablet that was not reached is not taken for one that was stopped and holds nothing."""
    count_received: bool = True
    """A tablet holds what is in its relay log, not only what it has executed."""
    stop_connecting: bool = True
    """Stop an IO thread, too, that is only trying to connect."""
    wait_applied: bool = True
    """Promote only who has applied all that it received."""
    hold_before_repoint: bool = True
    """Re-point nobody before the winner holds everything."""
    heed_lock: bool = True
    """Ask before the promotion whether the lock is still ours."""
    undo_under_lock: bool = True
    """Put back what was stopped only under the lock, and not once the shard has another primary."""
    no_way_back: bool = True
    """Put back nothing once a promotion has been asked for."""


SOUND = ModelRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """The world that is explored: the first of `members` is the primary, the others are its replicas.

    `writes`, `crashes`, `cuts` (broken replication links), `lock_losses` and `rounds` (failovers begun by each of the
    `coordinators`) limit how much happens. Between failovers, and whenever nobody has the lock, `repairs` start
    replication again and make a primary that came back writable. With `observes_primary` an election knows what the primary held
    at some earlier moment.

    Two assumptions can be taken away: `durable_relay`, that a crash leaves the relay log as it is (in MySQL
    relay_log_recovery fetches it again, if its source still lives), and `prompt_calls`, that what was sent to a tablet
    under a lock arrives before somebody else has taken that lock, or never.
    """

    members: tuple[Member, ...]
    policy: DurabilityPolicy
    writes: int = 2
    crashes: int = 1
    cuts: int = 0
    coordinators: int = 1
    rounds: int = 1
    lock_losses: int = 0
    repairs: bool = False
    observes_primary: bool = False
    durable_relay: bool = True
    prompt_calls: bool = True
    rules: ModelRules = field(default_factory=ModelRules)

    @property
    def acks(self) -> int:
        """How many acknowledgements each write needs."""
        return self.policy.required_acks(self.members[0])

    def acknowledges(self, primary: int, replica: int) -> bool:
        """Whether a replica of that primary has its side of semi-sync on."""
        return self.policy.may_ack(self.members[primary], self.members[replica])

    @property
    def alike(self) -> tuple[tuple[int, ...], ...]:
        """Replicas that differ in nothing but their number, in groups of two or more."""
        groups: dict[tuple[str, TabletType], list[int]] = {}
        for place, each in enumerate(self.members[1:], 1):
            groups.setdefault((each.cell, each.type), []).append(place)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def shard(*tablets: str) -> tuple[Member, ...]:
    """Make members from `cell` or `cell/type` each, the first the primary: `shard("z1", "z1", "z2/rdonly")`."""
    members = []
    for number, text in enumerate(tablets):
        cell, _, kind = text.partition("/")
        type_ = TabletType.parse(kind) if kind else (TabletType.REPLICA if number else TabletType.PRIMARY)
        members.append(Member(TabletAlias(cell, 100 + number), type_))
    return tuple(members)


def named_policy(name: str, *, acks: int | None = None) -> DurabilityPolicy:
    """Return a built-in policy, or a variant of it that asks for another number of acknowledgements."""
    found = policy(name)
    if acks is None:
        return found
    return DurabilityPolicy(name=f"{name}, {acks} acks", acks=acks, ackers=found.ackers, other_cell=found.other_cell)
