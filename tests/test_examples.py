"""The examples run, as scripts and from the command line, and conclude what long NUTS runs conclude."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import flowvi

EXAMPLES = Path(__file__).parents[1] / "examples"
NUMBER = r"(-?\d+\.\d+)"

needs = {
    package: pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"needs {package}")
    for package in ("numpyro", "pymc", "httpstan")
}
needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("g++", "c++", "clang++")), reason="needs a C++ compiler"
)


def run(*command: str | Path) -> str:
    """What a command prints to stdout when it succeeds."""
    source = os.fspath(Path(flowvi.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths}
    answer = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize(
    ("script", "conclusion", "expected", "tolerance"),
    [
        pytest.param(
            "eight_schools.py",
            f"more in school A than in school C. = {NUMBER}",
            [0.61],
            0.05,
            marks=needs["numpyro"],
        ),
        pytest.param(
            "kidiq_pymc.py", f"interaction is negative. = {NUMBER}", [1.0], 0.02, marks=needs["pymc"]
        ),
        pytest.param(
            "earnings_stan.py",
            f"men earn {NUMBER} to {NUMBER} times",
            [1.33, 1.62],
            0.04,
            marks=[needs["httpstan"], needs_compiler],
        ),
        pytest.param("mesquite_jax.py", f"goes with more leaves. = {NUMBER}", [0.94], 0.04),
    ],
)
def test_scripts_come_to_the_right_conclusion(script, conclusion, expected, tolerance) -> None:
    printed = run(EXAMPLES / script)
    found = re.search(conclusion, printed)
    assert found, printed
    assert [float(number) for number in found.groups()] == pytest.approx(expected, abs=tolerance)


COMMAND_LINE = ["-c", "import sys; from flowvi.cli import main; sys.exit(main())", "fit", "--quiet"]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        pytest.param([EXAMPLES / "eight_schools.py"], "theta", marks=needs["numpyro"]),
        pytest.param([EXAMPLES / "mesquite_jax.py"], "slopes"),
        pytest.param(
            [EXAMPLES / "earnings.stan", "--data", EXAMPLES / "data" / "earnings.json"],
            "ratio",
            marks=[needs["httpstan"], needs_compiler],
        ),
    ],
)
def test_models_are_fitted_from_the_command_line(arguments, shown, tmp_path) -> None:
    printed = run(*COMMAND_LINE, *arguments, "--out", tmp_path / "run")
    assert shown in printed
    assert re.search(r"^log evidence: -?\d+\.\d+ ", printed, re.MULTILINE)
    assert re.search(r"^verdict: (good|corrected)$", printed, re.MULTILINE)
    assert flowvi.load(tmp_path / "run").draws
