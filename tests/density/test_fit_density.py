"""Densities of data: against ones that are known, and what is refused."""

import jax
import numpy as np
import pytest
import scipy.stats

import flowvi
from flowvi.density import fit_density as module
from flowvi.density import flow_of, likelihood
from flowvi.density.rows import Rows, split
from flowvi.errors import ArgumentError, DataError, FlowError

N = 4000


def quiet(x, **kwargs):
    return flowvi.fit_density(x, progress=False, **kwargs)


def briefly(x, **kwargs):
    return quiet(x, **{"flow": "nice", "max_steps": 50} | kwargs)


GAUSSIAN = scipy.stats.multivariate_normal([10.0, -2.0], [[4.0, 1.5], [1.5, 1.0]])

X = GAUSSIAN.rvs(400, random_state=0)


class Mixture:
    """Two normals, 6 sds apart."""

    parts = (scipy.stats.norm(-3.0, 1.0), scipy.stats.norm(3.0, 0.5))

    def rvs(self, n, random_state):
        rng = np.random.default_rng(random_state)
        values = np.stack([part.rvs(n, random_state=rng) for part in self.parts])
        return np.where(rng.uniform(size=n) < 0.5, *values)

    def logpdf(self, x):
        return np.logaddexp(*[part.logpdf(x) for part in self.parts]) - np.log(2)


@pytest.fixture(scope="module")
def mixture():
    return quiet(Mixture().rvs(N, 0), seed=1)


@pytest.mark.parametrize("flow", ["gaussian", "auto"])
@pytest.mark.slow
def test_of_a_gaussian_it_reaches_the_entropy(flow):
    x = GAUSSIAN.rvs(N, random_state=0)
    fit = quiet(x, flow=flow)
    # row by row, which takes out the noise that the rows have in common
    lost = GAUSSIAN.logpdf(x[fit.test_rows]) - fit.flow.log_prob(x[fit.test_rows])
    assert abs(lost.mean()) < 0.02 + 3 * lost.std() / np.sqrt(len(lost))
    assert abs(fit.held_out.value + GAUSSIAN.entropy()) < 0.02 + 3 * fit.held_out.standard_error


def test_of_a_mixture_it_reaches_the_entropy_where_a_gaussian_cannot(mixture):
    fresh = Mixture().rvs(20_000, 1)
    exact = Mixture().logpdf(fresh)
    lost = exact - mixture.flow.log_prob(fresh[:, None])
    assert -3 * lost.std() / np.sqrt(len(lost)) < lost.mean() < 0.03
    assert (exact - scipy.stats.norm(fresh.mean(), fresh.std()).logpdf(fresh)).mean() > 0.7


def test_the_density_integrates_to_one(mixture):
    grid = np.linspace(-20, 20, 20_001)
    assert np.trapezoid(np.exp(mixture.flow.log_prob(grid[:, None])), grid) == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_in_two_dimensions_it_integrates_to_one():
    rng = np.random.default_rng(0)
    a = rng.normal(size=1000)
    fit = quiet(np.column_stack([100 * a, a**2 + 0.3 * rng.normal(size=1000)]), max_steps=200)
    axes = np.linspace(-900, 900, 501), np.linspace(-12, 25, 501)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    cell = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    assert np.exp(fit.flow.log_prob(grid)).sum() * cell == pytest.approx(1, abs=0.01)


def test_the_score_is_the_mean_log_density_of_the_rows_it_names(mixture):
    values = mixture.flow.log_prob(Mixture().rvs(N, 0)[mixture.test_rows, None])
    assert mixture.held_out.value == pytest.approx(values.mean(), abs=1e-10)
    assert mixture.held_out.standard_error == pytest.approx(values.std(ddof=1) / 20, abs=1e-10)


