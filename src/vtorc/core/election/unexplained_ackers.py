"""How many servers may acknowledge a primary's writes that no known tablet stands for.

A primary counts its semi-sync clients. A mysqld whose tablet record was deleted is one of them, and acknowledges alone.
So is one whose tablet manager takes it for dead, because only the socket between the two is gone. A client that no
tablet of the shard explains is a server out of vtorc's reach.

The count and the tablets' answers are of different moments. The count itself is late: MySQL goes on to count a replica
that is gone until it next writes to that connection. So the tablets only give bounds:

* A tablet that was seen as a client both before and after the count is one of the clients. At most the rest of the
  count is unknown.
* A tablet that may have been a client, as far as is known, may explain one. At least the count less all of these is
  unknown.

Within these bounds the number of unknown clients stays as it was. So the end of a replica hides no unknown client, and
its return adds none. The number becomes lower only if two counts in a row say so. Otherwise a replica that reconnects
between two of its answers could hide one.

The very first count has no number before it. Each of its clients counts as unknown, unless a tablet says itself that it
is that client. A new primary begins without any. Only tools that read records point servers there, so a server without
a record does not follow it. The first primary of all begins without any as well, if it was seen before without a
client. It died right after its election once, before a replica had been asked again, and its replacement was refused
for ever.

A tablet that does not answer may have become a client since. By the same bounds it is known whether there is a client
that can only be such a tablet or an unknown server. Then an election has to reach each such tablet. A silent RDONLY
tablet once explained a client, and the election took it for one that cannot acknowledge.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from vtorc.core.facts.client_count import ClientCount
from vtorc.core.facts.client_span import ClientSpan
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import TabletStatus, ThreadState
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.core.facts.views import ShardView, TabletView

SETTLED = 1.0
"""Seconds after which an acknowledgement that was under way has arrived and its write is committed."""

LINGERS = 60.0
"""Seconds for which a primary counts a replica that has ended its connection.

A dump thread notices that at its second write. It writes at least once in each heartbeat interval, which is 30 s by
default (MySQL manual, SOURCE_HEARTBEAT_PERIOD). The connection of a host that lost power may stay much longer. Its
tablet does not answer then, and explains its client for as long as it does not. So may that of a replica which is cut
off from the primary alone (`DEAD_CONNECTION_STANDS`).
"""

DEAD_CONNECTION_STANDS = 1860.0
"""Seconds for which a primary counts a replica that it does not reach any more, and that could not tell it of its end.

