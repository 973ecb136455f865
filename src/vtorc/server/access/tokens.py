"""Bearer tokens: what their owners send is compared with the hashes that vtorc told."""

import base64
import binascii
import hashlib
import hmac
import math
import time
from collections.abc import Callable

from vtorc.forms.access import TOKEN_PREFIX, KnownToken, Means, Role
from vtorc.forms.frames import ProblemForm
from vtorc.server.access import refusals
from vtorc.server.access.guesses import Guesses
from vtorc.server.access.visitor import Visitor
from vtorc.server.memory import ServerMemory

_SECRET_TEXT = 43
"""Characters of a secret after its prefix."""


class TokenCheck:
    """Knows the owners of tokens."""

    def __init__(
        self,
        memory: ServerMemory,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take the tokens that `memory` was told; `clock` returns seconds, `wall` nanoseconds since the Unix epoch."""
        self._memory = memory
        self._wall = wall
        self._guesses = Guesses("tokens", clock=clock)

    def admit(self, text: str, origin: str) -> Visitor | ProblemForm:
        """Return the owner of a token as a client, or why it is not let in; a right one is never held up."""
        token = self._find(text)
        if token is not None and (token.expires is None or self._wall() < token.expires):
            return Visitor(
                origin=origin,
                means=Means.TOKEN,
                name=token.name,
                role=token.role,
                refusal=None if token.role.includes(Role.OPERATE) else refusals.reading_token(token.name),
                keyspaces=token.keyspaces,
            )
        if pause := self._guesses.pause(origin):
            return refusals.too_many_tokens(math.ceil(pause))
        self._guesses.fail(origin)
        return refusals.wrong_token() if token is None else refusals.expired_token(token.name)

    def _find(self, text: str) -> KnownToken | None:
        """Return the token of a secret; all are compared, so that the time tells nothing."""
        digest = hashlib.sha256(_secret_of(text)).digest()
        found = None
        for token in self._memory.tokens:
            if hmac.compare_digest(digest, token.hash):
                found = token
        return found


def bearer_of(header: str) -> str | None:
    """Return the token of an Authorization header; None if it has none."""
    scheme, _, text = header.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def _secret_of(text: str) -> bytes:
    """Return the bytes of a secret; any other text gives empty bytes, which no token has."""
    encoded = text.removeprefix(TOKEN_PREFIX)
    if encoded == text or len(encoded) != _SECRET_TEXT or not encoded.isascii():
        return b""
    try:
        return base64.b64decode(f"{encoded}=", altchars=b"-_", validate=True)
    except binascii.Error:
        return b""
