"""The readiness of a shard for the death of its primary, as text. Pure."""

from vtorc.cli.client.layout import WRONG, wrapped
from vtorc.forms.readiness import ReadinessForm
from vtorc.forms.shard_states import STATE_MARKS


def readiness_lines(ready: ReadinessForm, width: int) -> list[str]:
    """Return the readiness of a shard: the sentence first, then what speaks against it, and what else is at risk."""
    mark = STATE_MARKS["healthy"] if ready.ready else WRONG
    told = [
        *(why for why in ready.blocked_by if why not in ready.sentence),
        *ready.doubts,
        *ready.at_risk,
        *(loss.sentence for loss in ready.losses),
        *(f"{alias} {why}" for alias, why in ready.removed.items()),
    ]
    return [
        *wrapped(ready.sentence, width, indent="    ", first=f"{mark} "),
        *(line for text in told for line in wrapped(text, width, indent="      ", first="    - ")),
    ]