Linux gives such a connection up 13 to 30 minutes after the first write to it (tcp(7), tcp_retries2), which is the next
heartbeat at the latest.
"""

SEEN_AT_WORK_WITHIN = 20.0
"""Seconds within which a tablet that receives is seen to, and a changed record is read (15 s)."""

COUNTED_TWICE_FOR = 5.0
"""Seconds after its return for which a replica may be counted twice: MySQL ends the connection from before when the
same server registers again.
"""


def client_count_after(before: ClientCount | None, view: ShardView, *, kept_for: float) -> ClientCount | None:
    """Return what is known of the clients after a probe; `before` is what was known until then.

    It is the last count of the primary of `view` that came while it was at work. It is judged by all that its tablets
    have told by now. Without such a primary, it is the last one of the primary before. A count is kept for up to
    `kept_for` seconds, while equal ones come, until all tablets that answer have answered after it.
    """
    if before is not None and not before.is_settled:
        before = _judged(before, view)  # also by the answer after which the next count takes its place
    count = _last_count(before, view, kept_for)
    return count if count is None or count is before else _judged(count, view)


def client_count_without(
    before: ClientCount | None, view: ShardView, gone: Mapping[TabletAlias, float]
) -> ClientCount | None:
    """Return what is known of the clients after a reading of the topology found the records of `gone` deleted.

    The reading that found each last began at the moment beside it. A client without a record is an unknown server, and
    a tablet that was one by its last answer is that from now on. So is one that may have begun to acknowledge while
    vtorc looked at nothing. A vtorc was cut off once while a drained tablet came back, acknowledged alone, and lost its
    record. But a record that was deleted after the primary was lost is an operator's word. By it the tablet is gone for
    good, and with it the writes that it alone may hold. `view` has these tablets still.
    """
    if before is None or not gone:
        return before
    primary = view.tablet(before.primary)
    gone_for_good = given_up(view, primary, gone)
    left = [tablet for tablet in view.tablets if tablet.alias in gone.keys() - gone_for_good]
    were, others = list[TabletView](), list[TabletView]()
    for tablet, span in _with_spans(left, before, view):
        (were if span is not None and span.ended is None else others).append(tablet)
    unseen = sum([_may_ack_unseen(tablet.memory, primary) for tablet in others]) if primary is not None else 0
    before = replace(
        before,
        unexplained=before.unexplained + len(were) + unseen,
        unseen=before.unseen + len(were) + unseen,
        most_before=before.most_before + unseen,  # the count is of a time before it may have become one
        given_up=before.given_up | gone_for_good,
    )
    return _judged(before, replace(view, tablets=tuple(each for each in view.tablets if each.alias not in gone)))


def clients_without_count(deleted: Iterable[TabletMemory], primary: TabletView) -> int:
    """Return how many tablets with `deleted` records may be clients of a primary that this process has not counted yet.

    That is a tablet that was not seen to cease, or that may have begun while vtorc looked at nothing.
    """
    return sum([each.may_ack_until == math.inf or _may_ack_unseen(each, primary) for each in deleted])


def _may_ack_unseen(memory: TabletMemory, primary: TabletView) -> bool:
    """Whether it may have begun to acknowledge unseen, and the primary was not seen at work since."""
    until, term = max(memory.unknown_until, memory.unheard_until), primary.memory.observed_term
    return until > -math.inf and (term is None or until + SETTLED > term.seen_at)


def given_up(view: ShardView, primary: TabletView | None, gone: Mapping[TabletAlias, float]) -> frozenset[TabletAlias]:
    """Return the tablets whose records were deleted after the primary was lost; each was last found at its moment."""
    since = lost_since(view, primary) if primary is not None else None
    return frozenset() if since is None else frozenset(name for name, found_at in gone.items() if found_at >= since)


def lost_since(view: ShardView, primary: TabletView) -> float | None:
    """Return from when on the primary counts as lost for what operators do with its tablets; None while it does not.

    If vtorc alone cannot reach it, it works on, and a tablet that is drained or deleted is only taken out of service.
    The writes that such a tablet alone had acknowledged were given up once, and two primaries took writes. So it counts
    as lost only when no tablet has been seen to receive from it for `SEEN_AT_WORK_WITHIN`, and another tablet was heard
    since it fails. A vtorc that was cut off from all of them once took the deletion of its last acker for that word. So
    did one that was restarted, and had not seen that acker receive.
    """
    failing_since = primary.failing_since
    if failing_since is None:
        return None
    heard = [at for tablet in _others(view, primary.alias) for at in _heard_since(tablet, failing_since)]
    if not heard:
        return None
    uuid, address = primary.memory.server_uuid, primary.record.mysql_address
    spans = [tablet.memory.client_span for tablet in view.tablets]
    received = [span.seen_to for span in spans if span is not None and span.is_of(uuid, address)]
    received += [at for tablet in view.tablets if (at := _may_work_unheard_since(tablet, primary)) is not None]
    return max([min(heard), *(at + SEEN_AT_WORK_WITHIN for at in received)])


def _may_work_unheard_since(tablet: TabletView, primary: TabletView) -> float | None:
    """Return when this process first asked in vain for a tablet that it never heard: until then the primary may have
    been at work with it. None if it was heard, or is neither the primary nor one that acknowledged when last heard.
    """
    is_part = tablet.alias == primary.alias or tablet.memory.may_ack_until == math.inf
    return tablet.failing_since if is_part and tablet.status is None else None


def _heard_since(tablet: TabletView, since: float) -> Iterator[float]:
    """Yield moments from `since` on at which the tablet answered, the first of them as far as is remembered.

    When it lost its source is remembered although it fails to answer later.
    """
    probe, not_receiving_since = tablet.last_probe, tablet.memory.not_receiving_since
    if not_receiving_since is not None and not_receiving_since >= since:
        yield not_receiving_since
    if probe.answering_since is not None and probe.status_at is not None and probe.status_at >= since:
        yield max(since, probe.answering_since)


def _last_count(before: ClientCount | None, view: ShardView, kept_for: float) -> ClientCount | None:
    """Return the count that is to be judged: that of the primary's last answer if it is new, else the one before."""
    primary = view.primary
    status = primary.current_status if primary is not None else None
    if primary is None or status is None or not _is_at_work(status):
        return before
    asked, told = primary.status_at, primary.last_probe.ended_at
    assert asked is not None
    assert told is not None
    same = before is not None and (before.primary, before.server_uuid) == (primary.alias, status.server_uuid)
    if before is not None and same:
        is_recent = asked - before.told_at < kept_for
        if before.asked_at == asked or (is_recent and _is_to_be_kept(before, status, view)):
            return before
    memory, is_first = primary.memory, before is None or before.is_first
    kept = memory.unknown_clients if is_first else 0
    if before is None:
        is_first = not (memory.clients_explained or memory.was_unfollowed)
    return ClientCount(
        primary=primary.alias,
        server_uuid=status.server_uuid,
        clients=status.semi_sync.primary_clients,
        asked_at=asked,
        told_at=told,
        unexplained=before.unexplained if before is not None and same else kept,
        unseen=before.unseen if before is not None and same else kept,
        most=status.semi_sync.primary_clients,
        asked_before=before.asked_at if before is not None and same else None,
        # The number that was kept over a restart counts as the count before: one count alone takes no unknown server
        # back.
        most_before=before.most if before is not None and same else kept,
        certain_since=before.certain_since if before is not None and same else None,
        is_first=is_first,
        assumed=before.assumed if before is not None and same else 0,
        explained_at=before.explained_at if before is not None and same else None,
        explained_by=before.explained_by if before is not None and same else frozenset(),
    )


