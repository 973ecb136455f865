"""All that the server process is started with."""

from vtorc.forms.base import Form
from vtorc.server.listener import Listener


class ServerRules(Form, frozen=True, kw_only=True):
    """Which requests the server takes."""

    allow_remote_actions: bool = False
    """Whether what acts is taken from other hosts, too (`--allow-remote-actions`)."""
    security_policy: str = ""
    """The policy by which paths of today's API are denied (`--security-policy`); empty for none."""
    allowed_hosts: tuple[str, ...] = ()
    """Names of this server that a browser may have in its address line, beside addresses and localhost."""


class ListenerOption(Form, frozen=True, kw_only=True):
    """One listener."""

    listener: Listener
    """Which of the two it is."""
    socket: int
    """The descriptor of its socket, which listens already."""


class ServerOptions(Form, frozen=True, kw_only=True):
    """The argument of the server process."""

    channel: int
    """The descriptor of its end of the channel."""
    listeners: list[ListenerOption]
    """Where it accepts connections."""
    rules: ServerRules
    """Which requests it takes."""