@pytest.mark.slow
def test_the_score_is_honest_where_the_flow_learns_its_rows_by_heart():
    # many small fits: of each, the training rows score far better than fresh ones
    off, optimism = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x, fresh = rng.normal(size=(60, 3)), rng.normal(size=(4000, 3))
        fit = quiet(x, seed=seed, max_steps=100)
        truth = fit.flow.log_prob(fresh).mean()
        off.append(
            (fit.held_out.value - truth) / fit.flow.log_prob(fresh).std() * np.sqrt(len(fit.test_rows))
        )
        optimism.append(np.delete(fit.flow.log_prob(x), fit.test_rows).mean() - truth)
    assert abs(np.mean(off)) < 3 / np.sqrt(len(off))
    assert np.mean(optimism) > 0.05


def test_no_test_row_is_seen_before_the_score(monkeypatch):
    taken, take = [], Rows.take

    def watched(rows, numbers, rng):
        taken.append(set(numbers))
        return take(rows, numbers, rng)

    monkeypatch.setattr(Rows, "take", watched)
    fit = briefly(GAUSSIAN.rvs(400, random_state=0), max_steps=500)
    assert len(fit.test_rows) == 40
    used = [numbers for numbers in taken if numbers != set(fit.test_rows)]
    assert len(used) == len(taken) - 1
    assert len(used) > 3
    assert not set().union(*used) & set(fit.test_rows)


@pytest.mark.parametrize("factor", [2.0**20, 1e6, 1e-6])
def test_a_change_of_units_shifts_the_score_by_its_logarithm(factor):
    x = GAUSSIAN.rvs(300, random_state=0)
    one, other = briefly(x), briefly(factor * x)
    assert other.held_out.value == pytest.approx(one.held_out.value - 2 * np.log(factor), abs=1e-6)
    assert other.held_out.standard_error == pytest.approx(one.held_out.standard_error, abs=1e-6)
    np.testing.assert_allclose(other.curve.validation, one.curve.validation - 2 * np.log(factor), atol=1e-6)


def test_columns_far_from_zero_in_single_precision():
    x = GAUSSIAN.rvs(300, random_state=0) + 1e6
    np.testing.assert_allclose(briefly(x).held_out, briefly(x - 1e6).held_out, atol=1e-5)
    narrow = GAUSSIAN.rvs(300, random_state=0).astype(np.float32)
    np.testing.assert_allclose(briefly(narrow).held_out, briefly(narrow.astype(float)).held_out, atol=1e-12)


@pytest.mark.slow
def test_given_a_condition_it_is_the_density_of_the_regression():
    rng = np.random.default_rng(0)
    c = rng.uniform(1000, 3000, size=N)
    location, scale = (lambda c: np.sin(c / 400)), (lambda c: 0.1 + c / 10_000)
    x = location(c) + scale(c) * rng.standard_normal(N)
    fit = quiet(x, condition=c)
    at = rng.uniform(1100, 2900, size=5000)
    fresh = location(at) + scale(at) * rng.standard_normal(5000)
    exact = scipy.stats.norm.logpdf(fresh, location(at), scale(at))
    lost = exact - fit.flow.log_prob(fresh[:, None], at[:, None])
    assert -3 * lost.std() / np.sqrt(len(lost)) < lost.mean() < 0.06
    draws = fit.flow.sample(0, (4000,), np.array([2000.0]))
    assert abs(draws.mean() - location(2000)) < 0.06
    assert draws.std() == pytest.approx(scale(2000), rel=0.2)


def test_a_change_of_units_of_the_condition_changes_nothing():
    rng = np.random.default_rng(0)
    c = rng.normal(size=(300, 2))
    x = c @ [1.0, 2.0] + rng.normal(size=300)
    one, other = (briefly(x, condition=k * c, flow="real_nvp") for k in (1.0, 2.0**20))
    assert one.held_out == other.held_out
    np.testing.assert_array_equal(
        one.flow.log_prob(x[:, None], c), other.flow.log_prob(x[:, None], 2.0**20 * c)
    )


