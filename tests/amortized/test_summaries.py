"""Summary networks: what may not change them, what must, and data sets of several sizes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from amortized_cases import small

import flowvi
from flowvi.amortized.deep_set import DeepSet
from flowvi.amortized.image import Image
from flowvi.amortized.layout import layout_of
from flowvi.amortized.series import Series
from flowvi.amortized.set_transformer import SetTransformer
from flowvi.bijections import trainable
from flowvi.errors import ArgumentError, DataError

pytestmark = pytest.mark.slow


SETS = {"deep set": DeepSet(3, 4, seed=0), "set transformer": SetTransformer(3, 4, seed=0)}
OF_ANY_LENGTH = SETS | {"series": Series(3, 4, seed=0)}
ALL = OF_ANY_LENGTH | {"image": Image((9, 7, 3), 4, seed=0)}
X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)), jnp.float32)


def shape_for(name):
    return (9, 7, 3) if name == "image" else (6, 3)


@pytest.mark.parametrize("network", SETS.values(), ids=SETS)
def test_sets_have_no_order(network):
    np.testing.assert_allclose(network(X), network(X[jnp.array([3, 1, 0, 5, 4, 2])]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", OF_ANY_LENGTH.values(), ids=OF_ANY_LENGTH)
def test_padding_changes_nothing(network):
    padded = jnp.concatenate([X, 7 * jnp.ones((4, 3))])
    np.testing.assert_allclose(network(X), network(padded, jnp.arange(10) < 6), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", OF_ANY_LENGTH.values(), ids=OF_ANY_LENGTH)
def test_more_of_the_same_is_another_summary(network):
    # what is known of a mean depends on how many there are
    assert np.abs(network(X) - network(jnp.concatenate([X, X]))).max() > 1e-3


def test_series_have_an_order():
    assert np.abs(OF_ANY_LENGTH["series"](X) - OF_ANY_LENGTH["series"](X[::-1])).max() > 1e-3


@pytest.mark.parametrize("name", ALL)
@pytest.mark.slow
def test_summaries_are_float32_and_every_weight_has_a_gradient(name):
    network = ALL[name]
    x = jnp.asarray(np.random.default_rng(1).normal(size=shape_for(name)), jnp.float32)
    assert network(x).dtype == np.float32
    assert network(x).shape == (network.size,)
    weights, rest = eqx.partition(network, trainable(network))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(weights))
    gradient = jax.grad(lambda w: jnp.sum(jnp.sin(eqx.combine(w, rest)(x))))(weights)
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 0


def test_an_image_is_convolved():
    # a product of patches and weights is the convolution
    network = Image((6, 6), 2, seed=0, width=1)
    image = np.random.default_rng(0).normal(size=(6, 6))
    kernel = np.asarray(network.convolutions[0].weight).reshape(3, 3)
    padded = np.pad(image, 1)
    wanted = [[np.sum(padded[i : i + 3, j : j + 3] * kernel) for j in (0, 2, 4)] for i in (0, 2, 4)]
    flat = jax.nn.silu(jnp.asarray(wanted, jnp.float32)).ravel()
    np.testing.assert_allclose(
        network(jnp.asarray(image, jnp.float32)), network.last(network.hidden(flat)), rtol=1e-4, atol=1e-5
    )


def simulate_sizes(rng):
    mu = rng.normal()
    return {"mu": mu}, rng.normal(mu, 1.0, size=rng.integers(2, 30))


@pytest.fixture(scope="module")
def sized():
    return flowvi.amortize(
        simulate=simulate_sizes, summary=DeepSet(1, 4, seed=0, width=24), simulations=3000, flow=small,
        max_steps=800, progress=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_set_of_any_size_has_its_posterior(sized):
    rng = np.random.default_rng(4)
    for n in (2, 25):
        x = rng.normal(0.8, 1.0, size=n)
        draws = sized.sample(x, 4000)["mu"]
        mean, sd = x.sum() / (n + 1), (n + 1) ** -0.5
        assert abs(draws.mean() - mean) < 0.25 * sd + 4 * sd / np.sqrt(4000)
        assert abs(draws.std() / sd - 1) < 0.25


def test_sets_of_several_sizes_go_in_together(sized):
    sets = [np.ones(3), np.zeros(7), np.full(40, 0.5)]
    draws = sized.sample(sets, 10)["mu"]
    assert draws.shape == (3, 10)
    np.testing.assert_allclose(draws[1], sized.sample(sets, 10)["mu"][1])
    summaries = sized.summaries(sets)
    for one, alone in zip(summaries, sets, strict=True):
        np.testing.assert_allclose(one, sized.summaries(alone), rtol=1e-4, atol=1e-5)
    # also as an array, where the sizes are equal
    assert sized.sample(np.ones((4, 6)), 5)["mu"].shape == (4, 5)
    with pytest.raises(DataError, match="any length"):
        sized.sample(np.ones((2, 3, 4)), 5)
    with pytest.raises(DataError, match=r"x\[1\] is nan"):
        sized.sample([np.ones(3), np.array([np.nan])], 5)


@pytest.mark.parametrize("summary", ["set_transformer", "series", "image"])
@pytest.mark.slow
def test_networks_train_by_their_names(summary):
    def simulate(rng):
        mu = rng.normal()
        return {"mu": mu}, rng.normal(mu, 1.0, size=(6, 6))

    amortized = flowvi.amortize(
        simulate=simulate, summary=summary, simulations=300, flow=small, max_steps=50, progress=False
    )
    assert amortized.curve.training[-1] > amortized.curve.training[0] - 0.5
    assert amortized.sample(np.zeros((6, 6)), 5)["mu"].shape == (5,)
    assert amortized.outlying(np.zeros((6, 6))) > 0.01


class Own(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x):
        return jnp.tanh(self.linear(jnp.mean(x, axis=0)))


def simulate_pairs(rng):
    mu = rng.normal()
    return {"mu": mu}, rng.normal(mu, 1.0, size=(5, 2))


def test_a_network_of_ones_own():
    own = Own(eqx.nn.Linear(2, 3, key=jax.random.key(0)))
    amortized = flowvi.amortize(
        simulate=simulate_pairs, summary=own, simulations=300, flow=small, max_steps=25, progress=False
    )
    assert amortized.summaries(np.zeros((5, 2))).shape == (3,)
    with pytest.raises(ArgumentError, match=r"one data set of shape \(5, 2\)"):
        flowvi.amortize(
            simulate=simulate_pairs, summary=eqx.nn.Linear(7, 3, key=jax.random.key(0)), simulations=300,
            progress=False,
        )  # fmt: skip


def test_a_layout_standardises_and_pads():
    rng = np.random.default_rng(0)
    sets = [rng.normal(5.0, [1.0, 100.0], size=(n, 2)) for n in rng.integers(3, 9, size=400)]
    layout = layout_of(sets, sizes_vary=True)
    batch = layout.batch(sets)
    assert batch.values.shape == (400, 8, 2)
    assert batch.mask is not None
    assert batch.mask.sum(axis=1).tolist() == [len(one) for one in sets]
    inside = batch.values[batch.mask]
    np.testing.assert_allclose(inside.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(inside.std(axis=0), 1, atol=1e-3)
    assert np.all(batch.values[~batch.mask] == 0)
