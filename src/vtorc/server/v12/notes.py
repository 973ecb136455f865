"""Handlers of tags and of acknowledgements, which vtorc keeps for operators and does nothing by."""

from collections.abc import Iterable

import msgspec

from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.notes import Tag, parse_tag
from vtorc.errors import NoteParseError
from vtorc.forms.notes import TagForm
from vtorc.forms.recovery import RecoveryForm
from vtorc.server.v12.answers import GoObject, Told, V12Error, key_of
from vtorc.server.v12.asking import ask, checked, decoded
from vtorc.server.v12.call import Call
from vtorc.server.v12.clusters import Server
from vtorc.server.v12.recoveries import recovery_number


class _Tags(msgspec.Struct, frozen=True):
    """The answer to a change of tags."""

    tags: list[TagForm]


def tags(call: Call) -> list[str]:
    """Return the tags of an instance, each as `name=value`."""
    return [f"{tag.name}={tag.value}" for tag in _tags_of(call, call.server())]


def tag_value(call: Call) -> str:
    """Return the value of a tag of an instance; raises V12Error if it has no such tag."""
    server, wanted = call.server(), _wanted(call)
    for tag in _tags_of(call, server):
        if tag.name == wanted.name:
            return tag.value
    raise V12Error(f"tag {wanted.name} not found for {server.address}")


def tagged(call: Call) -> list[GoObject]:
    """Return the keys of the instances that have all tags of a list; `~` or `!` before one stands for its absence."""
    wanted = [text.strip() for text in call.query.get("tag", "").replace("!", "~").split(",")]
    found = [server for server in call.clusters.servers() if all(_fits(call, server, text) for text in wanted)]
    return [key_of(server.address) for server in found]


async def tag(call: Call) -> Told:
    """Put a tag on an instance."""
    server, made = call.server(), _wanted(call)
    checked(await ask(call, "tag", {"tablets": [server.tablet.alias], "tag": str(made)}))
    return Told(f"{server.address} tagged with {made.name}={made.value}", key_of(server.address))


async def untag(call: Call) -> Told:
    """Take a tag from an instance; return the keys of the instances that had it."""
    return await _untag(call, [call.server().tablet.alias])


async def untag_all(call: Call) -> Told:
    """Take a tag from all instances that have it with this value; raises V12Error without a value."""
    if not _wanted(call).value:
        raise V12Error("tag: expected <name>=<value>, as untag-all takes it from all instances with that value")
    return await _untag(call, None)


async def _untag(call: Call, aliases: list[str] | None) -> Told:
    wanted = _wanted(call)
    removed = decoded(await ask(call, "untag", {"tablets": aliases, "tag": str(wanted)}), _Tags).tags
    gone = {tag.tablet for tag in removed}
    keys = [key_of(server.address) for server in call.clusters.servers() if server.tablet.alias in gone]
    return Told(f"{wanted.name} removed from {len(removed)} instances", keys)


def _wanted(call: Call) -> Tag:
    """Return the tag that the path or the query names; raises V12Error."""
    if "tagName" in call.values:
        text = "=".join(filter(None, (call.values["tagName"], call.values.get("tagValue"))))
    else:
        text = call.query.get("tag", "")
    return _parsed(text)


def _parsed(text: str) -> Tag:
    try:
        return parse_tag(TabletAlias("", 0), text)
    except NoteParseError as error:
        raise V12Error(str(error)) from None


def _tags_of(call: Call, server: Server) -> list[TagForm]:
    known = call.memory.notes.tags if call.memory.notes is not None else []
    return [tag for tag in known if tag.tablet == server.tablet.alias]


def _fits(call: Call, server: Server, text: str) -> bool:
    wanted = _parsed(text.removeprefix("~"))
    has = any(tag.name == wanted.name and wanted.value in ("", tag.value) for tag in _tags_of(call, server))
    return has is not text.startswith("~")


async def acknowledge_by_number(call: Call) -> Told:
    """Acknowledge the recovery of a number."""
    number = call.number("recoveryId")
    await _acknowledge_one(call, [each for each in _recoveries(call) if recovery_number(each) == number])
    return Told("Acknowledged recovery", call.values["recoveryId"])


async def acknowledge_by_uid(call: Call) -> Told:
    """Acknowledge the recovery of a permanent name."""
    uid = call.values["uid"]
    await _acknowledge_one(call, [each for each in _recoveries(call) if each.id == uid])
    return Told("Acknowledged recovery", uid)


async def acknowledge_cluster(call: Call) -> Told:
    """Acknowledge the recoveries of a cluster."""
    cluster = call.cluster()
    await _acknowledge(call, (each for each in _recoveries(call) if each.shard == cluster.shard.name))
    return Told("Acknowledged cluster recoveries", cluster.name)


async def acknowledge_instance(call: Call) -> Told:
    """Acknowledge the recoveries that were about an instance."""
    server = call.server()
    await _acknowledge(call, (each for each in _recoveries(call) if each.tablet == server.tablet.alias))
    return Told("Acknowledged instance recoveries", key_of(server.address))


async def acknowledge_all(call: Call) -> Told:
    """Acknowledge all recoveries."""
    await _acknowledge(call, _recoveries(call))
    return Told("Acknowledged all recoveries", _comment(call))


def _recoveries(call: Call) -> list[RecoveryForm]:
    return list(call.memory.recoveries.values())


async def _acknowledge_one(call: Call, found: list[RecoveryForm]) -> None:
    if not found:
        raise V12Error("no recovery that ended is known by that: see /api/audit-recovery")
    await _acknowledge(call, found)


async def _acknowledge(call: Call, chosen: Iterable[RecoveryForm]) -> None:
    """Acknowledge those recoveries that are not acknowledged yet; raises V12Error without a comment."""
    comment = _comment(call)
    names = [each.id for each in chosen if each.acknowledgement is None]
    if names:
        checked(await ask(call, "acknowledge", {"recoveries": names, "comment": comment}))


def _comment(call: Call) -> str:
    comment = call.query.get("comment", "")
    if not comment:
        raise V12Error("No acknowledge comment given: add ?comment=")
    return comment
