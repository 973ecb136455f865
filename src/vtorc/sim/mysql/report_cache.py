"""The newest reports about a server, kept for as long as the facts behind them stay the same."""

from collections.abc import Callable
from typing import Generic, TypeVar

from vtorc.core.facts.status import SemiSyncStatus
from vtorc.vttablet.mysql_api import ReplicaReport, ServerReport

_T = TypeVar("_T")


class KeptReport(Generic[_T]):
    """One report and the facts that it was made of; pays where making costs much more than comparing."""

    __slots__ = ("_facts", "_made")

    def __init__(self) -> None:
        self._facts: tuple[object, ...] | None = None
        self._made: _T

    def of(self, make: Callable[..., _T], *facts: object) -> _T:
        """Return `make(*facts)`, or the report that it returned before if the facts are still the same."""
        if facts != self._facts:
            self._made = make(*facts)
            self._facts = facts
        return self._made


class KeptReports:
    """The newest reports about one server."""

    def __init__(self) -> None:
        self.server: KeptReport[ServerReport] = KeptReport()
        self.replica: KeptReport[ReplicaReport] = KeptReport()
        self.semi_sync: KeptReport[SemiSyncStatus] = KeptReport()
