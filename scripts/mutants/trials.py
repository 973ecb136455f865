"""Tries mutants on tests: in forks of one process, and those of code that runs at import in a process of their own."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.mutants.forks import LIMIT_FACTOR, Outcome
from scripts.mutants.making import Mutant

PATIENCE = 3600.0
"""Seconds after which a process that waits for ever is ended, however busy the machine is."""


@dataclass(frozen=True)
class Trials:
    """Trials in a copy of the project that has the mutants in place."""

    folder: Path
    spare: int = 5
    """The seconds of processor time that a mutant may take beyond ten times that of its tests."""
    idle: int = 20
    """The seconds of sleep in a row after which a mutant is taken to wait for ever."""

    def survivors(self, mutants: Sequence[Mutant], tests: Sequence[str]) -> list[Mutant]:
        """Return the mutants that no test notices; `tests` are folders and files below `tests`."""
        if not mutants:
            return []
        paths = [f"tests/{path}" for path in tests]
        outcome = self._forked(mutants, paths)
        noticed = {name for name in outcome.at_import if self._is_noticed_afresh(name, paths, outcome.seconds)}
        return [mutant for mutant in mutants if mutant.name in {*outcome.survived} - noticed]

    def _forked(self, mutants: Sequence[Mutant], paths: Sequence[str]) -> Outcome:
        job, result = self.folder / "job.json", self.folder / "outcome.json"
        functions = {each.name: each.function for each in mutants}
        job.write_text(json.dumps({"functions": functions, "tests": paths, "spare": self.spare, "idle": self.idle}))
        command = [sys.executable, "-m", "scripts.mutants.forks", str(job), str(result)]
        done = subprocess.run(command, cwd=self.folder, env=self._environment(), stdout=subprocess.PIPE, check=False)
        if done.returncode:
            sys.exit(f"mutants: the tests do not run in {self.folder}:\n{done.stdout.decode()[-4000:]}")
        return Outcome(**json.loads(result.read_text()))

    def _is_noticed_afresh(self, name: str, paths: Sequence[str], seconds: float) -> bool:
        """Return whether tests fail in a process that has a mutant in place from its start."""
        limit = int(LIMIT_FACTOR * seconds) + self.spare
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={self.folder / 'temporary'}"]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *options, *paths],
                cwd=self.folder,
                env={**self._environment(), "MUTANT_UNDER_TEST": name},
                capture_output=True,
                check=False,
                timeout=PATIENCE,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1)),
            )
        except subprocess.TimeoutExpired:
            return True
        return done.returncode != 0

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join((str(self.folder / "src"), str(self.folder)))
        return {**os.environ, "PYTHONPATH": path}
