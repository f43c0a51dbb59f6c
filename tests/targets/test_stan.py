"""Stan programs, compiled for real; skipped where there is no compiler or no httpstan."""

from __future__ import annotations

import gc
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import flowvi
from flowvi.errors import (
    CannotSimulateError,
    DataError,
    DensityError,
    DependencyError,
    ModelError,
    PrecisionError,
    SupportError,
)
from flowvi.targets.base import Target
from flowvi.targets.stan import StanModel, StanTarget, compile
from flowvi.targets.stan.bridge import bridgestan_is_installed
from flowvi.targets.stan.names import label, variables

PROGRAMS = Path(__file__).parent / "stan"
RNG = np.random.default_rng(0)
REGRESSION = {"N": 20, "K": 3, "X": RNG.normal(size=(20, 3)), "y": RNG.normal(size=20)}
SHAPES = {"K": 4, "W": RNG.normal(size=(2, 3)), "C": np.arange(6).reshape(2, 3)}
STANDARD = "parameters { real x; } model { x ~ normal(0, 1); }"


def _reason_to_skip() -> str:
    try:
        compile.httpstan_folder()
        compile._compiler()
    except DependencyError as error:
        return str(error)
    return ""


needs_stan = pytest.mark.skipif(bool(_reason_to_skip()), reason=_reason_to_skip())


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """All programs at once, one per core."""
    if not _reason_to_skip():
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            files = PROGRAMS.glob("*.stan")
            list(
                pool.map(
                    lambda path: compile.compile_program(path.name, path.read_text(), path.parent), files
                )
            )


@pytest.fixture(scope="module")
def schools() -> StanTarget:
    return StanTarget.build(PROGRAMS / "eight_schools.stan", PROGRAMS / "eight_schools.json")


@pytest.fixture(scope="module")
def regression() -> StanTarget:
    return StanTarget.build(PROGRAMS / "regression.stan", REGRESSION)


@pytest.fixture(scope="module")
def shapes() -> StanTarget:
    return StanTarget.build(PROGRAMS / "shapes.stan", SHAPES)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def points(target: StanTarget, n: int = 5) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, target.dim))


def regression_in_jax(z: jax.Array) -> jax.Array:
    alpha, beta, log_sigma = z[0], z[1:4], z[4]
    sigma = jnp.exp(log_sigma)
    prior = jax.scipy.stats.norm.logpdf(alpha, 0, 3) + jax.scipy.stats.t.logpdf(beta, 4).sum()
    prior += jnp.log(0.5) - 0.5 * sigma + log_sigma
    return prior + jax.scipy.stats.norm.logpdf(REGRESSION["y"], alpha + REGRESSION["X"] @ beta, sigma).sum()


@needs_stan
def test_eight_schools_matches_the_formula(schools, x64):
    z = points(schools, 1)[0]
    data = json.loads((PROGRAMS / "eight_schools.json").read_text())
    mu, tau = z[0], np.exp(z[1])
    by_hand = stats.norm.logpdf(mu, 0, 5) + stats.cauchy.logpdf(tau, 0, 5) + z[1]
    by_hand += stats.norm.logpdf(z[2:]).sum()
    by_hand += stats.norm.logpdf(data["y"], mu + tau * z[2:], data["sigma"]).sum()
    assert float(schools.log_density(jnp.asarray(z))) == pytest.approx(by_hand, rel=1e-12)
    assert schools.coordinates[:3] == ("mu", "tau", "theta_trans[1]")


