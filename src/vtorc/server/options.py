"""All that the server process is started with: what other users may see, and the rules, which they must not."""

from vtorc.forms.base import Form
from vtorc.server.access.rules import AccessRules
from vtorc.server.listener import Listener


class ListenerTls(Form, frozen=True, kw_only=True):
    """PEM files for the TLS of v12's listener."""

    cert: str
    """The certificate of the server, with those between it and its authority."""
    key: str
    """Its key, without a password."""
    ca: str | None = None
    """The authorities of clients' certificates; None if no client is asked for one."""


class WebFiles(Form, frozen=True, kw_only=True):
    """orchestrator's web files, and what their pages show."""

    folder: str
    """The folder with `templates` and `public` in it."""
    says_master: bool = False
    """Whether they are of Vitess v11 or older, which know primaries as masters."""
    message: str = ""
    """The message on top of the pages (WebMessage)."""
    remove_text_from_hosts: str = ""
    """Text that the pages leave out of names of hosts (RemoveTextFromHostnameDisplay)."""


class ServerRules(Form, frozen=True, kw_only=True):
    """Which requests the server takes; it gets them through the channel, never as an argument."""

    access: AccessRules = AccessRules()
    """Which clients may read and act."""
    tls: ListenerTls | None = None
    """TLS for v12's listener; None for clear text. Today's listener knows no TLS."""
    url_prefix: str = ""
    """The prefix of all paths of v12's listener, as `/orc`; empty for none."""
    security_policy: str = ""
    """The policy by which paths of today's API are denied (`--security-policy`); empty for none."""
    web: WebFiles | None = None
    """orchestrator's web files; None for vtorc's own pages alone."""
    allowed_hosts: tuple[str, ...] = ()
    """Names of this server that a browser may have in its address line, beside addresses and localhost."""
    demo_door: str = ""
    """The socket of the demo that the server belongs to, whose pages can break its servers. It is empty for each
    vtorc of a cluster, as no setting names one."""


class ListenerOption(Form, frozen=True, kw_only=True):
    """One listener."""

    listener: Listener
    """Which of the listeners it is."""
    socket: int
    """The descriptor of its socket, which listens already."""


class ServerOptions(Form, frozen=True, kw_only=True):
    """The argument of the server process."""

    channel: int
    """The descriptor of its end of the channel."""
    listeners: list[ListenerOption]
    """Where it accepts connections."""