def _is_to_be_kept(count: ClientCount, status: TabletStatus, view: ShardView) -> bool:
    """Whether the primary's new answer counts as many clients, and tablets have not answered since the last count.

    A primary is asked more often than its replicas. If each of its answers took the place of the one before, no count
    would stand until every replica was seen before and after it. An unknown client would then be told for ever.
    """
    if status.semi_sync.primary_clients != count.clients:
        return False
    return not all(_is_silent(each) or _answered_after(each, count) for each in _others(view, count.primary))


def _is_at_work(status: TabletStatus) -> bool:
    return not status.read_only and not status.has_source and not status.disk_stalled and status.semi_sync.is_reported


def _judged(count: ClientCount, view: ShardView) -> ClientCount:
    """Return the count with the number of unknown clients that the tablets' answers leave."""
    others = _with_spans(_others(view, count.primary), count, view)
    proven = frozenset([tablet.alias for tablet, span in others if _was_client(span, count)])
    claimed = sum([_was_client(span, count) or _is_client(tablet, span) for tablet, span in others])
    if count.clients < claimed:
        return count  # some have left and not been asked yet, or FullStatus reports 0 for a statement that failed
    most = count.clients - len(proven)
    may_have_been = frozenset([tablet.alias for tablet, span in others if _may_have_been_client(tablet, span, count)])
    may_be = (
        len(may_have_been)
        + _unreadable(view)
        + len(count.given_up)
        + sum([_may_count_twice(span, count) for _, span in others])
    )
    guessed = sum([_is_only_guessed(tablet, span, count) for tablet, span in others])
    least = 0 if view.never_read_cells else max(0, count.clients - may_be)
    least_unseen = 0 if view.never_read_cells else max(0, count.clients - may_be + guessed)
    upper = max(most, count.most_before)
    floor = min(max(count.unexplained - count.assumed, least), upper)
    floor_unseen = min(max(count.unseen - count.assumed, least_unseen), upper)
    unexplained = max(floor, min(count.unexplained, most))
    unseen = max(floor_unseen, min(count.unseen, most))
    if count.is_first:
        unexplained = unseen = max(least_unseen, count.clients - claimed)
        floor = floor_unseen = max(least_unseen, min(count.unexplained - count.assumed, unexplained))
    is_explained, is_settled = count.asked_before is not None and upper <= unexplained, least == most
    dead = sum([t.alias not in may_have_been and _may_stand_dead(t, span, count) for t, span in others])
    return replace(
        count,
        unexplained=unexplained,
        unseen=unseen,
        most=most,
        may_have_been=may_have_been.intersection([t.alias for t, _ in others if _answered_after(t, count)]),
        assumed=min(unexplained - floor, unseen - floor_unseen),
        certain_since=_certain_since(count, least - dead) if unexplained else None,
        is_settled=is_settled,
        is_first=count.is_first and not is_settled and not all(tablet.probed for tablet, _ in others),
        explained_at=count.asked_before if is_explained else count.explained_at,
        explained_by=proven if is_explained else count.explained_by,
    )