@needs_stan
def test_regression_matches_jax_with_its_gradient(regression, x64):
    z = jnp.asarray(points(regression))
    values, gradients = jax.vmap(jax.value_and_grad(regression.log_density))(z)
    expected, expected_gradients = jax.vmap(jax.value_and_grad(regression_in_jax))(z)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(gradients, expected_gradients, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(jax.vmap(regression.log_density)(z), values, rtol=1e-13)
    direction = jnp.ones(regression.dim)
    slope = jax.jvp(regression.log_density, (z[0],), (direction,))[1]
    np.testing.assert_allclose(slope, gradients[0].sum(), rtol=1e-12)


@needs_stan
def test_shapes_density_is_the_formula_plus_the_jacobian(shapes, x64):
    z = points(shapes, 1)[0]

    def free(d):
        return np.concatenate([d["p"][:, :-1], d["L"][:, [1, 2, 2], [0, 0, 1]], d["cut"]], axis=1)

    constrained = 3 + 3 + 3
    step = 1e-6 * np.eye(shapes.dim)[:constrained]
    forward, backward = (shapes.constrain(z + sign * step) for sign in (1, -1))
    jacobian = (free(forward) - free(backward))[:, :constrained] / 2e-6
    d = {name: value[0] for name, value in shapes.constrain(z[None]).items()}
    density = np.arange(1, 5) @ np.log(d["p"]) - d["cut"] @ d["cut"]
    density += 3 * d["L"][1, 0] + 5 * d["L"][2, 0] + 7 * np.log(d["L"][2, 2])
    density += (
        -((d["m"] - SHAPES["W"]) ** 2).sum() - 0.5 * d["av"][0] @ d["av"][0] - 2 * d["av"][1] @ d["av"][1]
    )
    density += -sum((i + 1) * ((d["am"][i] - SHAPES["W"]) ** 2).sum() for i in range(2))
    density += -(d["t:1"] ** 2) - 3 * d["t:2"] @ d["t:2"] - d["w.real"] ** 2 - d["w.imag"] ** 2
    value = float(shapes.log_density(jnp.asarray(z)))
    assert value == pytest.approx(density + np.linalg.slogdet(jacobian)[1], abs=1e-6)

    gradient = jax.grad(shapes.log_density)(jnp.asarray(z))
    step = 1e-6 * np.eye(shapes.dim)
    slopes = (jax.vmap(shapes.log_density)(z + step) - jax.vmap(shapes.log_density)(z - step)) / 2e-6
    np.testing.assert_allclose(gradient, slopes, atol=1e-6)


@needs_stan
def test_draws_have_stans_names_and_shapes(shapes, schools):
    d = shapes.constrain(points(shapes))
    assert {name: value.shape[1:] for name, value in d.items()} == {
        "p": (4,), "L": (3, 3), "cut": (3,), "m": (2, 3), "av": (2, 3), "am": (2, 2, 3), "t:1": (),
        "t:2": (2,), "w.real": (), "w.imag": (), "root": (1,), "W_again": (2, 3), "C_again": (2, 3),
        "m21": (), "am213": (),
    }  # fmt: skip
    np.testing.assert_allclose(d["p"].sum(1), 1)
    assert (np.diff(d["cut"]) > 0).all()
    np.testing.assert_allclose((d["L"] ** 2).sum(2), 1)
    assert (d["L"][:, 0, 1:] == 0).all()
    np.testing.assert_array_equal(d["W_again"], np.broadcast_to(SHAPES["W"], (5, 2, 3)))
    np.testing.assert_array_equal(d["C_again"][0], SHAPES["C"])
    np.testing.assert_array_equal(d["m21"], d["m"][:, 1, 0])
    np.testing.assert_array_equal(d["am213"], d["am"][:, 1, 0, 2])
    z = points(schools)
    d = schools.constrain(z)
    np.testing.assert_allclose(d["theta"], z[:, 2:] * d["tau"][:, None] + d["mu"][:, None])


@needs_stan
def test_solvers_which_differentiate_inside_run_on_every_thread(shapes, x64):
    z = points(shapes, 2000)
    d = shapes.constrain(z)
    np.testing.assert_allclose(d["root"][:, 0], d["cut"][:, 0], rtol=1e-10)
    values = jax.vmap(shapes.log_density)(jnp.asarray(z))
    assert float(values[1999]) == float(shapes.log_density(jnp.asarray(z[1999])))


@needs_stan
@pytest.mark.parametrize("name", ["schools", "regression", "shapes"])
def test_unconstrain_inverts_constrain(name, request):
    target = request.getfixturevalue(name)
    z = points(target)
    for row, expected in enumerate(z):
        parameters = {name: value[row] for name, value in target.constrain(z).items()}
        np.testing.assert_allclose(target.unconstrain(parameters), expected, atol=1e-12)


@needs_stan
def test_batches_scans_and_threads_agree_with_a_loop(schools, x64):
    z = jnp.asarray(points(schools, 3000))
    batched = eqx.filter_jit(lambda target, z: jax.vmap(jax.value_and_grad(target.log_density))(z))
    values, gradients = batched(schools, z)
    one = eqx.filter_jit(lambda target, z: jax.value_and_grad(target.log_density)(z))
    for i in (0, 1, 2999):
        value, gradient = one(schools, z[i])
        assert value == values[i]
        np.testing.assert_array_equal(gradient, gradients[i])
    nested = jax.vmap(jax.vmap(schools.log_density))(z.reshape(30, 100, -1))
    np.testing.assert_allclose(nested.ravel(), values, rtol=1e-13)
    scanned = eqx.filter_jit(
        lambda target, z: jax.lax.scan(
            lambda x, _: (x + 0.1 * jax.grad(target.log_density)(x),) * 2, z, length=9
        )
    )(schools, z[0])[1]
    x = z[0]
    for row in scanned:
        x = x + 0.1 * one(schools, x)[1]
        np.testing.assert_allclose(row, x, rtol=1e-12)

    results = {}

    def work(k: int) -> None:
        with jax.enable_x64(True):
            results[k] = np.asarray(batched(schools, z)[1])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((results[k] == gradients).all() for k in range(4))


@needs_stan
def test_calling_back_into_python_gives_the_same(regression, x64, monkeypatch):
    z = jnp.asarray(points(regression, 50))
    function = jax.vmap(jax.value_and_grad(regression.log_density))
    values, gradients = function(z)
    monkeypatch.setattr(type(regression.loaded.backend), "ffi", False)
    again, gradients_again = jax.jit(function)(z)
    np.testing.assert_array_equal(again, values)
    np.testing.assert_array_equal(gradients_again, gradients)
    assert regression.log_density(z[0]) == pytest.approx(float(values[0]), rel=1e-13)


@needs_stan
def test_calling_back_keeps_doubles_where_the_input_is_still_being_computed(regression, x64, monkeypatch):
    # the call then comes from a thread of XLA, in which x64 is off
    monkeypatch.setattr(type(regression.loaded.backend), "ffi", False)
    function = jax.jit(jax.vmap(jax.value_and_grad(regression.log_density)))
    slow = jax.jit(lambda z, a: z + 0 * jnp.sum(a @ a @ a))
    z, a = jnp.asarray(points(regression, 50)), jnp.ones((2000, 2000))
    values, _ = function(z)
    slow(z, a).block_until_ready()
    np.testing.assert_array_equal(function(slow(z, a))[0], values)


@needs_stan
def test_new_data_compile_nothing(regression, x64):
    traces = []

    @eqx.filter_jit
    def value(target: Target, z: jax.Array) -> jax.Array:
        traces.append(z)
        return target.log_density(z)

    z = jnp.asarray(points(regression, 1)[0])
    other = StanTarget.build(PROGRAMS / "regression.stan", REGRESSION | {"y": REGRESSION["y"] + 1})
    before = os.stat(other.loaded.backend._library._name).st_mtime_ns
    assert value(regression, z) != value(other, z)
    assert value(regression, z) == pytest.approx(float(regression_in_jax(z)))
    assert len(traces) == 1
    third = StanTarget.build(StanModel(PROGRAMS / "regression.stan", REGRESSION))
    assert os.stat(third.loaded.backend._library._name).st_mtime_ns == before
    both = jax.vmap(lambda handle: eqx.tree_at(lambda t: t.handle, regression, handle).log_density(z))
    values = both(jnp.stack([regression.handle, other.handle]))
    np.testing.assert_allclose(values, [value(regression, z), value(other, z)], rtol=1e-13)


@needs_stan
def test_a_deleted_model_is_an_error_not_a_crash(x64):
    target = StanTarget.build(PROGRAMS / "regression.stan", REGRESSION)
    handle = target.handle
    other = StanTarget.build(PROGRAMS / "regression.stan", REGRESSION)
    del target
    gc.collect()
    stale = eqx.tree_at(lambda t: t.handle, other, handle)
    with pytest.raises(Exception, match="this Stan model is gone"):
        stale.log_density(jnp.zeros(5))


@needs_stan
def test_rejected_points_and_exceptions(regression, x64):
    def at(alpha=0.0, beta=0.0):
        return jnp.array([alpha, beta, 0.0, 0.0, 0.0])

    value_and_grad = jax.value_and_grad(regression.log_density)
    value, gradient = value_and_grad(at(alpha=101.0))
    assert value == -jnp.inf
    assert regression.log_density(at(alpha=101.0)) == -jnp.inf
    assert (gradient == 0).all()
    assert "alpha is beyond 100: 101" in regression.explain(np.asarray(at(alpha=101.0)))
    for z, message in ((at(alpha=-101.0), "alpha is below -100"), (at(beta=101.0), "index 3 out of range")):
        value, gradient = value_and_grad(z)
        assert jnp.isnan(value)
        assert jnp.isnan(gradient).all()
        assert message in regression.explain(np.asarray(z))
        assert "regression.stan', line" in regression.explain(np.asarray(z))
    assert jnp.isnan(regression.log_density(at(alpha=jnp.nan)))
    assert regression.explain(np.asarray(at())) == ""
    mixed = jax.vmap(regression.log_density)(jnp.stack([at(), at(alpha=101.0), at(alpha=-101.0)]))
    assert [bool(jnp.isfinite(mixed[0])), float(mixed[1]), bool(jnp.isnan(mixed[2]))] == [True, -np.inf, True]


@needs_stan
def test_what_the_program_says_where_it_rejects_every_start_reaches_the_user():
    with pytest.raises(DensityError, match=r"-inf at all 8 starts, for example at x = [-.\d]+\. .*N is one"):
        flowvi.fit(StanModel(PROGRAMS / "rejects.stan", {"N": 1}), progress=False)


@needs_stan
def test_generated_quantities_that_fail_warn_and_leave_the_rest(regression):
    z = np.zeros((2, 5))
    z[1, 0] = 60
    with pytest.warns(RuntimeWarning, match="1 of 2 draws .* no simulation with alpha beyond 50"):
        d = regression.constrain(z)
    assert d["alpha"].tolist() == [0, 60]
    assert np.isnan(d["y_rep"][1]).all()
    assert np.isfinite(d["y_rep"][0]).all()


@needs_stan
def test_simulation_depends_on_the_seed_and_the_new_data(regression, schools, shapes):
    draws = schools.constrain(points(schools, 500))
    first, again, other = (schools.predictive(draws, seed, (), {}) for seed in (1, 1, 2))
    assert set(first) == {"y_rep"}
    assert (first["y_rep"] == again["y_rep"]).all()
    assert (first["y_rep"] != other["y_rep"]).all()
    error = (first["y_rep"] - draws["theta"]) / schools.loaded.model.data["sigma"]
    assert abs(error.mean()) < 0.1
    assert abs(error.std() - 1) < 0.05
    assert schools.observed_data()["y"].tolist() == [28, 8, -3, 7, -1, 1, 18, 12]
    np.testing.assert_array_equal(schools.log_likelihood(draws)["log_lik"], draws["log_lik"])
    without = {name: draws[name] for name in ("mu", "tau", "theta_trans")}
    np.testing.assert_allclose(schools.log_likelihood(without)["log_lik"], draws["log_lik"], rtol=1e-10)

    draws = regression.constrain(points(regression))
    new = {"N": 2, "X": np.zeros((2, 3)), "y": np.zeros(2)}
    assert regression.predictive(draws, 0, (), new)["y_rep"].shape == (5, 2)
    assert regression.log_likelihood(draws) == {}
    with pytest.raises(DataError, match=r"variable name=X; position=0; dims declared=\(2,3\)"):
        regression.predictive(draws, 0, (), {"N": 2})
    with pytest.raises(DataError, match="by name"):
        regression.predictive(draws, 0, (3,), {})
    with pytest.raises(DataError, match=r"'beta' has shape \(5, 3\)"):
        regression.predictive(draws, 0, (), {"K": 2, "X": np.zeros((20, 2))})


@needs_stan
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "y"),
        ({"y": [1.0, 2.0]}, "mismatch in dimension declared and found in context.*variable name=y"),
        ({"N": 20.5}, "int variable contained non-int values.*variable name=N"),
        ({"N": -1}, "N is -1, but must be greater than or equal to 1"),
        ({"y": [[1.0], [2.0, 3.0]]}, "`y` are not an array"),
        ({"y": ["a"] * 20}, "`y` are not an array"),
        ({"N": 2**40}, "`N` hold integers beyond 32 bits"),
    ],
)
def test_bad_data_name_the_variable(change, message):
    data = {name: value for name, value in (REGRESSION | change).items() if value is not None}
    with pytest.raises(DataError, match=f"(?s){message}"):
        StanTarget.build(PROGRAMS / "regression.stan", data)


