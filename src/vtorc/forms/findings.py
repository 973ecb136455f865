"""The form of a finding together with what is decided about it."""

from vtorc.core.decision.decisions import Decision
from vtorc.forms.base import Form

SEVERITIES = ("shard", "critical", "high", "medium", "low")
"""The severities of findings, by their number in Vitess (0 concerns the whole shard)."""


class FindingForm(Form, frozen=True, kw_only=True):
    """One problem, and what vtorc does about it."""

    code: str
    """The code, as in Vitess."""
    shard: str
    """The shard that has it, as `keyspace/shard`."""
    tablet: str | None
    """The tablet that has it; None where the shard as a whole has it."""
    severity: str
    """"shard", "critical", "high", "medium" or "low"."""
    confirmed: bool
    """Whether the evidence is complete; until it is, vtorc changes nothing."""
    acts: bool
    """Whether vtorc carries out a recovery for it."""
    recovery: str | None
    """The recovery that vtorc carries out; None while it stands still."""
    rule: str
    """The name of the reason for that."""
    needs_operator: bool
    """Whether an operator is needed: trying has not helped, or the problem has stood for long."""
    silenced: str | None = None
    """The hold by which operators are not alerted of it, in words; None if there is none."""
    problem: str
    """The problem in words."""
    sentence: str
    """The problem and the reason for what is done, in words."""


def finding_form(decision: Decision) -> FindingForm:
    """Return the form of a finding with its decision."""
    finding = decision.finding
    return FindingForm(
        code=finding.code.value,
        shard=str(finding.shard),
        tablet=str(finding.alias) if finding.alias is not None else None,
        severity=SEVERITIES[finding.problem.priority],
        confirmed=finding.confirmed,
        acts=decision.acts,
        recovery=decision.recovery.value if decision.recovery is not None else None,
        rule=decision.rule.value,
        needs_operator=decision.escalated,
        silenced=decision.silenced_by.sentence if decision.silenced_by is not None else None,
        problem=finding.sentence,
        sentence=decision.sentence,
    )
