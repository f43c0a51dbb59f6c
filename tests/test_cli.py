"""The command line: what it hands to `fit`, what it prints, and how it says that something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import flowvi
from flowvi.cli import main
from flowvi.errors import DensityError, SaveError

COIN = """
import numpyro
import numpyro.distributions as dist

def model(heads, seed=0):
    p = numpyro.sample("p", dist.Beta(1.0, 1.0))
    numpyro.sample("heads", dist.Binomial(10, p), obs=heads)

data = {"heads": 7.0}
"""

DENSITY = """
def log_density(parameters, y):
    return -((y - parameters["x"]) ** 2).sum() - 3.0

example = {"x": 0.0}
supports = {"x": "positive"}
data = {"y": 1.0}
"""


@dataclass
class FakePosterior:
    """Answers what the command line asks a posterior, and remembers where it was saved."""

    log_evidence: Any = None
    unwritable: Path | None = None
    saved: list[Path] = field(default_factory=list)

    class Verdict:
        level = "inconclusive"
        reasons = ("too few draws",)

    verdict = Verdict()

    def summary(self) -> str:
        return "the table"

    def save(self, path: Path) -> None:
        if path == self.unwritable:
            raise SaveError(f"Cannot save to {path}: No space left on device.")
        self.saved.append(path)


@dataclass
class FakeFit:
    """In place of `flowvi.fit`: records its call."""

    posterior: FakePosterior = field(default_factory=FakePosterior)
    error: BaseException | None = None
    model: Any = None
    arguments: dict[str, Any] = field(default_factory=dict)

    def __call__(self, model: Any, **arguments: Any) -> FakePosterior:
        self.model, self.arguments = model, arguments
        if self.error is not None:
            raise self.error
        return self.posterior


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> FakeFit:
    fake = FakeFit()
    monkeypatch.setattr(flowvi, "fit", fake)
    return fake


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """Write a file into a temporary directory."""

    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_options_reach_fit_and_the_answer_is_printed(fit, file, tmp_path, capsys) -> None:
    path = file("m.py", COIN)
    out = tmp_path / "new" / "run"
    kept = tmp_path / "kept"
    options = ["--seed", "3", "--flow", "iaf", "--draws", "50", "--quiet", "--out", str(out)]
    options += ["--checkpoint", str(kept)]
    assert main(["fit", path, *options]) == 0
    assert fit.arguments == {"seed": 3, "flow": "iaf", "draws": 50, "progress": False, "checkpoint": kept}
    assert fit.posterior.saved == [out]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "the table"
    assert printed[1] == "  - too few draws"
    assert printed[-1] == f"saved: {out}"


def test_log_evidence_is_printed_with_its_standard_error(fit, file, capsys) -> None:
    fit.posterior.log_evidence = flowvi.Estimate(-31.3114, 0.0042)
    main(["fit", file("m.py", COIN)])
    assert "log evidence: -31.3114 (standard error 0.0042)" in capsys.readouterr().out


def test_a_numpyro_model_gets_the_data_of_its_file(fit, file) -> None:
    assert main(["fit", file("m.py", COIN)]) == 0
    assert isinstance(fit.model, flowvi.Target)
    np.testing.assert_array_equal(fit.model.observed_data()["heads"], 7.0)


def test_a_log_density_gets_its_example_its_supports_and_its_data(fit, file) -> None:
    assert main(["fit", file("m.py", DENSITY), "--data", file("d.json", '{"y": [1.0, 2.0, 3.0]}')]) == 0
    with jax.enable_x64(True):
        z = fit.model.unconstrain({"x": 2.0})
        assert fit.model.log_density(jax.numpy.asarray(z)) == pytest.approx(-5.0 + np.log(2.0))


def test_data_on_the_command_line_replace_the_file_s_own(fit, file) -> None:
    # `seed` is an option of `fit` too, which must not matter to a model that calls an argument so
    data = file("d.json", json.dumps({"heads": [3.0, 4.0], "seed": 1}))
    assert main(["fit", file("m.py", COIN), "--data", data]) == 0
    np.testing.assert_array_equal(fit.model.observed_data()["heads"], [3.0, 4.0])


def test_a_model_file_imports_its_neighbours(fit, file) -> None:
    file("neighbour_of_the_model.py", COIN)
    assert main(["fit", file("m.py", "from neighbour_of_the_model import model, data")]) == 0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.py", "x = 1", "neither `model` nor `log_density`"),
        ("m.py", "\n\nx = 1 / 0", "m.py:3: ZeroDivisionError"),
        ("m.py", "def broken(:", "m.py:1: SyntaxError"),
        ("m.py", "import no_such_package_here", "m.py:1: ModuleNotFoundError"),
        ("m.py", "def log_density(p): return 0.0", "not `example`"),
        ("m.py", "def model(): pass\ndata = [1]", "is a list"),
        ("m.py", "def model(heads): pass", "missing a required argument: 'heads'"),
        ("m.py", "def model():\n  x = 1\n  raise KeyError('tau')", "m.py:3: KeyError: 'tau'"),
        ("m.py", "def log_density(p):\n  return p['b']\nexample = {'a': 0.0}", "m.py:2: KeyError: 'b'"),
        ("m.py", "def model():\n  raise ValueError('two\\nlines')", "m.py:2: ValueError: two"),
        ("m.txt", "", "neither a Python file"),
    ],
)
def test_a_bad_model_file_is_one_line_on_stderr(fit, file, capsys, name, text, said) -> None:
    assert main(["fit", file(name, text)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[1, 2]", "holds a list"),
        ('{"heads": [[1], [1, 2]]}', "`heads` are lists of unequal lengths"),
        ('{"heads": ["a"]}', "`heads` are not numbers"),
        ('{"heads": null}', "`heads` in "),
        ('{"heads": [1, [null]]}', "are null, or have nulls in them"),
        ('{"heads": 7, "N": 1}', "unexpected keyword argument 'N'"),
    ],
)
def test_a_bad_data_file_says_what_is_wrong(fit, file, capsys, text, said) -> None:
    assert main(["fit", file("m.py", COIN), "--data", file("d.json", text)]) == 2
    assert said in capsys.readouterr().err


def test_missing_files_are_named(fit, file, capsys) -> None:
    assert main(["fit", "no/such/model.py"]) == 2
    assert "no/such/model.py" in capsys.readouterr().err
    assert main(["fit", file("m.py", COIN), "--data", "no/such/data.json"]) == 2
    assert "no/such/data.json" in capsys.readouterr().err


def test_data_for_a_model_that_holds_its_own_are_refused(fit, file, capsys) -> None:
    data = file("d.json", "{}")
    assert main(["fit", file("m.py", "model = 3"), "--data", data]) == 2
    assert "holds its data already" in capsys.readouterr().err


def test_an_unwritable_directory_is_found_before_the_fit(fit, file, capsys) -> None:
    occupied = file("occupied", "")
    assert main(["fit", file("m.py", COIN), "--out", occupied]) == 2
    assert occupied in capsys.readouterr().err
    assert fit.model is None


def test_a_relative_path_is_placed_as_well(fit, file, capsys, monkeypatch) -> None:
    monkeypatch.chdir(Path(file("m.py", "\nx = 1 / 0")).parent)
    assert main(["fit", "m.py"]) == 2
    assert "ModelError: m.py:2: ZeroDivisionError" in capsys.readouterr().err


def test_a_posterior_that_cannot_be_saved_any_more_goes_elsewhere(fit, file, tmp_path, capsys) -> None:
    out = fit.posterior.unwritable = tmp_path / "run"
    assert main(["fit", file("m.py", COIN), "--out", str(out)]) == 2
    (elsewhere,) = fit.posterior.saved
    assert elsewhere.is_dir()
    elsewhere.rmdir()
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == f"saved: {elsewhere}"
    assert f"SaveError: Cannot save to {out}" in printed.err


def test_when_nothing_can_be_saved_the_first_error_is_told(fit, file, tmp_path, capsys, monkeypatch) -> None:
    out = fit.posterior.unwritable = tmp_path / "run"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr("flowvi.cli._require_writable", lambda directory: None)
    assert main(["fit", file("m.py", COIN), "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert "saved" not in printed.out
    assert f"SaveError: Cannot save to {out}" in printed.err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [(DensityError("nan at tau = 0"), 2, "nan at tau = 0"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_what_fit_raises_is_one_line(fit, file, capsys, error, status, said) -> None:
    fit.error = error
    assert main(["fit", file("m.py", COIN)]) == status
    printed = capsys.readouterr().err
    assert said in printed
    assert len(printed.splitlines()) == 1


def test_a_fit_from_file_to_directory(file, tmp_path, capsys) -> None:
    out = tmp_path / "run"
    normal = "example = {'x': 0.0}\ndef log_density(p): return -((p['x'] - 5.0) ** 2)"
    assert main(["fit", file("m.py", normal), "--out", str(out), "--draws", "500", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines().count("verdict: good") == 1
    assert flowvi.load(out).draws["x"].mean() == pytest.approx(5.0, abs=0.15)


@pytest.mark.parametrize(
    "arguments",
    ["", "fit", "fit m.py --draws 0", "fit m.py --seed x", "fit m.py --seed -1", f"fit m.py --seed {2**63}"],
)
def test_a_wrong_call_says_so(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments.split())
    assert raised.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_help_needs_no_jax() -> None:
    script = (
        "import sys, flowvi.cli\n"
        "try: flowvi.cli.main(['fit', '--help'])\n"
        "finally: assert not {'jax', 'numpy', 'rich'} & set(sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "--data DATA.json" in answer.stdout
