"""Amortized posteriors written and read: the same bit for bit, or an error that says what is missing."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from amortized_cases import ELEMENTS, briefly, model, normal

import flowvi
from flowvi import Amortized
from flowvi.amortized import files
from flowvi.errors import ArgumentError, ModelError, NoModelError, SaveError

pytestmark = pytest.mark.slow

X = np.array([0.3, -0.2, 1.1, 0.5])


def same(loaded, amortized, x, parameters):
    one, two = loaded.sample(x, 50, seed=3), amortized.sample(x, 50, seed=3)
    assert list(one) == list(two)
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name])
    np.testing.assert_array_equal(loaded.log_prob(parameters, x), amortized.log_prob(parameters, x))
    np.testing.assert_array_equal(loaded.outlying(x), amortized.outlying(x))
    assert repr(loaded) == repr(amortized)
    assert loaded.notes == amortized.notes
    for one, two in zip(loaded.curve, amortized.curve, strict=True):
        np.testing.assert_array_equal(one, two)


def simulate(rng):
    return {"tau": rng.gamma(2.0), "p": rng.dirichlet(np.ones(3))}, rng.normal(size=4)


@pytest.fixture(scope="module")
def of_simulator():
    return briefly(simulate, supports={"tau": "positive", "p": "simplex"})


def test_of_a_simulator(of_simulator, tmp_path):
    path = tmp_path / "posterior.npz"
    of_simulator.save(path)
    assert [one.name for one in tmp_path.iterdir()] == ["posterior.npz"]
    loaded = Amortized.load(path)
    same(loaded, of_simulator, X, {"tau": 1.3, "p": np.array([0.2, 0.5, 0.3])})
    # of those that were held out
    assert loaded.check(100).simulations == 30
    again = Amortized.load(path, simulate=simulate)
    assert str(again.check(50)) == str(of_simulator.check(50))
    # what was loaded is saved again
    again.save(path)
    same(Amortized.load(path), of_simulator, X, {"tau": 1.3, "p": np.array([0.2, 0.5, 0.3])})


def test_of_a_model(linear, tmp_path):
    path = tmp_path / "posterior.npz"
    linear.save(path)
    loaded = Amortized.load(path, model, np.ones((ELEMENTS, 2)))
    y = np.array([[0.7, -1.2], [1.1, -0.4], [0.4, -0.9]])
    same(loaded, linear, y, {"mu": np.zeros(2)})
    one, two = loaded.posterior(y, 200), linear.posterior(y, 200)
    np.testing.assert_array_equal(one.draws["residual"], two.draws["residual"])
    assert one.verdict.level == two.verdict.level
    assert one.log_evidence == two.log_evidence
    assert str(loaded.check(40)) == str(linear.check(40))


def other_support(y):
    mu = numpyro.sample("mu", dist.HalfNormal(1).expand([2]).to_event(1))
    numpyro.deterministic("sum", mu.sum())
    with numpyro.plate("n", ELEMENTS):
        numpyro.sample("y", dist.Normal(mu, 0.5).to_event(1), obs=y)


def other_names(y):
    nu = numpyro.sample("nu", dist.Normal(0, 1).expand([2]).to_event(1))
    with numpyro.plate("n", ELEMENTS):
        numpyro.sample("y", dist.Normal(nu, 0.5).to_event(1), obs=y)


def test_another_model_is_told_from_it(linear, tmp_path):
    path = tmp_path / "posterior.npz"
    linear.save(path)
    y = np.zeros((ELEMENTS, 2))
    with pytest.raises(NoModelError, match="parameters mu, sum"):
        Amortized.load(path)
    with pytest.raises(ModelError, match=r"coordinates nu\[0\], nu\[1\]; q was trained on one with mu"):
        Amortized.load(path, other_names, y)
    with pytest.raises(ModelError, match="'mu' in the model given is"):
        Amortized.load(path, other_support, y)
    with pytest.raises(ArgumentError, match="missing a required argument"):
        Amortized.load(path, model)
    with pytest.raises(ArgumentError, match="has the summary network"):
        Amortized.load(path, model, y, summary=lambda x: x)


def test_counts_are_still_not_rounded(tmp_path):
    pm = pytest.importorskip("pymc")
    with pm.Model() as poisson:
        rate = pm.Gamma("rate", 2.0, 1.0)
        pm.Poisson("y", rate, observed=np.zeros(3, int))
    amortized = briefly(model=poisson)
    amortized.save(tmp_path / "posterior.npz")
    loaded = Amortized.load(tmp_path / "posterior.npz", poisson)
    same(loaded, amortized, np.array([1, 0, 2]), {"rate": 0.7})
    with pytest.raises(flowvi.errors.DataError, match=r"x is 1\.5"):
        loaded.posterior([1.5, 0, 2])


def sized(rng):
    mu = rng.normal()
    return {"mu": mu}, rng.normal(mu, 1.0, size=rng.integers(2, 9))


@pytest.mark.parametrize("summary", ["set", "series"])
def test_of_sets_of_any_size(summary, tmp_path):
    amortized = briefly(sized, summary=summary)
    amortized.save(tmp_path / "posterior.npz")
    loaded = Amortized.load(tmp_path / "posterior.npz")
    same(loaded, amortized, [np.ones(3), np.zeros(5)], {"mu": np.zeros((2, 3))})
    assert loaded.check(20).simulations == 20


class Own(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x):
        return jnp.tanh(self.linear(x))


def own(size=4):
    return Own(eqx.nn.Linear(size, 3, key=jax.random.key(0)))


def test_a_network_of_ones_own_is_given_again(tmp_path):
    amortized = briefly(normal, summary=own())
    path = tmp_path / "posterior.npz"
    amortized.save(path)
    same(Amortized.load(path, summary=own()), amortized, X, {"mu": 0.4})
    with pytest.raises(SaveError, match="summary network of your own"):
        Amortized.load(path)
    with pytest.raises(ArgumentError, match="arrays of the shapes"):
        Amortized.load(path, summary=own(5))
    with pytest.raises(ArgumentError, match="equinox module"):
        Amortized.load(path, summary="set")


def moments(x):
    return [x.mean(), x.std()]


def test_statistics_are_given_again(tmp_path):
    amortized = briefly(normal, summary=moments)
    path = tmp_path / "posterior.npz"
    amortized.save(path)
    same(Amortized.load(path, summary=moments), amortized, X, {"mu": 0.4})
    with pytest.raises(SaveError, match="function of your own"):
        Amortized.load(path)
    with pytest.raises(ArgumentError, match="when q was trained"):
        Amortized.load(path, summary=lambda x: [x.std(), x.mean()])
    with pytest.raises(ArgumentError, match="failed"):
        Amortized.load(path, summary=lambda x: x[7])


def test_files_of_something_else_are_refused(of_simulator, tmp_path):
    path = tmp_path / "posterior.npz"
    with pytest.raises(SaveError, match="no file"):
        Amortized.load(path)
    flowvi.save_module(flowvi.flows.Normal(2), path)
    with pytest.raises(SaveError, match="holds a Normal, not an amortized posterior"):
        Amortized.load(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(SaveError, match="damaged"):
        Amortized.load(path)
    of_simulator.save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(SaveError, match="damaged"):
        Amortized.load(path)
    with pytest.raises(SaveError, match="Cannot write"):
        of_simulator.save(tmp_path / "nowhere" / "posterior.npz")
    of_simulator.save(path)
    with pytest.raises(ArgumentError, match="without one"):
        Amortized.load(path, model, np.zeros((ELEMENTS, 2)))


def test_parts_that_are_missing_or_of_another_version_are_said(of_simulator, tmp_path, monkeypatch):
    path = tmp_path / "posterior.npz"
    monkeypatch.setattr(files, "_FORMAT", 99)
    of_simulator.save(path)
    monkeypatch.undo()
    with pytest.raises(SaveError, match="has format 99"):
        Amortized.load(path)
    of_simulator.save(path)
    saved = flowvi.load_module(path)
    del saved.arrays["familiar/root"]
    flowvi.save_module(saved, path)
    with pytest.raises(SaveError, match="damaged"):
        Amortized.load(path)


def test_a_crash_leaves_the_older_file(of_simulator, tmp_path, monkeypatch):
    path = tmp_path / "posterior.npz"
    of_simulator.save(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(SaveError, match="No space left"):
        of_simulator.save(path)
    assert path.read_bytes() == before