def _certain_since(count: ClientCount, least: int) -> float | None:
    return count.asked_at if count.certain_since is None and least > 0 else count.certain_since


def unexplained_clients(view: ShardView, primary: TabletAlias | None) -> int:
    """Return how many servers may acknowledge the writes of `primary` that no tablet stands for.

    Before the first count it is what an earlier process found and kept; 0 if there was none.
    """
    count, tablet = view.client_count, view.tablet(primary)
    if count is None:
        return tablet.memory.unknown_clients if tablet is not None else 0
    return count.unexplained if count.primary == primary else 0


def are_assumed(view: ShardView, primary: TabletAlias) -> bool:
    """Whether unknown clients of `primary` may be tablets that vtorc had not yet seen at work when the last count came.

    So it is for a vtorc that began to look moments before the primary was lost.
    """
    count = view.client_count
    return count is not None and count.primary == primary and count.assumed > 0


def silent_clients(view: ShardView, primary: TabletAlias) -> frozenset[TabletAlias]:
    """Return the silent tablets that may be a client of `primary` which nothing else explains.

    By their last answers they were none, or a later count was complete without them.
    """
    count = view.client_count
    if count is None or count.primary != primary or count.unseen <= count.unexplained:
        return frozenset()
    others = _with_spans(_others(view, primary), count, view)
    return frozenset(tablet.alias for tablet, span in others if _is_only_guessed(tablet, span, count))


def counted_without(view: ShardView, tablet: TabletView, primary: TabletAlias, *, down_since: float) -> bool:
    """Whether `primary` had as many clients as others explain, at a time when `tablet` had been down since then.

    A tablet manager that cannot reach its mysqld says that it is down, and that mysqld may acknowledge all the same.
    Unknown counts as no: without a count, and until the others were seen as clients before and after it.
    """
    count = view.client_count
    if count is None or count.primary != primary or count.explained_at is None:
        return False
    if tablet.alias in count.explained_by or down_since > count.explained_at:
        return False
    return count.clients - len(count.explained_by) <= count.unexplained


def _unreadable(view: ShardView) -> int:
    """Return how many tablets have a record that cannot be read and are not known otherwise: each may be a client."""
    return len(view.bad_records.keys() - {tablet.alias for tablet in view.tablets})


def _others(view: ShardView, primary: TabletAlias) -> list[TabletView]:
    return [tablet for tablet in view.tablets if tablet.alias != primary]


def _with_spans(
    tablets: Iterable[TabletView], count: ClientCount, view: ShardView
) -> list[tuple[TabletView, ClientSpan | None]]:
    """Return each tablet with the time in which it was last seen as a client of the primary that counted; None if it
    was not.
    """
    primary = view.tablet(count.primary)
    uuid, address = count.server_uuid, primary.record.mysql_address if primary is not None else ("", 0)
    spans = [(tablet, tablet.memory.client_span) for tablet in tablets]
    return [(tablet, span if span is not None and span.is_of(uuid, address) else None) for tablet, span in spans]


def _was_client(span: ClientSpan | None, count: ClientCount) -> bool:
    """Whether it was seen as a client both before and after the count."""
    return span is not None and span.seen_from <= count.asked_at and span.seen_to >= count.told_at


def _is_client(tablet: TabletView, span: ClientSpan | None) -> bool:
    """Whether it says now that it is a client."""
    return span is not None and span.ended is None and tablet.is_current


