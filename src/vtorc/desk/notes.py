"""Answers requests about notes: each is kept before it is answered, and told from then on."""

from collections.abc import Coroutine
from typing import Any

import structlog

from vtorc.control.facade import FleetFacade
from vtorc.control.note_book import NoteBook
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.notes import Acknowledgement, Tag, parse_tag
from vtorc.desk.arguments import RequestArguments
from vtorc.desk.problems import DeskRefusal
from vtorc.errors import NoteParseError, OrdersFileError
from vtorc.forms.access import Caller
from vtorc.forms.frames import RequestFrame
from vtorc.forms.notes import AcknowledgedForm, acknowledgement_form, tag_form

_log = structlog.get_logger("vtorc")


class NoteDesk:
    """The part of the desk for acknowledgements and tags."""

    def __init__(self, fleet: FleetFacade, notes: NoteBook) -> None:
        self._fleet = fleet
        self._notes = notes

    async def acknowledge(self, arguments: RequestArguments, request: RequestFrame) -> tuple[int, object]:
        """Keep that recoveries were seen and need no more attention."""
        names = arguments.recoveries()
        comment = arguments.reason("comment")
        arguments.end()
        at = self._fleet.tools.clock.wall()
        made = [Acknowledgement(recovery=name, actor=request.actor, comment=comment, at=at) for name in names]
        await _kept(self._notes.acknowledge(made))
        _log.info(f"{request.actor} acknowledged recoveries: {comment}", recoveries=len(made), origin=request.origin)
        return 200, AcknowledgedForm(acknowledged=[acknowledgement_form(each) for each in made])

    async def tag(self, arguments: RequestArguments, request: RequestFrame) -> tuple[int, object]:
        """Put a tag on tablets."""
        aliases, text = arguments.aliases("tablets"), self._text(arguments)
        arguments.end()
        known = self._seen_by(request.caller)
        for alias in aliases:
            if alias not in known:
                raise DeskRefusal.argument("tablets", str(alias), "aliases of tablets that vtorc watches")
        made = [_tag(alias, text) for alias in aliases]
        await _kept(self._notes.tag(made))
        _log.info(f"{request.actor} tagged tablets: {text}", tablets=len(made), origin=request.origin)
        return 200, {"tags": [tag_form(tag) for tag in made]}

    async def untag(self, arguments: RequestArguments, request: RequestFrame) -> tuple[int, object]:
        """Take a tag from tablets, or from all of them; a value that is named has to be the tag's."""
        aliases, text = arguments.aliases_or_none("tablets"), self._text(arguments)
        arguments.end()
        if request.caller.keyspaces is not None:
            aliases = tuple(self._seen_by(request.caller).intersection(aliases or self._seen_by(request.caller)))
        wanted = _tag(_NO_TABLET, text)
        tags = self._notes.notes.tags.values()
        found = [tag for tag in tags if (aliases is None or tag.tablet in aliases) and tag.means(wanted)]
        if found:
            await _kept(self._notes.tag((), remove=found))
        _log.info(f"{request.actor} untagged tablets: {text}", tablets=len(found), origin=request.origin)
        return 200, {"tags": [tag_form(tag) for tag in found]}

    def _seen_by(self, caller: Caller) -> set[TabletAlias]:
        """Return the tablets that the caller may know of."""
        seen = (shard for shard in self._fleet.shards if caller.may_see(shard.keyspace))
        return {alias for shard in seen for alias in self._fleet.aliases(shard)}

    @staticmethod
    def _text(arguments: RequestArguments) -> str:
        return arguments.text("tag", "<name> or <name>=<value>")


_NO_TABLET = TabletAlias("", 0)


def _tag(tablet: TabletAlias, text: str) -> Tag:
    try:
        return parse_tag(tablet, text)
    except NoteParseError as error:
        raise DeskRefusal.argument("tag", text, str(error).partition("expected ")[2]) from None


async def _kept(note: Coroutine[Any, Any, None]) -> None:
    """Wait until a note is kept; raises DeskRefusal if it cannot be."""
    try:
        await note
    except OrdersFileError as error:
        raise DeskRefusal(
            503, what="the note was not taken", why=str(error), do="send it again when that is mended"
        ) from error
