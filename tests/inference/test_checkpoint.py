"""A fit that is killed goes on where it was, to the same answer bit for bit."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stages import density_of, quiet_fit

from flowvi import Budget, flows
from flowvi.errors import ArgumentError, CheckpointError
from flowvi.inference.budget import Ledger
from flowvi.inference.chains import run_chains
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.journal import Journal, checksum
from flowvi.inference.proposal import gaussian_proposal
from flowvi.inference.tempering import tempered_particles

Y = np.array([0.3, -1.2, 2.0])


def skewed(p, y=Y):
    """A Gamma(3, 1) variable and the mean of three observations."""
    return 2 * jnp.log(p["s"]) - p["s"] - 0.5 * jnp.sum((y - p["x"]) ** 2)


SKEWED = {"example": {"s": 1.0, "x": 0.0}, "supports": {"s": "positive"}}
FLOW = flows.real_nvp(2, key=0, layers=2, width=8)
"""Small, so that it is trained for a few rounds."""


def fit(checkpoint=None, **kwargs):
    return quiet_fit(skewed, **{**SKEWED, "flow": FLOW, "checkpoint": checkpoint, **kwargs})


@pytest.fixture(scope="module")
def plain():
    return fit()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a fit that has ended."""
    directory = tmp_path_factory.mktemp("finished")
    fit(directory)
    return directory


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of it, to be changed."""
    (tmp_path / "calls").mkdir()
    for path in [finished / "checkpoint.json", *entries(finished)]:
        (tmp_path / path.relative_to(finished)).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def computed(monkeypatch):
    """The entries whose results were not read but computed."""
    names = []
    write = Journal._write

    def record(journal, path, arrays):
        names.append(path.name)
        write(journal, path, arrays)

    monkeypatch.setattr(Journal, "_write", record)
    return names


def entries(directory):
    return sorted((Path(directory) / "calls").glob("*.npz"))


def assert_same(one, other):
    for name in ("z", "log_weights"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    for name in one.draws:
        assert one.draws[name].tobytes() == other.draws[name].tobytes()
    # as text, since nan is not equal to itself
    assert repr(one.verdict) == repr(other.verdict)
    assert one.log_evidence == other.log_evidence
    assert one.elbo == other.elbo
    assert one.stages == other.stages
    assert one.density_evaluations == other.density_evaluations


KILLED = """
import os, signal, sys
import numpy as np
sys.path.insert(0, {tests!r})
import test_checkpoint
from flowvi.inference import elbo

savez, train = np.savez, elbo._train._jitted
rounds = []

def counted(*args):
    rounds.append(True)
    return train(*args)

def half(file, *arrays, **kwargs):
    if len(rounds) < {rounds}:
        return savez(file, *arrays, **kwargs)
    file.write(b"PK and nothing that follows")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

