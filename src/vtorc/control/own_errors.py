"""The mistakes of vtorc's own that pages and API tell of: what goes wrong in one shard stays with that shard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from vtorc.control.observer import failure_sentence
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.rules import Rule
from vtorc.forms.frames import AnnouncementForm

_log = structlog.get_logger("vtorc.http")


class OwnErrors:
    """Keeps the mistakes of vtorc's own that have not passed."""

    def __init__(self, wall: Callable[[], str]) -> None:
        """Date them by `wall`, which tells the time of day as a form has it."""
        self._wall = wall
        self._in_watching: dict[ShardId, AnnouncementForm] = {}
        """The shards in which vtorc failed and that it has not judged since, the last one last."""
        self._in_telling: dict[tuple[ShardId, str], AnnouncementForm] = {}
        """The parts of shards that vtorc could not tell, the last one last."""

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Keep that the watch of a shard failed; the log is told elsewhere."""
        self._in_watching.pop(shard, None)
        self._in_watching[shard] = self._form(failure_sentence(shard, error, rest))

    def judged(self, shard: ShardId) -> None:
        """Forget that its watch failed."""
        self._in_watching.pop(shard, None)

    @contextmanager
    def contained(self, shard: ShardId, what: str) -> Iterator[None]:
        """Let no mistake out that happens inside while vtorc tells `what` of a shard; it is logged once while it lasts.

        One such shard once ended the turn of all others, each time that there was news of it.
        """
        try:
            yield
        except Exception as error:
            self._untold(shard, what, error)
        else:
            self._in_telling.pop((shard, what), None)

    def gone(self, shard: ShardId) -> None:
        """Forget a shard that is not watched any more."""
        self.judged(shard)
        for key in [key for key in self._in_telling if key[0] == shard]:
            del self._in_telling[key]

    @property
    def announcements(self) -> list[AnnouncementForm]:
        """The last mistake of each kind: there may be one for each of thousands of shards."""
        return [*list(self._in_watching.values())[-1:], *list(self._in_telling.values())[-1:]]

    def _untold(self, shard: ShardId, what: str, error: Exception) -> None:
        if (shard, what) in self._in_telling:
            return
        sentence = (
            f"{shard}: vtorc itself failed to tell the {what} of this shard ({type(error).__name__}: {error}); pages "
            f"and API may show an older one; vtorc watches and repairs the shard as before; report this with the "
            f"traceback in the log"
        )
        self._in_telling[shard, what] = self._form(sentence)
        _log.error(sentence, shard=str(shard), rule=Rule.OWN_ERROR.value, exc_info=error)

    def _form(self, sentence: str) -> AnnouncementForm:
        return AnnouncementForm(rule=Rule.OWN_ERROR.value, since=self._wall(), sentence=sentence)