def test_tables_of_all_kinds_give_the_same(tmp_path):
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    x = GAUSSIAN.rvs(400, random_state=0)
    np.save(tmp_path / "x.npy", x)
    frame = pandas.DataFrame(x, columns=["a", "b"])
    tables = [
        x,
        x.tolist(),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        frame,
        pyarrow.Table.from_pandas(frame),
    ]
    fits = [briefly(table) for table in tables]
    assert len({fit.held_out for fit in fits}) == 1
    assert fits[-1].names == ("a", "b")


def test_of_a_memory_mapped_array_no_more_is_read_at_a_time_than_asked_for(tmp_path, monkeypatch):
    largest = 0
    array = GAUSSIAN.rvs(3000, random_state=0)

    class Mapped(np.memmap):
        def __getitem__(self, index):
            nonlocal largest
            part = super().__getitem__(index)
            largest = max(largest, part.size)
            return part

    np.save(tmp_path / "x.npy", array)
    monkeypatch.setattr("flowvi.density.table._CHUNK", 200)
    monkeypatch.setattr("flowvi.density.columns._LOOKED_AT", 100)
    monkeypatch.setattr("flowvi.density.likelihood.BATCH", 4)
    monkeypatch.setattr(
        "flowvi.density.table._array",
        lambda data, argument: np.load(tmp_path / "x.npy", mmap_mode="r").view(Mapped),
    )
    fit = briefly(None)
    assert 0 < largest <= 2 * 300
    assert np.isfinite(fit.held_out.value)


def test_the_same_seed_gives_the_same_and_another_seed_another():
    x = GAUSSIAN.rvs(400, random_state=0)
    one, two, other = briefly(x, seed=3), briefly(x, seed=3), briefly(x, seed=4)
    assert one.held_out == two.held_out
    jax.tree.map(np.testing.assert_array_equal, one.flow, two.flow)
    assert one.held_out != other.held_out


@pytest.mark.parametrize("name", [name for name in flow_of.NAMES if name not in ("auto", "gaussian")])
@pytest.mark.slow
def test_every_flow_by_its_name(name):
    x, c = GAUSSIAN.rvs(400, random_state=0), GAUSSIAN.rvs(400, random_state=1)
    fit = briefly(x, condition=c, flow=name, max_steps=5)
    assert (fit.flow.dim, fit.flow.condition_dim) == (2, 2)
    assert fit.skipped == 0
    assert np.isfinite(fit.held_out.value)
    assert fit.curve.steps.tolist() == [5]


@pytest.mark.parametrize("name", ["planar", "iaf"])
@pytest.mark.slow
def test_flows_that_are_turned_around_give_draws_with_their_density(name):
    fit = briefly(X, flow=name, max_steps=25)
    draws, log_prob = fit.flow.sample_and_log_prob(0, (20,))
    np.testing.assert_allclose(fit.flow.log_prob(draws), log_prob, atol=1e-6)


def test_a_flow_of_ones_own_is_trained_from_where_it_is():
    x = GAUSSIAN.rvs(400, random_state=0)
    own = flowvi.flows.real_nvp(2, key=0, layers=2, width=8)
    fit = briefly(x, flow=own)
    assert jax.tree.structure(fit.flow.bijection.bijections[0]) == jax.tree.structure(own.bijection)
    longer = briefly(x, flow=flowvi.flows.Flow(own.base, fit.flow.bijection.bijections[0]))
    assert longer.curve.training[0] > fit.curve.training[0]


@pytest.fixture(scope="module")
def of_angles():
    x = scipy.stats.vonmises(2.0, loc=3.0).rvs(1000, random_state=0)
    return quiet(x, flow=flowvi.flows.circular_spline(1, key=0), max_steps=200)


