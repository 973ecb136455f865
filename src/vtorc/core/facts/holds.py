"""Holds: what operators told vtorc to leave alone, or to prefer, for how long and why.

Downtime, maintenance, the switch that stops all recoveries, and candidates are holds as well, each with a purpose of
its own. They differ in how they are asked for and shown, and are honoured alike.
"""

import datetime
import enum
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from vtorc.core.facts.durability import PromotionRule
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import HoldParseError, NameParseError

LONGEST = 10 * 365 * 86400
"""Most seconds that a hold can be given; one without an end stays until it is lifted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectTraits:
    """One row of the effects; no column has a default, so that the type checker names a forgotten one."""

    spelling: str
    """The name by which it is asked for."""
    meaning: str
    """The conduct of vtorc under it, as a clause for operators."""
    promotion_rule: PromotionRule | None
    """The promotion rule that it stands for among tablets that may be promoted; None for any other effect."""


class Effect(enum.Enum):
    """The effect of a hold; each member is its row."""

    _value_: str
    traits: EffectTraits

    def __new__(cls, traits: EffectTraits) -> Self:
        """Make a member; its value is the spelling."""
        member = object.__new__(cls)
        member._value_ = traits.spelling
        member.traits = traits
        return member

    NO_FAILOVER = EffectTraits(
        spelling="no_failover",
        meaning="vtorc replaces no primary by itself, and elects no first one",
        promotion_rule=None,
    )
    NO_REPAIR = EffectTraits(
        spelling="no_repair",
        meaning="vtorc repairs nothing by itself",
        promotion_rule=None,
    )
    NOT_PROMOTABLE = EffectTraits(
        spelling="not_promotable",
        meaning="vtorc promotes no such tablet",
        promotion_rule=None,
    )
    NO_ALERT = EffectTraits(
        spelling="no_alert",
        meaning="problems are shown as silenced",
        promotion_rule=None,
    )
    PREFER = EffectTraits(
        spelling="prefer",
        meaning="vtorc promotes it before others",
        promotion_rule=PromotionRule.PREFER,
    )
    PREFER_NOT = EffectTraits(
        spelling="prefer_not",
        meaning="vtorc promotes others before it",
        promotion_rule=PromotionRule.PREFER_NOT,
    )

    @classmethod
    def parse(cls, text: str) -> "Effect":
        """Return the effect of that spelling; raises HoldParseError."""
        found = next((each for each in cls if each.value == text), None)
        if found is None:
            raise HoldParseError(f"effect {text!r}: expected one of {', '.join(each.value for each in cls)}")
        return found


class Purpose(enum.Enum):
    """How a hold was asked for, and where it is shown."""

    HOLD = "hold"
    """As a hold."""
    SWITCH = "switch"
    """As the switch that stops all recoveries; there is at most one."""
    DOWNTIME = "downtime"
    """As the downtime of a tablet (orchestrator's `begin-downtime`); a tablet has at most one."""
    MAINTENANCE = "maintenance"
    """As the maintenance of a tablet (orchestrator's `begin-maintenance`); a tablet has at most one."""
    STOPPED_REPLICATION = "stopped_replication"
    """As the replication of a tablet that an operator stopped (orchestrator's `stop-replica`); a tablet has at most
    one."""
    PROMOTION_RULE = "promotion_rule"
    """As the promotion rule of a tablet (orchestrator's `register-candidate`); a tablet has at most one."""
    SETTING = "setting"
    """In the settings, for as long as they say so; it has no number, and is not kept."""

    @property
    def is_unique(self) -> bool:
        """Whether a scope has at most one hold of this purpose, which the next one replaces."""
        return self is not Purpose.HOLD


class ScopeKind(enum.Enum):
    """The kinds of scopes, widest first."""

    FLEET = "fleet"
    CELL = "cell"
    KEYSPACE = "keyspace"
    SHARD = "shard"
    TABLET = "tablet"


@dataclass(frozen=True, slots=True)
class HoldScope:
    """The tablets that a hold is about; one on the fleet, a keyspace or a shard is about the shards as well."""

    kind: ScopeKind
    """The kind of thing that is named."""
    name: str = ""
    """Its name, as `zone1`, `commerce`, `commerce/-80` or `zone1-0000000101`; empty for the fleet."""

    @classmethod
    def parse(cls, text: str) -> "HoldScope":
        """Read `fleet`, `cell:<cell>`, `keyspace:<keyspace>`, `shard:<keyspace>/<shard>` or `tablet:<alias>`.

        Raises HoldParseError.
        """
        kind, colon, name = text.strip().partition(":")
        if kind == ScopeKind.FLEET.value and not colon:
            return FLEET
        try:
            match ScopeKind(kind), name:
                case (ScopeKind.CELL | ScopeKind.KEYSPACE) as found, _ if _PLAIN_NAME.fullmatch(name):
                    return cls(found, name)
                case ScopeKind.SHARD, _:
                    return cls(ScopeKind.SHARD, str(ShardId.parse(name)))
                case ScopeKind.TABLET, _:
                    return cls(ScopeKind.TABLET, str(TabletAlias.parse(name)))
        except NameParseError as error:
            raise HoldParseError(f"scope {text!r}: {error}") from None
        except ValueError:
            pass
        raise HoldParseError(
            f"scope {text!r}: expected fleet, cell:<cell>, keyspace:<keyspace>, shard:<keyspace>/<shard> or "
            f"tablet:<alias>, for example shard:commerce/-80"
        )

    @classmethod
    def of_shard(cls, shard: ShardId) -> "HoldScope":
        """Return the scope of one shard."""
        return cls(ScopeKind.SHARD, str(shard))

    @classmethod
    def of_tablet(cls, alias: TabletAlias) -> "HoldScope":
        """Return the scope of one tablet."""
        return cls(ScopeKind.TABLET, str(alias))

    def covers(self, shard: ShardId, alias: TabletAlias | None) -> bool:
        """Return whether it is about that tablet of the shard; about the shard as a whole if `alias` is None."""
        match self.kind:
            case ScopeKind.FLEET:
                return True
            case ScopeKind.KEYSPACE:
                return shard.keyspace == self.name
            case ScopeKind.SHARD:
                return str(shard) == self.name
            case ScopeKind.CELL:
                return alias is not None and alias.cell == self.name
            case ScopeKind.TABLET:
                return alias is not None and str(alias) == self.name

    def concerns(self, shard: ShardId, aliases: Iterable[TabletAlias]) -> bool:
        """Return whether it is about the shard or any of its tablets."""
        return self.covers(shard, None) or any(self.covers(shard, alias) for alias in aliases)

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}" if self.name else self.kind.value

    @property
    def phrase(self) -> str:
        """The scope as operators read it in a sentence."""
        match self.kind:
            case ScopeKind.FLEET:
                return "the fleet"
            case ScopeKind.CELL | ScopeKind.KEYSPACE:
                return f"{self.kind.value} {self.name}"
            case ScopeKind.SHARD | ScopeKind.TABLET:
                return self.name