elbo._train._jitted = counted
np.savez = half
test_checkpoint.fit({directory!r})
"""


def begin(directory, rounds):
    """A process that fits, and kills itself where a round of training is half written."""
    code = KILLED.format(tests=str(Path(__file__).parent), rounds=rounds, directory=str(directory))
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", code])


def test_killed_while_the_second_round_of_training_is_written(tmp_path, plain, computed):
    assert begin(tmp_path, rounds=2).wait() == -signal.SIGKILL
    before = len(entries(tmp_path))
    assert before > 10
    assert len(list((tmp_path / "calls").glob("*.unfinished"))) == 1
    assert_same(fit(tmp_path), plain)
    # the first round was kept, and what was half written is gone
    assert len(computed) == len(entries(tmp_path)) - before
    assert not list((tmp_path / "calls").glob("*.unfinished"))


def test_killed_from_outside_in_the_gaussian_stage(tmp_path, plain):
    process = begin(tmp_path, rounds=100)
    deadline = time.monotonic() + 60
    while len(entries(tmp_path)) < 12 and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert_same(fit(tmp_path), plain)


def test_a_fit_that_has_ended_is_read_and_nothing_computed(finished, plain, computed):
    assert_same(fit(finished), plain)
    assert computed == []


def test_a_fit_that_spent_its_budget_goes_on_without_one(tmp_path, plain, computed):
    posterior = fit(tmp_path, budget=Budget(gradients=20_000))
    assert "budget was spent in stage 'flow'" in str(posterior.verdict)
    before = set(computed)
    computed.clear()
    assert_same(fit(tmp_path), plain)
    assert computed
    assert before.isdisjoint(computed)


def test_an_interrupted_fit_goes_on(tmp_path, plain, monkeypatch):
    show = Ledger.show

    def interrupt(ledger, *args, **kwargs):
        if ledger.stages["flow"] > 0:
            raise KeyboardInterrupt
        show(ledger, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "show", interrupt)
        assert "Interrupted" in str(fit(tmp_path).verdict)
    assert_same(fit(tmp_path), plain)


@pytest.mark.usefixtures("x64")
def test_markov_chains_and_particles_are_kept(tmp_path, computed):
    def draw():
        density = density_of(lambda x: -0.5 * x @ x - 0.1 * x[0] ** 4, 2, Budget(gradients=3_000))
        density.journal = Journal(tmp_path)
        rng = np.random.default_rng(0)
        q = Gaussian(np.zeros(2), np.eye(2))
        *_, chains = run_chains(density, gaussian_proposal(q), rng.normal(size=(4, 2)), "hmc", rng, 100)
        return chains.z, tempered_particles(density, q, rng), density.ledger.stages

    first = draw()
    assert computed
    computed.clear()
    again = draw()
    assert computed == []
    for one, other in zip(first[:2], again[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert first[2] == again[2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "its seed is 0, and that of this one 1"),
        ({"draws": 100}, "its draws is 4000, and that of this one 100"),
        ({"flow": "gaussian"}, 'its flow is "a Flow with checksum .*", and that of this one "gaussian"'),
        ({"flow": flows.real_nvp(2, key=1, layers=2, width=8)}, "its flow is .*a Flow with checksum"),
        (
            {"example": {"s": 1.0, "x": 0.0, "z": 0.0}, "flow": "auto"},
            r'its coordinates is \["s", "x"\].*"x", "z"\]',
        ),
        ({"y": Y + 1e-3}, "another model, or of other data: at one point the log density was -"),
        ({"y": Y[:2]}, "another model, or of other data"),
    ],
    ids=["seed", "draws", "flow", "a flow as given", "names", "data", "fewer data"],
)
def test_the_directory_of_another_fit(finished, change, words):
    before = entries(finished)
    with pytest.raises(CheckpointError, match=f"(?s){words}.*Give another directory, or delete this one"):
        fit(finished, **change)
    assert entries(finished) == before


def test_constants_that_a_model_captures_are_seen(tmp_path):
    def log_density(scale):
        return lambda p: -0.5 * (p["x"] / scale) ** 2

    quiet_fit(log_density(1.0), example={"x": 0.0}, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="another model"):
        quiet_fit(log_density(1.01), example={"x": 0.0}, checkpoint=tmp_path)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-30])


def empty(path):
    path.write_bytes(b"")


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def other_arrays(path):
    np.savez(path, *[np.zeros(1)] * 9)


def pickled(path):
    np.savez(path, np.array([print], object), np.zeros(1))


def test_damaged_entries_are_computed_again(copied, plain, computed):
    damages = [truncated, empty, flipped, other_arrays, pickled, os.unlink]
    damaged = entries(copied)[:24]
    for path, damage in zip(damaged, 4 * damages, strict=True):
        damage(path)
    assert_same(fit(copied), plain)
    assert sorted(computed) == [path.name for path in damaged]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"log_density": "x"}'])
def test_a_damaged_head(copied, text):
    (copied / "checkpoint.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"checkpoint\.json is damaged.*delete this one"):
        fit(copied)


def test_another_version(copied):
    head = copied / "checkpoint.json"
    head.write_text(json.dumps({**json.loads(head.read_text()), "jax": "0.1"}))
    with pytest.raises(CheckpointError, match=r'its jax is "0\.1"'):
        fit(copied)


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_directories_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for name in ("file", "file/run"):
        with pytest.raises(CheckpointError, match=f"Cannot write a checkpoint to .*{name}: .*Choose"):
            fit(tmp_path / name)
    with pytest.raises(ArgumentError, match="checkpoint=3 is a int"):
        fit(3)
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        fit(tmp_path / "run")


@pytest.mark.parametrize("name", ["numpy.savez", "os.replace"])
def test_a_disk_that_fills_up_loses_nothing(tmp_path, monkeypatch, name):
    plain = fit(flow="gaussian")
    module, _, function = name.rpartition(".")
    works, calls = getattr(sys.modules[module], function), []

    def full_after_a_while(*args, **kwargs):
        calls.append(True)
        return works(*args, **kwargs) if len(calls) <= 20 else full()

    with monkeypatch.context() as patched:
        patched.setattr(name, full_after_a_while)
        posterior = fit(tmp_path, flow="gaussian")
    # it is not tried again and again
    assert len(calls) == 21
    assert posterior.z.tobytes() == plain.z.tobytes()
    assert posterior.verdict.level == plain.verdict.level
    told = "The checkpoint could not be written any more (No space left on device)"
    assert any(told in reason for reason in posterior.verdict.reasons)
    assert not list((tmp_path / "calls").glob("*.unfinished"))
    assert_same(fit(tmp_path, flow="gaussian"), plain)


def test_other_files_in_the_directory_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    posterior = quiet_fit(lambda x: -0.5 * x**2, example=0.0, checkpoint=tmp_path)
    posterior.save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    again = quiet_fit(lambda x: -0.5 * x**2, example=0.0, checkpoint=str(tmp_path))
    assert_same(again, posterior)


def test_checksums_tell_arguments_apart():
    different = [
        np.zeros(2),
        np.zeros(3),
        np.zeros((2, 1)),
        np.zeros(2, np.float32),
        np.array([0.0, -0.0]),
        [np.zeros(1), np.zeros(1)],
        np.float64(0.0),
        "hmc",
        "nuts",
        jax.random.key(0),
        jax.random.key(1),
        flows.real_nvp(2, key=0),
        flows.real_nvp(2, key=1),
        flows.iaf(2, key=0),
    ]
    assert len({checksum(one) for one in different}) == len(different)
    # whatever holds the numbers
    assert checksum(np.arange(3.0, dtype=np.float32)) == checksum(jnp.arange(3.0, dtype=jnp.float32))
    assert checksum(np.zeros((4, 6)).T) == checksum(np.zeros((6, 4)))
