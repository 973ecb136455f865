"""Replicas that come, acknowledge alone, and go while no vtorc sees anything."""

from dataclasses import replace

import pytest

from vtorc.sim.campaigns.profiles import PROFILES
from vtorc.sim.campaigns.run import run_seed


@pytest.mark.parametrize("kind", PROFILES["blind"].kinds)
def test_an_acker_that_no_vtorc_saw_holds_up_the_promotion(kind: str) -> None:
    """All vtorcs are blinded; then each refuses to promote a tablet without the writes that the acker alone had."""
    lines: list[str] = []
    result = run_seed(0, replace(PROFILES["blind"], kinds=(kind,)), sink=lines.append)
    assert result.ok, [str(each) for each in result.violations]
    notes = [line.split(maxsplit=2)[1:] for line in lines]
    blinded = {name for name, text in notes if text.startswith(("is cut off", "is stopped with", "is without power"))}
    assert blinded == {name for name, text in notes if text == "vtorc starts"}
    assert result.refused > 0