FLEET = HoldScope(ScopeKind.FLEET)

_PLAIN_NAME = re.compile(r"[-_.a-zA-Z0-9]+", re.ASCII)
_LENGTH = re.compile(r"([1-9][0-9]{0,8})([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_length(text: str) -> int:
    """Return the seconds of `90s`, `30m`, `1h`, `2d` or `1w`; raises HoldParseError."""
    found = _LENGTH.fullmatch(text.strip())
    seconds = int(found[1]) * _SECONDS[found[2]] if found is not None else 0
    if not 0 < seconds <= LONGEST:
        raise HoldParseError(f"length {text!r}: expected a number with s, m, h, d or w, at most ten years, such as 30m")
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold."""

    number: int = 0
    """Its number, which no other hold of this vtorc ever has; 0 until it was kept."""
    scope: HoldScope
    """The tablets and shards that it is about."""
    effects: frozenset[Effect]
    """Its effects; empty for one that is only shown."""
    owner: str
    """The operator or program that it belongs to."""
    reason: str
    """Why, as the owner says."""
    created: int
    """When it was made, in nanoseconds since the Unix epoch."""
    expires: int | None = None
    """When it ends by itself, in nanoseconds since the Unix epoch; None if it stays until it is lifted."""
    purpose: Purpose = Purpose.HOLD
    """How it was asked for."""

    def is_over(self, wall: int) -> bool:
        """Return whether it has ended by itself at `wall`, in nanoseconds since the Unix epoch."""
        return self.expires is not None and self.expires <= wall

    @property
    def until(self) -> str:
        """The end of it in words."""
        return "until it is lifted" if self.expires is None else f"until {_utc(self.expires)}"

    @property
    def effect_words(self) -> str:
        """The spellings of its effects, joined by commas and in their order; `nothing` if there are none."""
        return ", ".join(each.value for each in Effect if each in self.effects) or "nothing"

    @property
    def sentence(self) -> str:
        """Its owner, target, end and reason, as the end of a sentence."""
        if self.purpose is Purpose.SWITCH:
            until = "" if self.expires is None else f" {self.until}"
            return f"{self.owner} stopped all recoveries{until}: {self.reason}"
        if self.purpose is Purpose.SETTING:
            return self.reason
        noun = self.purpose.value.replace("_", " ")
        return f"{noun} {self.number} of {self.owner} on {self.scope.phrase} {self.until}: {self.reason}"


@dataclass(frozen=True, slots=True)
class HoldsOnShard:
    """The holds that are in force on a shard or on any of its tablets."""

    shard: ShardId
    """The shard; of no matter without holds."""
    holds: tuple[Hold, ...] = ()
    """The holds, by number."""

    def on(self, alias: TabletAlias | None) -> tuple[Hold, ...]:
        """Return those on one tablet; those on the shard as a whole if `alias` is None."""
        return tuple(hold for hold in self.holds if hold.scope.covers(self.shard, alias))

    def forbidding(self, effect: Effect, alias: TabletAlias | None) -> Hold | None:
        """Return the hold with that effect on a tablet or on the shard that lasts longest; None if there is none."""
        found = [hold for hold in self.on(alias) if effect in hold.effects]
        return max(found, key=_lasting, default=None)

    def why_not_promoted(self, alias: TabletAlias) -> str:
        """Return whose hold forbids to promote a tablet, as the end of a sentence about it; empty if none does."""
        hold = self.forbidding(Effect.NOT_PROMOTABLE, alias)
        return f"is not to be promoted: {hold.sentence}" if hold is not None else ""

    def wish(self, alias: TabletAlias) -> PromotionRule | None:
        """Return how much operators want a tablet as primary; None if none has said so. The narrowest scope counts."""
        wishes = [(hold, rule) for hold in self.on(alias) for rule in _rules(hold.effects)]
        narrowest = max(wishes, key=lambda each: _narrowness(each[0]), default=None)
        return narrowest[1] if narrowest is not None else None


def holds_on_shard(
    holds: Collection[Hold], shard: ShardId, aliases: Collection[TabletAlias], wall: int
) -> HoldsOnShard:
    """Return which of `holds` are in force on a shard with these tablets at `wall`, in nanoseconds since the epoch."""
    found = tuple(hold for hold in holds if not hold.is_over(wall) and hold.scope.concerns(shard, aliases))
    return HoldsOnShard(shard, found) if found else NO_HOLDS


NO_HOLDS = HoldsOnShard(ShardId("", ""))
_WIDEST_FIRST = tuple(ScopeKind)


def _narrowness(hold: Hold) -> tuple[int, int]:
    return _WIDEST_FIRST.index(hold.scope.kind), hold.number


def _lasting(hold: Hold) -> tuple[bool, int, int]:
    return hold.expires is None, hold.expires or 0, -hold.number


def _rules(effects: frozenset[Effect]) -> Iterator[PromotionRule]:
    yield from (rule for effect in Effect if effect in effects and (rule := effect.traits.promotion_rule) is not None)


def _utc(nanoseconds: int) -> str:
    at = datetime.datetime.fromtimestamp(nanoseconds // 1_000_000_000, tz=datetime.UTC)
    return at.isoformat().replace("+00:00", "Z")