@needs_stan
def test_bad_parameters_name_the_parameter(regression):
    good = {"alpha": 0.0, "beta": np.zeros(3), "sigma": 1.0}
    with pytest.raises(DataError, match="No value for parameter 'sigma'"):
        regression.unconstrain({"alpha": 0.0, "beta": np.zeros(3)})
    with pytest.raises(DataError, match=r"'beta' has shape \(2,\); the Stan program's is \(3,\)"):
        regression.unconstrain(good | {"beta": np.zeros(2)})
    with pytest.raises(SupportError, match="outside its support"):
        regression.unconstrain(good | {"sigma": -1.0})


@needs_stan
def test_single_precision_is_an_error(regression):
    with pytest.raises(PrecisionError, match="double precision"):
        regression.log_density(jnp.zeros(5))
    assert regression.constrain(np.zeros((1, 5), np.float32))["alpha"].dtype == np.float64


@needs_stan
def test_a_broken_program_carries_stancs_message(tmp_path):
    with pytest.raises(ModelError, match=r"(?s)'program', line 1, column 31.*nrmal"):
        StanTarget.build("parameters { real x; } model { x ~ nrmal(0, 1); }")
    path = tmp_path / "broken.stan"
    path.write_text("parameters { real x }")
    with pytest.raises(ModelError, match=r"(?s)'broken\.stan', line 1"):
        StanTarget.build(path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.stan"):
        StanModel(tmp_path / "nowhere.stan")
    with pytest.raises(DataError, match=r"nowhere\.json"):
        StanModel(STANDARD, tmp_path / "nowhere.json")
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="one JSON object"):
        StanModel(STANDARD, tmp_path / "list.json")
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(DataError, match="is not JSON"):
        StanModel(STANDARD, tmp_path / "half.json")


