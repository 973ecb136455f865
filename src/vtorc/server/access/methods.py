"""The methods by which the server knows operators, each with what it lets them do."""

import asyncio
import base64
import math
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Protocol

from starlette.requests import HTTPConnection

from vtorc.forms.access import Means, Role
from vtorc.forms.frames import ProblemForm
from vtorc.server.access import refusals
from vtorc.server.access.groups import is_in_a_group
from vtorc.server.access.passwords import PasswordCheck
from vtorc.server.access.rules import AccessRules, Method
from vtorc.server.access.visitor import Visitor
from vtorc.server.permission import is_loopback, origin_of

READER = "readonly"
"""The user that reads with any password where the method is `multi`, as in v12."""

Admission = Visitor | ProblemForm


class AccessMethod(Protocol):
    """Knows operators."""

    async def admit(self, connection: HTTPConnection) -> Admission:
        """Return the client of a request, or why it may not even read."""
        ...


class OpenAccess:
    """Knows no operators: all clients may read, and those on this host may act."""

    def __init__(self, rules: AccessRules) -> None:
        self._allows_all = rules.allow_remote_actions

    async def admit(self, connection: HTTPConnection) -> Admission:
        """Return the client."""
        origin = origin_of(connection)
        means = Means.HOST if is_loopback(origin) else Means.UNKNOWN
        if means is Means.HOST or self._allows_all:
            return Visitor(origin=origin, means=means, role=Role.ADMIN)
        return Visitor(origin=origin, means=means, refusal=refusals.not_from_here(origin))


class PasswordAccess:
    """Asks for a user and a password; they may read and act."""

    def __init__(self, rules: AccessRules, *, clock: Callable[[], float] = time.monotonic) -> None:
        if rules.password is None:
            raise ValueError(f"the method {rules.method.value} needs a password")
        self._has_reader = rules.method is Method.MULTI
        self._check = PasswordCheck(rules.password, clock=clock)

    async def admit(self, connection: HTTPConnection) -> Admission:
        """Return the client, or a problem without the right user and password."""
        origin = origin_of(connection)
        given = _basic(connection.headers.get("authorization", ""))
        if given is None:
            return refusals.no_password()
        user, password = given
        if self._has_reader and user == READER:
            return Visitor(origin=origin, means=Means.UNKNOWN, name=user, refusal=refusals.reader())
        match await self._check.pause_or_right(user, password, origin):
            case True:
                return Visitor(origin=origin, means=Means.PASSWORD, name=user, role=Role.ADMIN)
            case False:
                return refusals.wrong_password()
            case pause:
                return refusals.too_many_passwords(math.ceil(pause))


class ProxyAccess:
    """Takes the word of a proxy for the operator; all clients may read."""

    def __init__(self, rules: AccessRules) -> None:
        self._header = rules.user_header.lower()
        self._users = frozenset(rules.power_users)
        self._groups = rules.power_groups
        self._proxies = tuple(ip_network(proxy) for proxy in rules.trusted_proxies)

    async def admit(self, connection: HTTPConnection) -> Admission:
        """Return the client, with the name that a trusted proxy gives it."""
        origin = origin_of(connection)
        names = connection.headers.getlist(self._header)
        if len(names) != 1 or not names[0].strip():
            return Visitor(origin=origin, means=Means.UNKNOWN, refusal=refusals.no_user(self._header))
        if not self._is_trusted(connection):
            refusal = refusals.unknown_proxy(self._header, origin)
            return Visitor(origin=origin, means=Means.UNKNOWN, refusal=refusal)
        name = names[0].strip()
        if "*" in self._users or name in self._users or await self._is_in_power_group(name):
            return Visitor(origin=origin, means=Means.PROXY, name=name, role=Role.ADMIN)
        return Visitor(origin=origin, means=Means.PROXY, name=name, refusal=refusals.no_power_user(name))

    async def _is_in_power_group(self, name: str) -> bool:
        return bool(self._groups) and await asyncio.to_thread(is_in_a_group, name, self._groups)

    def _is_trusted(self, connection: HTTPConnection) -> bool:
        try:
            peer = ip_address(connection.client.host if connection.client is not None else "")
        except ValueError:
            return False
        mapped = peer.ipv4_mapped if peer.version == 6 else None
        return any((mapped or peer) in proxy for proxy in self._proxies)


_METHODS: Mapping[Method, Callable[[AccessRules], AccessMethod]] = {
    Method.NONE: OpenAccess,
    Method.BASIC: PasswordAccess,
    Method.MULTI: PasswordAccess,
    Method.PROXY: ProxyAccess,
}


def access_method(rules: AccessRules) -> AccessMethod:
    """Return the method that the rules name."""
    return _METHODS[rules.method](rules)


def _basic(header: str) -> tuple[str, str] | None:
    """Return the user and the password of an Authorization header; None if it has none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (user, password) if colon else None
