"""The world that is explored: its tablets and their types, how much may happen, and the rules of failovers."""

from dataclasses import dataclass, field

from vtorc.core.facts.durability import DurabilityPolicy, Member, policy
from vtorc.core.facts.ids import TabletAlias, TabletType


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """The rules of a failover; a mutant of the model lacks one of them."""

    check_revoked: bool = True
    """Refuse while enough tablets that were not stopped may acknowledge."""
    unreached_counts: bool = True
    """Count a tablet as stopped and empty only if it was reached."""
    count_received: bool = True
    """Count the writes of a relay log, not only those that a tablet has executed."""
    stop_connecting: bool = True
    """Stop also an IO thread that is only trying to connect."""
    wait_applied: bool = True
    """Promote only a tablet that has applied all writes that it received."""
    hold_before_repoint: bool = True
    """Re-point no tablet before the winner holds everything."""
    heed_lock: bool = True
    """Check the lock before the promotion."""
    undo_under_lock: bool = True
    """Undo changes only under the lock, and not once the shard has another primary."""
    no_way_back: bool = True
    """Undo nothing once a promotion was sent."""


SOUND = ModelRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """The world that is explored: the first of `members` is the primary, the others are its replicas.

    `writes`, `crashes`, `cuts` (broken replication links), `lock_losses` and `rounds` (failovers begun by each of the
    `coordinators`) limit how much happens. Between failovers, and whenever the lock is free, `repairs` start
    replication again and make a returned primary writable. With `observes_primary` an election knows which writes the
    primary held at some earlier moment.

    Two assumptions can be dropped. `durable_relay` means that a crash leaves the relay log as it is; in MySQL,
    relay_log_recovery fetches it again if the source still lives. `prompt_calls` means that a call to a tablet under a
    lock arrives before another vtorc has taken that lock, or never.
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
        """The number of acknowledgements that each write needs."""
        return self.policy.required_acks(self.members[0])

    def acknowledges(self, primary: int, replica: int) -> bool:
        """Whether a replica of that primary acknowledges."""
        return self.policy.may_ack(self.members[primary], self.members[replica])

    @property
    def alike(self) -> tuple[tuple[int, ...], ...]:
        """The replicas that differ only in their number, in groups of two or more."""
        groups: dict[tuple[str, TabletType], list[int]] = {}
        for place, each in enumerate(self.members[1:], 1):
            groups.setdefault((each.cell, each.type), []).append(place)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def shard(*tablets: str) -> tuple[Member, ...]:
    """Return members, each written as `cell` or `cell/type`, the primary first: `shard("z1", "z1", "z2/rdonly")`."""
    members = []
    for number, text in enumerate(tablets):
        cell, _, kind = text.partition("/")
        type_ = TabletType.parse(kind) if kind else (TabletType.REPLICA if number else TabletType.PRIMARY)
        members.append(Member(TabletAlias(cell, 100 + number), type_))
    return tuple(members)


def named_policy(name: str, *, acks: int | None = None) -> DurabilityPolicy:
    """Return a built-in policy, or a variant of it that requires another number of acknowledgements."""
    found = policy(name)
    if acks is None:
        return found
    return DurabilityPolicy(name=f"{name}, {acks} acks", acks=acks, ackers=found.ackers, other_cell=found.other_cell)