def test_data_become_arrays_stan_understands():
    data = StanModel(
        STANDARD,
        {
            "n": 3,
            "flag": True,
            "x": [1, 2.5],
            "odd": ["NaN", "Inf"],
            "none": [],
            "z": 1 + 2j,
            "t": {"1": 1, "2": [2.0]},
        },
    ).data
    assert {name: value.dtype.kind for name, value in data.items()} == {
        "n": "i", "flag": "i", "x": "f", "odd": "f", "none": "i", "z": "f", "t.1": "i", "t.2": "f",
    }  # fmt: skip
    assert np.isnan(data["odd"][0])
    assert data["z"].tolist() == [1, 2]


def test_names_become_arrays():
    flat = ["a.1:1", "a.1:2.1.1", "a.1:2.2.1", "a.2:1", "a.2:2.1.1", "a.2:2.2.1", "z.real", "z.imag"]
    found = {v.name: v.positions.tolist() for v in variables(flat)}
    assert found == {"a:1": [0, 3], "a:2": [[[1], [2]], [[4], [5]]], "z.real": 6, "z.imag": 7}
    assert [label(name) for name in ("mu", "theta.3", "m.2.1")] == ["mu", "theta[3]", "m[2,1]"]


@needs_stan
def test_without_a_compiler_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(DependencyError, match=r"need a C\+\+ compiler: install g\+\+"):
        StanTarget.build(STANDARD)


