"""Profiles: how many faults a run has, of which kinds, in which world. The seed decides the rest."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from vtorc.config.catalogue import nearest
from vtorc.control.budget import BudgetLimits
from vtorc.sim.cluster.plan import WorldPlan, failover_plan, old_plan, random_plan, shared_plan, small_fleet_plan
from vtorc.sim.cluster.vtorc import VtorcSettings
from vtorc.sim.errors import SimPlanError
from vtorc.sim.faults.catalogue import (
    AIMED_KINDS,
    FAILOVER_KINDS,
    HARMLESS_KINDS,
    KINDS,
    MIXED_KINDS,
    OUTAGE_KINDS,
    named,
)
from vtorc.sim.faults.fault import Fault

_AIMED_SHARE = 0.4
"""Share of the draws that aim at the primary with a kind that takes it: a run without a failover says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The choices that a run draws from; the order of `kinds` and `targets` is part of the seeds."""

    name: str
    least: int
    """Faults at least."""
    most: int
    """Faults at most."""
    span: float
    """Seconds within which faults begin."""
    kinds: tuple[str, ...] = ()
    """Kinds to draw from; empty: `MIXED_KINDS`."""
    targets: tuple[int, ...] = (0, 0, 0, 1, 2, 3, 4)
    """Targets to draw from."""
    draw_plan: Callable[..., WorldPlan] = random_plan
    """Draws the world."""
    settings: VtorcSettings = field(default_factory=VtorcSettings)
    """The settings of all vtorcs."""


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(name="calm", least=0, most=0, span=60.0),
        Profile(name="single", least=1, most=1, span=10.0),
        Profile(name="default", least=1, most=4, span=30.0),
        Profile(name="storm", least=6, most=14, span=60.0),
        Profile(name="harmless", least=1, most=2, span=20.0, kinds=HARMLESS_KINDS),
        Profile(
            name="failover",
            least=1,
            most=1,
            span=5.0,
            kinds=FAILOVER_KINDS,
            targets=(0,),
            draw_plan=failover_plan,
        ),
        Profile(
            name="outage",
            least=1,
            most=1,
            span=5.0,
            kinds=OUTAGE_KINDS,
            targets=(0,),
            draw_plan=failover_plan,
        ),
        Profile(
            name="repairs",
            least=1,
            most=2,
            span=10.0,
            kinds=named(
                "make-replica-writable",
                "make-read-only",
                "stop-replication",
                "stop-applier",
                "break-applier",
                "forget-source",
                "point-elsewhere",
                "unset-semi-sync",
                "kill-mysqld",
                "restart-all-replicas",
            ),
        ),
        Profile(
            name="fleet",
            least=1,
            most=1,
            span=5.0,
            kinds=named("kill-all-primaries", "lose-cell"),
            targets=(0,),
            draw_plan=small_fleet_plan,
            settings=VtorcSettings(budget=BudgetLimits(recoveries=2, repairs=1)),
        ),
        Profile(
            name="unfit",
            least=2,
            most=4,
            span=20.0,
            kinds=named(
                "filter-replica",
                "delay-applier",
                "log-nothing",
                "log-no-updates",
                "copy-identity",
                "raise-wait-count",
                "remove-plugins",
                "kill-mysqld",
                "power-off",
                "lone-copy",
                "change-type",
                "cut-acks",
            ),
        ),
        Profile(
            name="held",
            least=3,
            most=6,
            span=20.0,
            kinds=named(
                "hold",
                "hold",
                "hold",
                "kill-mysqld",
                "power-off",
                "stop-replication",
                "make-replica-writable",
                "kill-vtorc",
                "kill-all-vtorcs",
                "lose-vtorc",
                "change-type",
                "slow-applier",
            ),
        ),
        Profile(
            name="sharing",
            least=3,
            most=7,
            span=40.0,
            kinds=named(
                "lose-vtorcs-in-turn",
                "lose-vtorcs-in-turn",
                "kill-vtorc",
                "freeze-vtorc",
                "isolate-vtorc",
                "stand-still",
                "kill-mysqld",
                "kill-mysqld",
                "power-off",
                "stop-replication",
            ),
            draw_plan=shared_plan,
            settings=VtorcSettings(shares=True),
        ),
        Profile(
            name="blind",
            least=1,
            most=1,
            span=5.0,
            kinds=named("unseen-acker", "unseen-acker-rebuilt", "unseen-acker-deleted"),
            targets=(0,),
            draw_plan=failover_plan,
        ),
        Profile(
            name="asks-mysql",
            least=1,
            most=4,
            span=30.0,
            settings=VtorcSettings(asks_mysql=True),
        ),
        Profile(name="old-tablets", least=0, most=0, span=60.0, draw_plan=old_plan),
    )
}


def find_profile(name: str) -> Profile:
    """Return a profile by its name; the name of a kind of fault is a profile too: one fault, of that kind.

    Raises SimPlanError.
    """
    if name in PROFILES:
        return PROFILES[name]
    if name in KINDS:
        return Profile(name=name, least=1, most=1, span=10.0, kinds=(name,))
    near = nearest(name, [*PROFILES, *KINDS])
    hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(PROFILES)} or a kind of fault"
    raise SimPlanError(f"profile {name!r}: unknown; {hint}")


def draw_faults(generator: random.Random, profile: Profile, *, shards: int) -> tuple[Fault, ...]:
    """Draw the faults of a run."""
    names = profile.kinds or MIXED_KINDS
    aimed_kinds = [name for name in names if name in AIMED_KINDS]
    faults: list[Fault] = []
    for _ in range(generator.randint(profile.least, profile.most)):
        aimed = bool(aimed_kinds) and generator.random() < _AIMED_SHARE
        kind = KINDS[generator.choice(aimed_kinds if aimed else names)]
        faults.append(
            Fault(
                kind=kind.name,
                at=round(generator.uniform(0.0, profile.span), 3),
                # As many faults of one to three seconds as of twenty to sixty. Short faults meet other code than long
                # ones, and a long one costs ten times as much to run.
                lasts=round(kind.least * (kind.most / kind.least) ** generator.random(), 3),
                shard=generator.randrange(shards),
                target=0 if aimed else generator.choice(profile.targets),
            )
        )
    return tuple(sorted(faults, key=lambda fault: fault.at))