def test_a_density_of_angles_integrates_to_one_over_a_turn(of_angles):
    # equal steps integrate a periodic function
    turn = -np.pi + 2 * np.pi * (np.arange(4000) + 0.5) / 4000
    density = np.exp(of_angles.flow.log_prob(turn[:, None]))
    assert density.mean() * 2 * np.pi == pytest.approx(1, abs=1e-5)
    assert density.max() / density.min() > 10


def test_a_density_of_angles_is_scored_on_their_own_scale(of_angles):
    fresh = scipy.stats.vonmises(2.0, loc=3.0).rvs(5000, random_state=1)
    lost = scipy.stats.vonmises(2.0, loc=3.0).logpdf(fresh) - of_angles.flow.log_prob(fresh[:, None])
    assert abs(lost.mean()) < 0.05
    assert of_angles.held_out.value == pytest.approx(
        of_angles.flow.log_prob(fresh[:, None]).mean(), abs=4 * of_angles.held_out.standard_error
    )
    draws = of_angles.flow.sample(0, (100,))
    assert np.all(np.abs(draws) <= np.pi)


def test_angles_given_a_condition():
    rng = np.random.default_rng(0)
    c = rng.normal(100.0, 20.0, size=300)
    flow = flowvi.flows.circular_spline(1, key=0, condition_dim=1, layers=2, width=8)
    fit = briefly(np.angle(np.exp(0.1j * c)).astype(np.float32), condition=c, flow=flow)
    assert fit.flow.periodic
    location = fit.flow.bijection.location.value
    assert location == pytest.approx(100.0, abs=10.0)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_class_that_one_row_has_may_be_a_condition(seed):
    rare = np.zeros((400, 2))
    rare[7, 1] = 1.0
    fit = briefly(X, condition=rare, flow="real_nvp", seed=seed, max_steps=5)
    assert np.isfinite(fit.held_out.value)


def test_discrete_columns_are_spread_on_request_and_the_score_bounds_that_of_their_values():
    rng = np.random.default_rng(0)
    x = np.column_stack([0.5 * rng.poisson(4, N), rng.standard_normal(N)])
    with pytest.raises(DataError, match=r"x\['0'\] is discrete: .* distinct values .*dequantise=True"):
        briefly(x)
    fit = quiet(x, dequantise=True, max_steps=3000)
    assert fit.dequantised == ("0",)
    # P(value) is at least the density times the width of a value's cell
    attainable = -scipy.stats.poisson(4).entropy() - np.log(0.5) - scipy.stats.norm.entropy()
    assert fit.held_out.value < attainable + 3 * fit.held_out.standard_error
    assert fit.held_out.value > attainable - 0.15 - 3 * fit.held_out.standard_error
    assert "a lower bound: 0 dequantised" in repr(fit)


def test_the_curve_says_how_training_went(mixture):
    curve = mixture.curve
    assert curve.steps.shape == curve.training.shape == curve.validation.shape
    assert np.all(np.diff(curve.steps) > 0)
    assert curve.validation.max() > curve.validation[0] + 0.1
    entropy = -Mixture().logpdf(Mixture().rvs(20_000, 3)).mean()
    assert curve.validation.max() == pytest.approx(-entropy, abs=0.2)
    assert curve.training[-1] == pytest.approx(-entropy, abs=0.1)


def test_training_stops_by_itself_and_keeps_the_best():
    fit = quiet(GAUSSIAN.rvs(300, random_state=0))
    assert fit.curve.steps[-1] < 3000
    assert np.argmax(fit.curve.validation) < len(fit.curve.steps) - 1


def test_a_fit_shows_its_score():
    fit = briefly(GAUSSIAN.rvs(400, random_state=0))
    assert repr(fit) == (
        f"DensityFit of 2 columns: held-out log likelihood {fit.held_out} nats per row over 40 rows; 50 steps"
    )
    with pytest.raises(AttributeError):
        fit.skipped = 3