@needs_stan
def test_a_compiler_that_fails_is_quoted(monkeypatch, tmp_path):
    compiler = tmp_path / "broken-g++"
    compiler.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo 1; else echo out of memory >&2; exit 1; fi\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("FLOWVI_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match=r"(?s)does not compile.*out of memory"):
        StanTarget.build(STANDARD)
    assert list((tmp_path / "cache" / "stan").iterdir()) == []


def test_without_httpstan_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(compile.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"pip install 'flowvi\[stan\]'"):
        StanTarget.build(STANDARD)


def test_the_cache_folder_is_the_users_or_a_temporary_one(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWVI_CACHE_DIR", str(tmp_path))
    assert compile._cache_folder() == tmp_path / "stan"
    monkeypatch.setenv("FLOWVI_CACHE_DIR", "")
    assert compile._cache_folder().name.startswith("flowvi-stan-")
    monkeypatch.delenv("FLOWVI_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compile._cache_folder() == tmp_path / "flowvi" / "stan"
    monkeypatch.setenv("FLOWVI_CACHE_DIR", "/dev/null/nowhere")
    assert compile._cache_folder().name.startswith("flowvi-stan-")


@needs_stan
def test_programs_with_nothing_to_infer_or_simulate(monkeypatch, shapes):
    monkeypatch.setattr("flowvi.targets.stan.target.NativeModel", lambda model: shapes.loaded.backend)
    monkeypatch.setattr(type(shapes.loaded.backend), "names", lambda self, level: [])
    with pytest.raises(ModelError, match="has no parameters"):
        StanTarget.build(STANDARD)


@needs_stan
def test_a_program_that_only_generates_log_lik_cannot_simulate(monkeypatch, schools):
    only = [v for v in schools.loaded.generated if v.name == "log_lik"]
    monkeypatch.setattr(schools.loaded, "generated", only)
    with pytest.raises(CannotSimulateError, match="generated quantities"):
        schools.predictive(schools.constrain(points(schools)), 0, (), {})


@needs_stan
def test_programs_may_include_files(tmp_path):
    (tmp_path / "model.stan").write_text("model { x ~ normal(0, 1); }")
    first = compile.translate("a.stan", "parameters { real x; }\n#include model.stan\n", tmp_path)
    (tmp_path / "model.stan").write_text("model { x ~ normal(0, 2); }")
    assert compile.translate("a.stan", "parameters { real x; }\n#include model.stan\n", tmp_path) != first


@pytest.mark.skipif(
    not bridgestan_is_installed(), reason="needs the package bridgestan and its sources at $BRIDGESTAN"
)
def test_bridgestan_agrees_with_the_formula(regression, x64):
    assert not regression.loaded.backend.ffi
    z = jnp.asarray(points(regression))
    values, gradients = jax.vmap(jax.value_and_grad(regression.log_density))(z)
    expected, expected_gradients = jax.vmap(jax.value_and_grad(regression_in_jax))(z)
    np.testing.assert_allclose(values, expected, rtol=1e-10)
    np.testing.assert_allclose(gradients, expected_gradients, rtol=1e-8, atol=1e-8)


@needs_stan
@pytest.mark.slow
def test_a_function_simulates_data_for_calibration():
    def simulate(rng):
        alpha, beta, sigma = 3 * rng.normal(), rng.standard_t(4, size=3), rng.exponential(2)
        y = rng.normal(alpha + REGRESSION["X"] @ beta, sigma)
        return {"alpha": alpha, "beta": beta, "sigma": sigma}, {"y": y}

    # the data that are simulated need not be given
    given = {name: value for name, value in REGRESSION.items() if name != "y"}
    model = StanModel(PROGRAMS / "regression.stan", given)
    calibration = flowvi.calibrate(model, simulate=simulate, simulations=3, progress=False)
    shapes = {name: ranks.shape for name, ranks in calibration.ranks.items()}
    assert shapes == {"alpha": (3,), "beta": (3, 3), "sigma": (3,), "log density": (3,)}
    with pytest.raises(CannotSimulateError, match="Give `simulate=`"):
        flowvi.calibrate(StanModel(PROGRAMS / "regression.stan", REGRESSION))
