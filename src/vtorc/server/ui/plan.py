"""The page of a plan: what a reparent would do, read before anything is changed."""

import msgspec

from vtorc.forms.frames import ProblemForm, ReplyFrame
from vtorc.forms.plan import PlanForm

TITLES = {
    "planned": "Move the primary of {shard}",
    "emergency": "Replace the lost primary of {shard}",
    "forced": "Promote a tablet of {shard}, whatever that loses",
}
"""The title of each kind of plan."""


def plan_of(reply: ReplyFrame) -> PlanForm | ProblemForm:
    """Return the plan that vtorc replied with, or why there is none."""
    return msgspec.json.decode(reply.body, type=PlanForm if reply.status < 400 else ProblemForm)
