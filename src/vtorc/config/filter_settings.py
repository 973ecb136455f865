"""The settings that name tablets to leave alone. They limit what vtorc acts on, never what it sees."""

from dataclasses import dataclass

from vtorc.config.kinds import PATTERNS
from vtorc.config.setting import key, setting
from vtorc.config.topo_kinds import CELLS


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """Tablets to leave alone"""

    cells_to_watch: tuple[str, ...] = setting(
        CELLS,
        (),
        "Cells with tablets that vtorc repairs, and that it replaces as primaries; empty means all. Unlike Vitess it "
        "reads and asks the tablets of all cells: one that it did not see could hold acknowledged writes, or be the "
        "primary. A replacement may promote and attach tablets of any cell, and elections of a first primary go on.",
        live=True,
    )
    cells_no_recovery: tuple[str, ...] = setting(
        CELLS,
        (),
        "Cells with tablets that vtorc leaves alone: it repairs none of them, and replaces none as primary. It may "
        "promote them. Vitess does not have it.",
        live=True,
    )
    recovery_ignore_hostname_filters: tuple[str, ...] = setting(
        PATTERNS,
        (),
        "Regular expressions of MySQL hosts with tablets that vtorc leaves alone, in the same way.",
        also=[key("RecoveryIgnoreHostnameFilters", PATTERNS)],
        live=True,
    )
    promotion_ignore_hostname_filters: tuple[str, ...] = setting(
        PATTERNS,
        (),
        "Regular expressions of MySQL hosts with tablets that vtorc does not promote. They acknowledge writes and "
        "count as evidence like all others.",
        also=[key("PromotionIgnoreHostnameFilters", PATTERNS)],
        live=True,
    )
    discovery_ignore_hostname_filters: tuple[str, ...] = setting(
        PATTERNS,
        (),
        "Regular expressions of host:port of a MySQL with a tablet that vtorc leaves alone and does not promote. It is "
        "asked all the same, as it may hold acknowledged writes.",
        also=[key("DiscoveryIgnoreHostnameFilters", PATTERNS)],
        live=True,
    )
