"""The properties of a setting: its name, kind, default, description, spellings, and whether a reload changes it."""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

from vtorc.config.kinds import ValueKind

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

HIDDEN = "***"
"""The text that operators see in place of a secret that is set."""


class Unset(enum.Enum):
    """The meaning of a spelling that leaves the setting unchanged (`-debug=false`)."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


class Where(enum.Enum):
    """Where a spelling is written."""

    FLAG = "flag"
    KEY = "key"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """One way to write a setting; `meaning` converts the written value to that of the setting, or to UNSET.

    `note`, if not empty, is a sentence that is logged at the start if this spelling was used.
    """

    name: str
    where: Where
    kind: ValueKind[Any]
    meaning: Callable[[Any], Any] = lambda value: value
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting; `field` is its name in `Settings`, None for one that is only accepted.

    `no_effect`, if not empty, is the reason why it has no effect, and `always` says what vtorc does whatever the value
    is. A reload changes a `live` setting.
    """

    name: str
    field: str | None
    kind: ValueKind[Any]
    default: Any
    doc: str
    group: str
    spellings: tuple[Spelling, ...]
    live: bool = False
    secret: bool = False
    no_effect: str = ""
    always: str = ""

    def show(self, value: Any) -> str:
        """Return a value as shown to operators; a secret only shows whether it is set."""
        if self.secret:
            return HIDDEN if value else '""'
        return self.kind.show(value)


def flag(
    name: str, kind: ValueKind[Any], meaning: Callable[[Any], Any] = lambda value: value, *, note: str = ""
) -> Spelling:
    """Name a further flag, with its own kind of value."""
    return Spelling(name=name, where=Where.FLAG, kind=kind, meaning=meaning, note=note)


def key(name: str, kind: ValueKind[Any], meaning: Callable[[Any], Any] = lambda value: value) -> Spelling:
    """Name a further key of the file, with its own kind of value."""
    return Spelling(name=name, where=Where.KEY, kind=kind, meaning=meaning)


def variable(name: str, kind: ValueKind[Any]) -> Spelling:
    """Name an environment variable."""
    return Spelling(name=name, where=Where.ENVIRONMENT, kind=kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    kind: ValueKind[Any]
    doc: str
    also: tuple[Spelling, ...]
    live: bool
    secret: bool
    no_effect: str
    always: str
    bootstrap: bool


def setting(
    kind: ValueKind[T],
    default: T,
    doc: str,
    *,
    also: Sequence[Spelling] = (),
    live: bool = False,
    secret: bool = False,
    no_effect: str = "",
    always: str = "",
    bootstrap: bool = False,
) -> T:
    """Declare a field of a settings class, with all properties of the setting.

    Its own flag and file key are the field's name with dashes. A secret has no flag, since all users of the host can
    read a command line. A bootstrap setting chooses the file, so it has no key in one.
    """
    declared = _Declared(
        kind=kind,
        doc=doc,
        also=tuple(also),
        live=live,
        secret=secret,
        no_effect=no_effect,
        always=always,
        bootstrap=bootstrap,
    )
    return field(default=default, repr=not secret, metadata={"vtorc": declared})


def declared_settings(group: type["DataclassInstance"], *, title: str) -> tuple[Setting, ...]:
    """List the settings that a settings class declares, in the order it declares them."""
    return tuple(_of_field(item.name, item.metadata["vtorc"], item.default, title) for item in fields(group))


def _of_field(name: str, declared: _Declared, default: Any, group: str) -> Setting:
    dashed = name.replace("_", "-")
    keys = {spelling.name.lower() for spelling in declared.also if spelling.where is Where.KEY}
    own = [
        Spelling(name=dashed, where=where, kind=declared.kind)
        for where, absent in ((Where.FLAG, declared.secret), (Where.KEY, declared.bootstrap or dashed in keys))
        if not absent
    ]
    return Setting(
        name=dashed,
        field=name,
        kind=declared.kind,
        default=default,
        doc=declared.doc,
        group=group,
        spellings=(*own, *declared.also),
        live=declared.live,
        secret=declared.secret,
        no_effect=declared.no_effect,
        always=declared.always,
    )
