"""The right of a client to make one request, by its role, its keyspaces, and how often it asked of late."""

from dataclasses import dataclass

from vtorc.core.facts.ids import ShardId
from vtorc.desk.problems import DeskRefusal
from vtorc.desk.rates import Pace, Rates
from vtorc.forms.access import Caller, Means, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The rights that a kind of request needs."""

    role: Role
    """The least role that it is taken from."""
    pace: Pace
    """The limit that it counts towards."""
    all_keyspaces: bool = False
    """Whether it concerns all shards, so that it is refused to clients of some keyspaces."""
    known_client: bool = False
    """Whether it is refused to clients of other hosts that the server does not know, whatever they may do else."""


class Clearance:
    """Refuses what the client of one request may not do, and notes the shard that the request is about."""

    def __init__(self, caller: Caller, needs: Needs, rates: Rates) -> None:
        self._caller = caller
        self._needs = needs
        self._rates = rates
        self.shard: ShardId | None = None
        """The shard that the request is about, as far as it was read; None until then."""

    def check(self, kind: str) -> None:
        """Raise DeskRefusal if the client may not send requests of this kind, or sent too many."""
        caller, needs = self._caller, self._needs
        need(needs.role, caller, kind)
        if needs.all_keyspaces:
            need_all_keyspaces(caller, kind)
        if needs.known_client and caller.means is Means.UNKNOWN:
            raise _not_allowed(
                kind,
                why="vtorc does not know the client, and what is given here would outlast --allow-remote-actions",
                do="ask on vtorc's own host, or by an --authentication-method that knows operators",
            )
        self._rates.check(needs.pace, caller, None)

    def admit(self, shard: ShardId) -> None:
        """Note the shard; raises DeskRefusal if the client may not know of it, or it was acted on too often."""
        if not self._caller.may_see(shard.keyspace):
            raise unknown_shard(shard)
        self.shard = shard
        self._rates.check(self._needs.pace, self._caller, shard)

    def note(self) -> None:
        """Count the request, which was carried out."""
        self._rates.note(self._needs.pace, self._caller, self.shard)


def need(role: Role, caller: Caller, what: str) -> None:
    """Raise DeskRefusal if the caller lacks a role, which `what` needs."""
    if not caller.role.includes(role):
        raise _not_allowed(
            what,
            why=f"it needs the role {role.value}, and {caller.actor} has the role {caller.role.value}",
            do=f"ask an operator with the role {role.value}",
        )


def need_all_keyspaces(caller: Caller, what: str) -> None:
    """Raise DeskRefusal if the caller is for some keyspaces only, and `what` concerns all."""
    if caller.keyspaces is not None:
        raise _not_allowed(
            what,
            why=f"it concerns all keyspaces, and {caller.actor} is for {', '.join(caller.keyspaces)} only",
            do="use a token without --keyspace, or another way to be known",
        )


def unknown_shard(shard: ShardId) -> DeskRefusal:
    """Return the refusal of a shard that is not watched, or that the client may not know of: they look the same."""
    return DeskRefusal(404, what=str(shard), why="this vtorc watches no such shard", do="look at the list of shards")


def _not_allowed(what: str, *, why: str, do: str) -> DeskRefusal:
    return DeskRefusal(403, what=what, why=why, do=do)