def test_steps_that_are_not_finite_are_skipped_and_counted(monkeypatch):
    density = likelihood.log_prob

    def faulty(flow, x, condition):
        value = density(flow, x, condition)
        # one training row poisons its batches
        return value + 0 * jax.numpy.log(jax.numpy.where(x[0] > 2.9, -1.0, 1.0))

    monkeypatch.setattr(likelihood, "log_prob", faulty)
    x = np.random.default_rng(0).normal(size=2000).clip(-2, 2)
    x[split(2000, np.random.default_rng(0)).train[0]] = 3.5
    fit = briefly(x, flow="real_nvp", max_steps=200)
    assert 0 < fit.skipped < 100
    assert f"{fit.skipped} steps skipped" in repr(fit)
    assert np.isfinite(fit.held_out.value)


@pytest.mark.parametrize("after", [0, 2])
def test_ctrl_c_keeps_the_best_flow(monkeypatch, after):
    rounds = likelihood.rounds

    def interrupted(*args):
        for _, round_ in zip(range(after), rounds(*args), strict=False):
            yield round_
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "rounds", interrupted)
    fit = briefly(GAUSSIAN.rvs(400, random_state=0), max_steps=500)
    assert fit.interrupted
    assert "interrupted" in repr(fit)
    assert len(fit.curve.steps) == after
    assert np.isfinite(fit.held_out.value)


def test_progress_goes_to_stderr(capsys):
    flowvi.fit_density(GAUSSIAN.rvs(400, random_state=0), flow="nice", max_steps=50)
    printed = capsys.readouterr()
    assert "step 50  validation -" in printed.err
    assert not printed.out


BAD = {
    "empty": (lambda: quiet(np.zeros((0, 2))), DataError, r"shape \(0, 2\)"),
    "one row": (lambda: quiet(np.array([[1.0, 2.0]])), DataError, "1 row"),
    "few rows": (lambda: quiet(X[:49]), DataError, "49 rows"),
    "nan": (lambda: quiet(np.where(np.arange(400)[:, None] == 7, np.nan, X)), DataError, "nan in row 7"),
    "constant": (lambda: quiet(np.c_[X, np.ones(400)]), DataError, r"x\['2'\] has 1 distinct value"),
    "constant though dequantised": (
        lambda: quiet(np.c_[X, np.ones(400)], dequantise=True),
        DataError,
        "1 distinct",
    ),
    "nan given": (lambda: quiet(X, condition=np.full(400, np.nan)), DataError, r"condition\['0'\] is nan"),
    "rows differ": (lambda: quiet(X, condition=X[:3]), DataError, "400 rows but condition has 3"),
    "unknown flow": (lambda: quiet(X, flow="magic"), FlowError, "'magic'.*neural_spline"),
    "other dim": (lambda: quiet(X, flow=flowvi.flows.nice(3, key=0)), FlowError, "dim 3"),
    "not conditional": (
        lambda: quiet(X, condition=X, flow=flowvi.flows.nice(2, key=0)),
        FlowError,
        "condition_dim 2",
    ),
    "steps": (lambda: quiet(X, max_steps=0), ArgumentError, "max_steps=0"),
    "seed of text": (lambda: quiet(X, seed="a"), ArgumentError, "seed='a'"),
    "seed below zero": (lambda: quiet(X, seed=-1), ArgumentError, "seed=-1"),
    "no angles": (
        lambda: quiet(X, flow=flowvi.flows.circular_spline(2, key=0)),
        DataError,
        r"x\['0'\] is \d+\.\d+ in row 0, but the flow is of angles",
    ),
    "column": (lambda: quiet(X, dequantise=["age"]), ArgumentError, "'age'"),
}  # fmt: skip


@pytest.mark.parametrize(("attempt", "error", "words"), BAD.values(), ids=BAD)
def test_what_is_refused(as_users_run_it, attempt, error, words):
    with pytest.raises(error, match=words):
        attempt()
