"""Values of the core as plain data that JSON can hold, and back, by the types of their fields.

So no field is forgotten. These are the kinds of values: numbers, texts, GTID sets, tablet types and aliases, None,
mappings, tuples, and dataclasses of these.
"""

import functools
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.errors import GtidParseError, NameParseError

Value = TypeVar("Value")


def as_plain(value: object) -> object:
    """Return a value as numbers, texts, None, lists and dictionaries with texts as keys."""
    if isinstance(value, TabletType):
        return value.name
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, GtidSet | TabletAlias):
        return str(value)
    if isinstance(value, Mapping):
        return {as_plain(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [as_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} is no kind of value that is kept")


def from_plain(kind: type[Value], plain: object) -> Value:
    """Return the value of this type that `as_plain` made `plain` of; raises ValueError if it cannot have."""
    try:
        read: Value = _read(kind, plain)
    except (GtidParseError, NameParseError) as error:
        raise ValueError(str(error)) from error
    return read


def _read(kind: Any, plain: Any) -> Any:
    if get_origin(kind) is types.UnionType:
        inner = next(each for each in get_args(kind) if each is not types.NoneType)
        return None if plain is None else _read(inner, plain)
    if get_origin(kind) is Mapping:
        of_keys, of_values = get_args(kind)
        return {_read(of_keys, key): _read(of_values, each) for key, each in _checked(dict, plain).items()}
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], each) for each in _checked(list, plain))
    if kind is GtidSet:
        return GtidSet.parse(_checked(str, plain))
    if kind is TabletAlias:
        return TabletAlias.parse(_checked(str, plain))
    if kind is TabletType:
        return TabletType.parse(_checked(str, plain))
    if is_dataclass(kind):
        return _read_fields(kind, _checked(dict, plain))
    return _number(_checked((int, float), plain)) if kind is float else _checked(kind, plain)


def _number(plain: float) -> float:
    """Return a number with a fraction; one that is none would be neither before nor after any other."""
    if math.isnan(plain):
        raise ValueError("expected a number, found NaN")
    return float(plain)


def _read_fields(kind: Any, plain: dict[str, Any]) -> Any:
    """Read a dataclass; a field that an older vtorc did not know has its default."""
    hints, needed = _hints(kind), _needed(kind)
    if not needed <= plain.keys() <= hints.keys():
        raise ValueError(f"{kind.__name__}: expected the fields {', '.join(hints)}, found {', '.join(plain)}")
    return kind(**{name: _read(hints[name], each) for name, each in plain.items()})


def _checked(kind: Any, plain: Any) -> Any:
    if not isinstance(plain, kind) or (isinstance(plain, bool) and kind is not bool):
        raise ValueError(f"expected {kind}, found {plain!r}")
    return plain


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


@functools.cache
def _needed(kind: Any) -> frozenset[str]:
    optional = (field.name for field in fields(kind) if not (field.default is field.default_factory is MISSING))
    return frozenset(_hints(kind)).difference(optional)
