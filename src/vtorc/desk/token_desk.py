"""Answers requests about bearer tokens: each is kept before it is answered."""

import base64
import hashlib
import secrets

from vtorc.control.token_book import TokenBook
from vtorc.core.facts.clock import Clock
from vtorc.desk.arguments import RequestArguments
from vtorc.desk.clearance import need
from vtorc.desk.holds import kept
from vtorc.desk.problems import DeskRefusal
from vtorc.forms.access import TOKEN_PREFIX, KnownToken, NewTokenForm, RevokedTokenForm, Role, token_form
from vtorc.forms.frames import RequestFrame

LONGEST_NAME = 64
"""Most characters of the name of a token."""

LONGEST_LIFE = 10 * 366 * 86400
"""Most seconds until a token ends; without an end it has no limit."""

MOST_TOKENS = 200
"""Tokens of one vtorc: the server compares what a client sends with each of them."""

SECRET_BYTES = 32
"""Random bytes of a secret."""

ROLES = tuple(role.value for role in Role if role is not Role.NONE)
"""The roles that a token may have."""


class TokenDesk:
    """The part of the desk for tokens; its answers raise DeskRefusal."""

    def __init__(self, book: TokenBook, clock: Clock) -> None:
        """Keep tokens in `book`."""
        self._book = book
        self._clock = clock

    async def add(self, arguments: RequestArguments, request: RequestFrame) -> tuple[int, object]:
        """Make a token, and return its secret."""
        name = _name(arguments)
        role = Role(arguments.choice("role", ROLES))
        keyspaces = arguments.names_or_none("keyspaces", "the names of keyspaces, or null for all")
        seconds = arguments.number_or_none("seconds", 1, LONGEST_LIFE)
        arguments.end()
        need(role, request.caller, f"a token of the role {role.value}")
        secret = secrets.token_bytes(SECRET_BYTES)
        now = self._clock.wall()
        token = KnownToken(
            name=name,
            hash=hashlib.sha256(secret).digest(),
            role=role,
            keyspaces=keyspaces,
            created=now,
            created_by=request.actor,
            expires=now + seconds * 10**9 if seconds is not None else None,
        )
        if len(await kept(self._book.read())) >= MOST_TOKENS:
            raise DeskRefusal(
                409,
                what=f"token {name}",
                why=f"there are {MOST_TOKENS} tokens already",
                do="revoke some, and try again",
            )
        if not await kept(self._book.add(token)):
            raise DeskRefusal(
                409, what=f"token {name}", why="there is one of that name", do="revoke that one, or choose another name"
            )
        text = TOKEN_PREFIX + base64.urlsafe_b64encode(secret).decode().rstrip("=")
        return 200, NewTokenForm(token=token_form(token), secret=text, outlives_vtorc=self._book.is_lasting)

    async def revoke(self, arguments: RequestArguments, request: RequestFrame) -> tuple[int, object]:
        """End a token."""
        name = _name(arguments)
        arguments.end()
        token = await kept(self._book.revoke(name))
        if token is None:
            raise DeskRefusal(404, what=f"token {name}", why="there is none", do="look at the list of tokens")
        return 200, RevokedTokenForm(token=token_form(token))


def _name(arguments: RequestArguments) -> str:
    expected = f"a name of 1 to {LONGEST_NAME} letters, digits, dots, dashes and underscores"
    name = arguments.text("name", expected)
    if (
        len(name) > LONGEST_NAME
        or not name.isascii()
        or not name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    ):
        raise DeskRefusal.argument("name", name, expected)
    return name
