"""The bearer tokens that vtorc knows: kept before they are answered, and told to the HTTP server."""

from collections.abc import Callable, Sequence
from typing import Protocol

from vtorc.errors import OrdersFileError
from vtorc.forms.access import KnownToken, Role
from vtorc.history.token_rows import StoredToken


class TokenStore(Protocol):
    """A place where tokens are kept."""

    async def read(self) -> Sequence[StoredToken]:
        """Return all tokens; raises OrdersFileError."""
        ...

    async def add(self, token: StoredToken) -> None:
        """Keep a token of a new name; raises OrdersFileError if it is not kept."""
        ...

    async def remove(self, name: str) -> None:
        """Forget a token; raises OrdersFileError if it is still kept."""
        ...


class TokenBook:
    """The tokens; without a store they last as long as vtorc runs."""

    def __init__(self, store: TokenStore | None = None) -> None:
        self._store = store
        self._known: dict[str, KnownToken] | None = {} if store is None else None
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change, before the operator is answered; it returns at once, raises nothing."""
        self._listeners.append(listener)

    @property
    def is_lasting(self) -> bool:
        """Whether tokens outlive the process."""
        return self._store is not None

    @property
    def tokens(self) -> tuple[KnownToken, ...]:
        """All tokens by name; none until they could be read."""
        return tuple(sorted((self._known or {}).values(), key=lambda token: token.name))

    async def read(self) -> dict[str, KnownToken]:
        """Return the tokens by name, and read them if that was not possible yet; raises OrdersFileError."""
        if self._known is None:
            assert self._store is not None
            stored = await self._store.read()
            if self._known is None:  # no other call was faster
                self._known = {token.name: _known(token) for token in stored}
                self._tell()
        return self._known

    async def add(self, token: KnownToken) -> bool:
        """Keep a token; returns False if there is one of that name, and raises OrdersFileError."""
        known = await self.read()
        if token.name in known:
            return False
        known[token.name] = token  # no other one of this name is taken meanwhile
        try:
            if self._store is not None:
                await self._store.add(_stored(token))
        except BaseException:
            known.pop(token.name, None)
            raise
        self._tell()
        return True

    async def revoke(self, name: str) -> KnownToken | None:
        """Forget a token and return it; None if there is none of that name. Raises OrdersFileError."""
        known = await self.read()
        if name not in known:
            return None
        if self._store is not None:
            await self._store.remove(name)
        token = known.pop(name, None)
        self._tell()
        return token

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _known(token: StoredToken) -> KnownToken:
    try:
        role = Role(token.role)
    except ValueError:
        raise OrdersFileError(
            f"token {token.name!r} has the role {token.role!r}, expected one of {', '.join(r.value for r in Role)}; "
            f"delete its row"
        ) from None
    return KnownToken(
        name=token.name,
        hash=token.hash,
        role=role,
        keyspaces=tuple(token.keyspaces) if token.keyspaces is not None else None,
        created=token.created,
        created_by=token.created_by,
        expires=token.expires,
    )


def _stored(token: KnownToken) -> StoredToken:
    return StoredToken(
        name=token.name,
        hash=token.hash,
        role=token.role.value,
        keyspaces=token.keyspaces,
        created=token.created,
        created_by=token.created_by,
        expires=token.expires,
    )
