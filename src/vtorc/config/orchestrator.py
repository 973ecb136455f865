"""The peculiarities of the settings file of Vitess v11 to v13: odd keys, and rules that are applied after reading.

Source of the rules: Vitess v12 `go/vt/orchestrator/config/config.go`. That version accepted some wrong files without a
word; this one reports them.
"""

import configparser
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtorc.config.kinds import ValueKind
from vtorc.core.facts.durability import PromotionRule
from vtorc.core.facts.ids import TabletAlias
from vtorc.files import contents_of

PromotionRules = tuple[tuple[TabletAlias, PromotionRule], ...]

_VARIABLE = re.compile(r"\$\{(.*)\}")


AUTO = "auto"
"""The listen address of an operator who has chosen none."""


def host_and_port(address: str) -> tuple[str, int]:
    """Return the parts of an address such as `:3000` or `[::1]:3000`; raises ValueError if it is none."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(address)
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(address)  # an IPv6 address without brackets, of which the last part may be no port
    return host.removeprefix("[").removesuffix("]"), int(port)


def listen_address() -> ValueKind[str]:
    """An address to listen on, with or without a host; empty for none, and `auto` for the default."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(value)
        if value not in ("", AUTO):
            host_and_port(value)
        return value

    return ValueKind(
        "address",
        "an address such as :3000 or [::1]:3000, with a port from 0 to 65535",
        read,
        read,
        lambda text: text or '""',
    )


def other_address() -> ValueKind[str]:
    """One more address to listen on, with or without a host; empty for none."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(value)
        if value:
            host_and_port(value)
        return value

    return ValueKind(
        "address",
        "an address such as :3001 or [::1]:3001, with a port from 0 to 65535",
        read,
        read,
        lambda text: text or '""',
    )


def promotion_filter() -> ValueKind[bool]:
    """A list of clusters to recover: all, or none.

    A list of patterns is refused: vtorc does not support patterns, and reading such a list as "all" would take actions
    that the file forbids.
    """

    def read(value: Any) -> bool:
        if not isinstance(value, list) or (value and "*" not in value):
            raise ValueError(value)
        return bool(value)

    return ValueKind(
        "list",
        '["*"] for all clusters or [] for none (to pick some, use --clusters-to-watch)',
        lambda text: read([text] if text else []),
        read,
    )


def promotion_rules() -> ValueKind[PromotionRules]:
    """Promotion rules by tablet alias, for the policy 'specified'; `must` is refused."""

    def read(value: Any) -> PromotionRules:
        if not isinstance(value, dict) or "must" in value.values():
            raise ValueError(value)
        return tuple((TabletAlias.parse(alias), PromotionRule(rule)) for alias, rule in sorted(value.items()))

    return ValueKind(
        "rules",
        "tablet aliases, each with prefer, neutral, prefer_not or must_not",
        lambda text: read(dict(part.split("=", 1) for part in text.split(",")) if text else {}),
        read,
        lambda rules: ",".join(f"{alias}={rule}" for alias, rule in rules) or '""',
    )


def harmless(instead: str, *values: object) -> ValueKind[Any]:
    """A key that forbids an action which vtorc cannot leave out: refused unless its value is one of `values`."""

    def read(value: Any) -> Any:
        if any(type(value) is type(allowed) and value == allowed for allowed in values):
            return value
        raise ValueError(value)

    shown = " or ".join("[]" if value == [] else str(value).lower() for value in values)
    return ValueKind("key", f"{shown}, since vtorc cannot honour anything else ({instead})", read, read)


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Values of a file after the rules of v12, with the problems, and notes for the log."""

    values: Mapping[str, Any]
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


def adjust(values: Mapping[str, Any], environment: Mapping[str, str], *, folder: Path) -> Adjusted:
    """Apply v12's rules to the values of a file, by folded keys; relative file names are below `folder`.

    First the credentials file replaces the keys, then `${NAME}` is expanded, then the block in minutes is considered. A
    file with `MySQLTopologyUser` and without `Durability` gets v12's default for it, "none".
    """
    merged, problems, notes = dict(values), list[str](), list[str]()
    _read_credentials(merged, problems, folder)
    _replace_variable(merged, environment, problems)
    _choose_block(merged, notes)
    if "mysqltopologyuser" in merged and not merged.get("durability"):
        merged["durability"] = "none"
        notes.append(
            "without Durability, keyspaces without a policy in their record have the policy 'none', as in Vitess v12, "
            "which protects no acknowledged write"
        )
    return Adjusted(merged, problems, notes)


def _read_credentials(values: dict[str, Any], problems: list[str], folder: Path) -> None:
    name = values.get("mysqltopologycredentialsconfigfile")
    if not name or not isinstance(name, str):
        return
    parser = configparser.RawConfigParser(allow_no_value=True, strict=False)
    try:
        parser.read_string(contents_of(folder / name).decode(), source=name)
    except (OSError, ValueError, configparser.Error) as error:  # a ValueError is of bytes, or of such a file name
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        problems.append(
            'key "MySQLTopologyCredentialsConfigFile": expected a file with user and password under [client], '
            f'got "{name}" ({reason})'
        )
        return
    for option, target in (("user", "mysqltopologyuser"), ("password", "mysqltopologypassword")):
        if parser.has_option("client", option):
            values[target] = (parser.get("client", option) or "").strip("\"'")


def _replace_variable(values: dict[str, Any], environment: Mapping[str, str], problems: list[str]) -> None:
    password = values.get("mysqltopologypassword")
    if not isinstance(password, str) or not (found := _VARIABLE.search(password)):
        return
    if found[1] not in environment:
        # v12 continued with an empty password, with which every login failed
        problems.append(f'key "MySQLTopologyPassword": the environment variable {found[1]} that it names is not set')
    values["mysqltopologypassword"] = environment.get(found[1], "")


def _choose_block(values: dict[str, Any], notes: list[str]) -> None:
    seconds = values.get("recoveryperiodblockseconds", 3600)
    minutes = values.get("recoveryperiodblockminutes", 60)
    if type(seconds) is not int or type(minutes) is not int:
        return
    if seconds == 0 and minutes > 0:
        values["recoveryperiodblockseconds"] = minutes * 60
        notes.append(
            f"RecoveryPeriodBlockSeconds is 0, so RecoveryPeriodBlockMinutes applies ({minutes}); "
            "set both to 0 to block no failover"
        )
    elif seconds and "recoveryperiodblockminutes" in values:
        notes.append(
            f"RecoveryPeriodBlockMinutes has no effect while RecoveryPeriodBlockSeconds is not 0 (it is {seconds})"
        )
