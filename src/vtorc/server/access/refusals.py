"""Why a client may not read or act, each with what to do."""

from collections.abc import Sequence

from vtorc.forms.access import Role
from vtorc.forms.frames import ProblemForm


def not_from_here(origin: str) -> ProblemForm:
    """Return the refusal of what acts and comes from another host, where operators are not known."""
    return ProblemForm(
        title="not from this host",
        status=403,
        what=f"a request that acts came from {origin or 'an unknown address'}",
        why="vtorc takes what acts from its own host only, as --authentication-method is none",
        do="send it on the host of vtorc, or start vtorc with another --authentication-method, "
        "or with --allow-remote-actions",
    )


def read_only() -> ProblemForm:
    """Return the refusal of all that acts."""
    return ProblemForm(
        title="read-only",
        status=403,
        what="this address takes no request that acts",
        why="it is for reading: vtorc has ReadOnly (--http-read-only), or this is its --read-only-address",
        do="use an address that is not for reading only, or a vtorc without ReadOnly",
    )


def probe() -> ProblemForm:
    """Return the refusal of what acts and comes by a path that is open for probes."""
    return ProblemForm(
        title="only a probe",
        status=403,
        what="a probe sent a request that acts",
        why="paths that are open to all change nothing",
        do="use a path that acts",
    )


def no_password() -> ProblemForm:
    """Return the refusal of a request without a user and a password."""
    return ProblemForm(
        title="no password",
        status=401,
        what="the request has no user and password",
        why="the AuthenticationMethod of vtorc asks for them with each request",
        do="send them as HTTP basic authentication; vtorc ctl takes --user and VTORC_PASSWORD",
    )


def wrong_password() -> ProblemForm:
    """Return the refusal of a wrong user or password, which does not tell which of them is wrong."""
    return ProblemForm(
        title="wrong password",
        status=401,
        what="user or password is wrong",
        why="they are not the HTTPAuthUser and HTTPAuthPassword of vtorc's settings",
        do="send those; after several wrong ones vtorc answers this address only after a pause",
    )


def too_many_passwords(seconds: int) -> ProblemForm:
    """Return the refusal of a password that comes too soon after wrong ones."""
    return ProblemForm(
        title="too many passwords",
        status=429,
        what="the password was not checked",
        why="too many wrong ones came from this address",
        do=f"send the right one in {seconds} s",
    )


def wrong_token() -> ProblemForm:
    """Return the refusal of a token that vtorc does not know."""
    return ProblemForm(
        title="wrong token",
        status=401,
        what="vtorc has no such token",
        why="it was never made, or it was revoked",
        do="have a new one made with vtorc ctl token add; vtorc ctl takes it in VTORC_TOKEN",
    )


def expired_token(name: str) -> ProblemForm:
    """Return the refusal of a token whose time is over."""
    return ProblemForm(
        title="expired token",
        status=401,
        what=f"the token {name!r} is no longer valid",
        why="its time is over",
        do="have a new one made with vtorc ctl token add",
    )


def too_many_tokens(seconds: int) -> ProblemForm:
    """Return the refusal of a token that comes too soon after wrong ones."""
    return ProblemForm(
        title="too many tokens",
        status=429,
        what="vtorc has no such token",
        why="too many wrong ones came from this address",
        do=f"send the right one, or another one in {seconds} s",
    )


def reading_token(name: str) -> ProblemForm:
    """Return the refusal of what acts for a token that only reads."""
    return ProblemForm(
        title="only reading",
        status=403,
        what=f"the token {name!r} sent a request that acts",
        why="its role is read; what acts needs the role operate at least",
        do="use a token with that role",
    )


def lacking_role(wanted: Role, has: Role) -> ProblemForm:
    """Return the refusal of a path that needs another role."""
    return ProblemForm(
        title="not allowed",
        status=403,
        what=f"this path needs the role {wanted.value}",
        why=f"the client has the role {has.value}",
        do=f"ask an operator with the role {wanted.value}",
    )


def long_key(most: int) -> ProblemForm:
    """Return the refusal of a request whose key is too long."""
    return ProblemForm(
        title="long key",
        status=400,
        what="the header Idempotency-Key is too long",
        why=f"a key has at most {most} characters",
        do="send a shorter one, such as a UUID",
    )


def only_some_keyspaces(keyspaces: Sequence[str]) -> ProblemForm:
    """Return the refusal of a path about all keyspaces to a client of some."""
    return ProblemForm(
        title="not allowed",
        status=403,
        what="this path is about all keyspaces",
        why=f"the client is for {', '.join(keyspaces)} only",
        do="use a token that is for all keyspaces",
    )


def denied(why: str) -> ProblemForm:
    """Return the refusal of a path that the security policy denies."""
    return ProblemForm(
        title="security policy",
        status=403,
        what="this vtorc answers nothing but metrics and probes",
        why=why,
        do="start it without --security-policy, or with --security-policy=read-only",
    )


def policy() -> ProblemForm:
    """Return the refusal of what acts under a security policy."""
    return ProblemForm(
        title="security policy",
        status=403,
        what="this vtorc takes no request that acts",
        why="it was started with --security-policy",
        do="ask a vtorc without it, or start this one anew without it",
    )


def reader() -> ProblemForm:
    """Return the refusal of what acts for the user that only reads."""
    return ProblemForm(
        title="only reading",
        status=403,
        what="the user readonly sent a request that acts",
        why="with the AuthenticationMethod multi that user may only read",
        do="send it as the HTTPAuthUser of vtorc's settings, with its password",
    )


def no_user(header: str) -> ProblemForm:
    """Return the refusal of what acts and names no operator, or several."""
    return ProblemForm(
        title="no user",
        status=403,
        what=f"a request that acts does not name one user in the header {header}",
        why="with the AuthenticationMethod proxy a proxy names the operator there",
        do="send it through that proxy",
    )


def unknown_proxy(header: str, origin: str) -> ProblemForm:
    """Return the refusal of what acts and comes from an address whose word counts for nothing."""
    return ProblemForm(
        title="unknown proxy",
        status=403,
        what=f"{origin or 'an unknown address'} names a user in the header {header}",
        why="that address is none of TrustedProxies",
        do="send it through the proxy, or add the proxy's address to TrustedProxies (--trusted-proxies)",
    )


def no_power_user(name: str) -> ProblemForm:
    """Return the refusal of what acts for a user that may only read."""
    return ProblemForm(
        title="no power user",
        status=403,
        what=f"the user {name!r} sent a request that acts",
        why="that user is none of PowerAuthUsers",
        do="send it as one of them, or add the user to PowerAuthUsers (--power-auth-users)",
    )


def no_certificate() -> ProblemForm:
    """Return the refusal of a client without a certificate of the right unit."""
    return ProblemForm(
        title="no certificate",
        status=403,
        what="the client has no certificate of an organizational unit that may use this server",
        why="vtorc was started with UseMutualTLS, and SSLValidOUs names the units",
        do="send a certificate of such a unit that the SSLCAFile of vtorc has signed; vtorc ctl takes --cert and --key",
    )
