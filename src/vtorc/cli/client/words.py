"""The words of `vtorc ctl`: its commands with their arguments and options, as tables for parser and completion."""

from dataclasses import dataclass

from vtorc.forms.shard_states import STATE_MARKS

TOKEN_ROLES = ("read", "operate", "admin")
AUDIT_RESULTS = ("done", "begun", "refused", "failed")
PLAN_KINDS = ("planned", "emergency", "forced")
HOLD_EFFECTS = ("no_failover", "no_repair", "not_promotable", "no_alert", "prefer", "prefer_not")
SHARD_STATES = tuple(STATE_MARKS)
DEFAULT_LIMIT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CtlWord:
    """One argument or option of a command."""

    name: str
    """With two dashes it is an option."""
    help: str
    """A clause that says what it means."""
    metavar: str | None = None
    """How the help shows its value; None for a switch."""
    choices: tuple[str, ...] | None = None
    """The values that it takes; None if they are not listed."""
    is_required: bool = False
    """Whether an option must be given."""
    is_optional: bool = False
    """Whether an argument may be left out."""
    default: str | None = None
    """The value if it is not given."""

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return self.metavar is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CtlCommand:
    """One command."""

    help: str
    """A clause that says what it shows or does."""
    words: tuple[CtlWord, ...] = ()
    """Its arguments and options, in the order of the help."""


SERVER = CtlWord(
    name="--server", metavar="ADDRESS", help="http://HOST:PORT, https://HOST:PORT or unix:/PATH; also VTORC_SERVER"
)
JSON = CtlWord(name="--json", help="print the answer of the API as one JSON document")
_CA = CtlWord(name="--ca", metavar="FILE", help="the authority of an https server, in PEM")
_CERT = CtlWord(name="--cert", metavar="FILE", help="the certificate to show it, in PEM")
_KEY = CtlWord(name="--key", metavar="FILE", help="the key of that certificate, unless it is in the same file")
_USER = CtlWord(name="--user", metavar="NAME", help="the user that the server asks for; its password in VTORC_PASSWORD")
COMMON = (SERVER, JSON, _CA, _CERT, _KEY, _USER)
"""The options of every command, which may stand before it as well."""

SHARD = CtlWord(name="shard", metavar="KEYSPACE/SHARD", help="the shard")
_SHARD_OR_ALL = CtlWord(name="shard", metavar="KEYSPACE/SHARD", help="only this shard", is_optional=True)
_ONLY_SHARD = CtlWord(name="--shard", metavar="KEYSPACE/SHARD", help="only this shard")
_LIMIT = CtlWord(
    name="--limit", metavar="N", help=f"the latest N (default {DEFAULT_LIMIT})", default=str(DEFAULT_LIMIT)
)
_WHEN = "a duration back from now such as 2h, or a time such as 2026-11-29T21:00:00Z"
_SINCE = CtlWord(name="--since", metavar="WHEN", help=f"only from this time on: {_WHEN}")
_TO = CtlWord(name="--to", metavar="ALIAS", help="the tablet to promote (default: the best one)")
_REASON = CtlWord(name="--reason", metavar="TEXT", help="why, for the record", is_required=True)
_YES = CtlWord(name="--yes", help="ask no question")
_ACCEPT_LOSS = CtlWord(name="--accept-loss", help="go on although the plan says that writes may be lost")
_TOKEN_ACTIONS = ("add", "list", "revoke")
_CHANGE = (_REASON, _YES, _ACCEPT_LOSS)

