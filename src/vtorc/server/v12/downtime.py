"""Holds in v12's terms: a hold that silences an instance is its downtime, and some are its promotion rule."""

import datetime

from vtorc.core.facts.holds import Effect, Purpose
from vtorc.forms.hold import HoldForm
from vtorc.server.v12.answers import GoObject, go_time
from vtorc.server.v12.clusters import Server

NO_END = "9999-12-31T23:59:59Z"
"""The end that is told of a hold without one: v12's downtime always ends."""

PROMOTION_RULES: dict[str, Effect | None] = {
    "prefer": Effect.PREFER,
    "neutral": None,
    "prefer_not": Effect.PREFER_NOT,
    "must_not": Effect.NOT_PROMOTABLE,
}
"""v12's promotion rules, each with the effect of its hold; None where there is no hold."""


def holds_on(server: Server) -> list[HoldForm]:
    """Return the holds on a server, its cell, or its shard as a whole, by number."""
    return sorted([*server.shard.holds, *server.tablet.holds], key=lambda hold: hold.number)


def downtime_of(server: Server) -> HoldForm | None:
    """Return the hold that v12 shows as the downtime of a server: its own, or another that silences it."""
    silencing = [hold for hold in holds_on(server) if Effect.NO_ALERT.value in hold.effects]
    own = (hold for hold in silencing if hold.purpose == Purpose.DOWNTIME.value)
    return next(own, silencing[-1] if silencing else None)


def registered_rule(server: Server) -> str | None:
    """Return the promotion rule that operators gave a server; None if they gave none."""
    found = [
        rule
        for hold in holds_on(server)
        for rule, effect in PROMOTION_RULES.items()
        if effect is not None and effect.value in hold.effects
    ]
    return "must_not" if "must_not" in found else (found[-1] if found else None)


def seconds_between(earlier: str, later: str) -> int:
    """Return the whole seconds from one RFC 3339 time to another."""
    return int((datetime.datetime.fromisoformat(later) - datetime.datetime.fromisoformat(earlier)).total_seconds())


def instance_fields(server: Server) -> GoObject:
    """Return the fields of an Instance about its downtime."""
    downtime = downtime_of(server)
    if downtime is None:
        return {
            "IsDowntimed": False,
            "DowntimeReason": "",
            "DowntimeOwner": "",
            "DowntimeEndTimestamp": "",
            "ElapsedDowntime": 0,
        }
    return {
        "IsDowntimed": True,
        "DowntimeReason": downtime.reason,
        "DowntimeOwner": downtime.owner,
        "DowntimeEndTimestamp": go_time(downtime.expires or NO_END),
        "ElapsedDowntime": max(0, seconds_between(downtime.created, server.shard.as_of)) * 10**9,
    }


def analysis_fields(server: Server) -> GoObject:
    """Return the fields of a ReplicationAnalysis about the downtime of its instance."""
    downtime = downtime_of(server)
    if downtime is None:
        return {}
    end = downtime.expires or NO_END
    return {
        "IsDowntimed": True,
        "SkippableDueToDowntime": True,
        "DowntimeEndTimestamp": go_time(end),
        "DowntimeRemainingSeconds": max(0, seconds_between(server.shard.as_of, end)),
    }