def _may_have_been_client(tablet: TabletView, span: ClientSpan | None, count: ClientCount) -> bool:
    """Whether it may have been counted, as far as its answers tell.

    It was no client if it says so now, and said so before the count too, or for so long that MySQL has noticed. MySQL
    does not notice that of a replica which is cut off from it. A tablet that says that its MySQL is down is no client
    either. If the count says otherwise, that MySQL lives. A tablet that does not answer may be anything.

    One that has become a client of another server since is judged by no later answer. A replica that was pointed
    elsewhere after its primary was lost once made the old count name an unknown server.
    """
    latest = tablet.memory.client_span
    if tablet.alias in count.may_have_been:
        return True
    if span is None and latest is not None and latest.seen_from > count.told_at:
        return True
    if span is not None and (span.ended is None or span.ended + LINGERS >= count.asked_at):
        return True
    if _is_silent(tablet) or not _answered_after(tablet, count):
        return True
    return tablet.failure is None and (
        _tells_nothing(tablet) or _connects_lately(tablet, count) or _stands_dead(tablet, span, count)
    )


def _answered_after(tablet: TabletView, count: ClientCount) -> bool:
    """Whether its last answer, or the last word of its tablet that its MySQL is down, is of a time after the count."""
    asked_at = tablet.status_at if tablet.failure is None else tablet.last_probe.ended_at
    return not _is_silent(tablet) and asked_at is not None and asked_at >= count.told_at


def _may_count_twice(span: ClientSpan | None, count: ClientCount) -> bool:
    """Whether it connected so lately that its connection from before may be counted as well.

    A replica whose MySQL was restarted had two clients for a moment (MySQL 9.7). The second one counted as an unknown
    server, and the loss of the primary right after that was refused for ever.
    """
    return span is not None and abs(span.seen_from - count.asked_at) <= COUNTED_TWICE_FOR


def _is_silent(tablet: TabletView) -> bool:
    """Whether the last probe of it tells nothing of its MySQL."""
    return tablet.failure not in (None, ProbeFailure.MYSQL_DOWN)


def _is_only_guessed(tablet: TabletView, span: ClientSpan | None, count: ClientCount) -> bool:
    """Whether only its silence leaves room for it among the counted clients."""
    if not _is_silent(tablet) or _was_client(span, count):
        return False
    return span is None or span.ended is not None or _has_left(tablet, span, count)


def _has_left(tablet: TabletView, span: ClientSpan | None, count: ClientCount) -> bool:
    """Whether counts were complete without it since it was last seen as a client, if it ever was."""
    explained_at, seen_to = count.explained_at, span.seen_to if span is not None else -math.inf
    return explained_at is not None and seen_to < explained_at and tablet.alias not in count.explained_by


def _tells_nothing(tablet: TabletView) -> bool:
    """Whether its answer leaves open whether it is a client."""
    status = tablet.status
    return status is None or bool(status.disk_stalled) or (tablet.is_receiving and not status.semi_sync.is_reported)


def _connects_lately(tablet: TabletView, count: ClientCount) -> bool:
    """Whether it tries to connect and has done so for a short time only: it may have been connected, unseen.

    A primary that ends shortly after a replica came back leaves the replica in that state.
    """
    status, since = tablet.status, tablet.memory.not_receiving_since
    if status is None or status.replication is None or since is None or since + LINGERS < count.asked_at:
        return False
    return status.semi_sync.replica_enabled and status.replication.io_state is not ThreadState.STOPPED


def _stands_dead(tablet: TabletView, span: ClientSpan | None, count: ClientCount) -> bool:
    """Whether a client that was seen to be cut off may still be counted, with nothing unseen since.

    A replica that was cut off alone once counted as an unknown server after a minute. The loss of its primary was
    refused then, although every server that could have acknowledged was stopped.
    """
    if span is None or span.ended is None or max(tablet.memory.unknown_until, tablet.memory.unheard_until) > span.ended:
        return False
    return _may_stand_dead(tablet, span, count)


def _may_stand_dead(tablet: TabletView, span: ClientSpan | None, count: ClientCount) -> bool:
    """Whether a former connection of it may still be counted, as the primary was not told of the end: it is cut off.

    No server has spoken to it since, and no count was complete without it. A count that only an unknown server
    completes tells nothing, as that server may be this very connection.
    """
    since = tablet.memory.unanswered_since
    if not tablet.is_current or since is None or since + DEAD_CONNECTION_STANDS < count.asked_at:
        return False
    return bool(count.unexplained) or not _has_left(tablet, span, count)