COMMANDS: dict[str, CtlCommand] = {
    "status": CtlCommand(help="the state of all shards at a glance"),
    "shards": CtlCommand(
        help="a table of the shards",
        words=(
            CtlWord(name="--state", metavar="STATE", help="only shards of this state", choices=SHARD_STATES),
            CtlWord(name="--keyspace", metavar="KEYSPACE", help="only this keyspace"),
            CtlWord(name="--problems", help="only shards in which something is wrong"),
        ),
    ),
    "topology": CtlCommand(help="the tablets of a shard as a tree", words=(SHARD,)),
    "why": CtlCommand(
        help="why vtorc does for a shard what it does, or did at a time",
        words=(SHARD, CtlWord(name="--as-of", metavar="WHEN", help=f"at that time, from the history: {_WHEN}")),
    ),
    "problems": CtlCommand(help="all that is wrong, and what is done about it"),
    "recoveries": CtlCommand(help="the recoveries that ended, newest first", words=(_ONLY_SHARD, _SINCE, _LIMIT)),
    "recovery": CtlCommand(
        help="one recovery with its steps", words=(CtlWord(name="id", metavar="ID", help="its id, as in the list"),)
    ),
    "plan": CtlCommand(
        help="what a change of the primary would do; changes nothing",
        words=(
            SHARD,
            _TO,
            CtlWord(name="--kind", metavar="KIND", help="how (default planned)", choices=PLAN_KINDS, default="planned"),
        ),
    ),
    "promote": CtlCommand(help="replace a primary that works", words=(SHARD, _TO, *_CHANGE)),
    "emergency": CtlCommand(help="replace a primary that is lost", words=(SHARD, *_CHANGE)),
    "force": CtlCommand(
        help="promote a tablet that the election refuses; writes may be lost",
        words=(
            SHARD,
            CtlWord(name="--to", metavar="ALIAS", help="the tablet to promote", is_required=True),
            *_CHANGE,
        ),
    ),
    "cancel": CtlCommand(help="end a recovery while that is safe", words=(SHARD, _REASON)),
    "ack": CtlCommand(
        help="say that recoveries were seen: one, or all that did not succeed",
        words=(
            CtlWord(name="id", metavar="ID", help="the id of one, as in the list", is_optional=True),
            _ONLY_SHARD,
            CtlWord(name="--all", help="those of all shards"),
            CtlWord(name="--comment", metavar="TEXT", help="what there is to say about it", is_required=True),
        ),
    ),
    "holds": CtlCommand(help="the holds in force: what operators keep vtorc from, or prefer"),
    "hold": CtlCommand(
        help="keep vtorc from failovers, repairs or promotions, or say what you prefer",
        words=(
            CtlWord(
                name="scope",
                metavar="SCOPE",
                help="KEYSPACE/SHARD, fleet, cell:CELL, keyspace:KEYSPACE or tablet:ALIAS",
            ),
            CtlWord(name="--effect", metavar="EFFECTS", help=f"some of {', '.join(HOLD_EFFECTS)}", is_required=True),
            CtlWord(name="--for", metavar="LENGTH", help="how long, such as 30m or 2d (default: until it is lifted)"),
            CtlWord(name="--owner", metavar="NAME", help="the operator or program it belongs to (default: the user)"),
            _REASON,
        ),
    ),
    "lift": CtlCommand(
        help="end a hold", words=(CtlWord(name="number", metavar="NUMBER", help="its number, as in the list"), _REASON)
    ),
    "audit": CtlCommand(
        help="what operators asked for, and what came of it, newest first",
        words=(
            _ONLY_SHARD,
            CtlWord(name="--actor", metavar="NAME", help="only this operator"),
            CtlWord(name="--result", metavar="RESULT", help="only with this result", choices=AUDIT_RESULTS),
            _LIMIT,
        ),
    ),
    "token": CtlCommand(
        help="bearer tokens: make one, list them, revoke one",
        words=(
            CtlWord(name="action", metavar="ACTION", help=", ".join(_TOKEN_ACTIONS), choices=_TOKEN_ACTIONS),
            CtlWord(name="name", metavar="NAME", help="the name of the token to make or to revoke", is_optional=True),
            CtlWord(name="--role", metavar="ROLE", help="what its owner may do", choices=TOKEN_ROLES),
            CtlWord(name="--keyspace", metavar="KEYSPACE,…", help="only in these keyspaces (default: in all)"),
            CtlWord(name="--expires", metavar="TIME", help="how long it is valid, such as 30d (default: for ever)"),
        ),
    ),
    "watch": CtlCommand(help="decisions, steps and recoveries as they happen", words=(_SHARD_OR_ALL,)),
    "api": CtlCommand(
        help="the answer of a path of the API",
        words=(
            CtlWord(name="path", metavar="PATH", help="below /api/v1, such as status"),
            CtlWord(name="--data", metavar="JSON", help="send this object with POST"),
        ),
    ),
    "completion": CtlCommand(
        help="a script that completes these words in a shell",
        words=(CtlWord(name="shell", metavar="SHELL", help="bash", choices=("bash",)),),
    ),
}
