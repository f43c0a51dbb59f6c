"""Posteriors with exact draws: closed form, or a density tabulated so finely that its error does not show.

`TARGETS[name]()` builds one. A new one costs a function and an entry. Every seed is fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats
from jax.scipy import stats
from numpy.random import Generator

Draws = dict[str, np.ndarray]
"""Parameter -> (draws, *shape), on the model's own scale."""


@dataclass(frozen=True)
class Synthetic:
    """A log density and what is known of it.

    Attributes:
        log_density: of the parameters on their own scale, without Jacobians; in JAX.
        example: the parameters' shapes.
        draws: exact draws, `draws(rng, n)`; None where the density does not integrate.
        log_evidence: log of the density's integral, where it is known.
        supports: as `flowvi.fit` takes them.
        errors: further quantities of draws that are zero but for Monte Carlo error.
    """

    log_density: Callable[[Any], jax.Array]
    example: Draws
    draws: Callable[[Generator, int], Draws] | None
    log_evidence: float | None = None
    supports: Mapping[str, Any] | None = None
    errors: Mapping[str, Callable[[Draws], float]] = field(default_factory=dict)

    @property
    def proper(self) -> bool:
        """Whether the density integrates."""
        return self.draws is not None


def tabulated(
    log_density: Callable[..., np.ndarray], *axes: np.ndarray
) -> tuple[Callable[[Generator, int], np.ndarray], float]:
    """Draws (n, axes) of a density tabulated in the middles of equal cells, and the log of its integral.

    `log_density` takes the axes' coordinates, broadcast against each other. Draws are uniform within a cell,
    which adds width^2 / 12 to their variance.
    """
    values = log_density(*np.meshgrid(*axes, indexing="ij", sparse=True))
    widths = np.array([axis[1] - axis[0] for axis in axes])
    cumulative = np.cumsum(np.exp(values - values.max()))

    def draws(rng: Generator, n: int) -> np.ndarray:
        cells = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
        indices = np.unravel_index(cells, values.shape)
        middles = np.stack([axis[i] for axis, i in zip(axes, indices, strict=True)], axis=1)
        return middles + widths * rng.uniform(-0.5, 0.5, middles.shape)

    return draws, float(values.max() + np.log(cumulative[-1] * widths.prod()))


def gaussian(dim: int) -> Synthetic:
    """Sds from 1e-2 to 1e2 along random axes: a covariance of condition 1e8, far from the origin."""
    rng = np.random.default_rng(dim)
    axes = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    sds = np.logspace(-2, 2, dim)
    location = 10 * rng.normal(size=dim)
    return Synthetic(
        log_density=lambda p: -0.5 * jnp.sum(((p["x"] - location) @ axes / sds) ** 2),
        example={"x": np.zeros(dim)},
        draws=lambda rng, n: {"x": location + rng.normal(size=(n, dim)) * sds @ axes.T},
        log_evidence=dim / 2 * np.log(2 * np.pi) + np.log(sds).sum(),
    )


def regression(dim: int, rows: int = 300) -> Synthetic:
    """Linear regression with fewer rows than coefficients, normal prior and known noise.

    Draws of the prior are moved to the posterior by the residuals of data simulated from them (Matheron's
    rule), which needs a system of the size of the data only.
    """
    rng = np.random.default_rng(3)
    X = rng.normal(size=(rows, dim))
    y = X @ rng.normal(size=dim) + rng.normal(size=rows)
    covariance = X @ X.T + np.eye(rows)

    def log_density(p: Any) -> jax.Array:
        return stats.norm.logpdf(p["b"]).sum() + stats.norm.logpdf(y, X @ p["b"]).sum()

    def draws(rng: Generator, n: int) -> Draws:
        b = rng.normal(size=(n, dim))
        residuals = y - b @ X.T - rng.normal(size=(n, rows))
        return {"b": b + np.linalg.solve(covariance, residuals.T).T @ X}

    evidence = scipy.stats.multivariate_normal(np.zeros(rows), covariance).logpdf(y)
    return Synthetic(log_density, {"b": np.zeros(dim)}, draws, float(evidence))


def crossed(size: int = 148) -> Synthetic:
    """One observation for each pair of a row and a column, whose effects and noise have unknown sds.

    The design is balanced: given the sds, the data's covariance has four eigenspaces (the grand mean,
    contrasts of rows, contrasts of columns, the rest). So the density of the sds is closed, and Matheron's
    rule draws the effects.
    """
    truth = np.random.default_rng(4)
    effects = 0.5 * truth.normal(size=(size, 1)) + 0.4 * truth.normal(size=size)
    y = 1 + effects + 4 * truth.normal(size=(size, size))
    y_rows, y_columns, y_mean = y.mean(axis=1), y.mean(axis=0), y.mean()
    prior, widest = 10.0, (1.0, 1.0, 5.0)

    def log_density(p: Any) -> jax.Array:
        sds = p["row_sd"], p["column_sd"], p["noise_sd"]
        of_sds = sum(stats.norm.logpdf(sd, 0, w) + np.log(2) for sd, w in zip(sds, widest, strict=True))
        of_rows = stats.norm.logpdf(p["row"], 0, p["row_sd"]).sum()
        of_columns = stats.norm.logpdf(p["column"], 0, p["column_sd"]).sum()
        location = p["mean"] + p["row"][:, None] + p["column"]
        of_data = stats.norm.logpdf(y, location, p["noise_sd"]).sum()
        return of_sds + stats.norm.logpdf(p["mean"], 0, prior) + of_rows + of_columns + of_data

    def eigenvalues(row_sd: np.ndarray, column_sd: np.ndarray, noise_sd: np.ndarray) -> list[np.ndarray]:
        rows, columns = noise_sd**2 + size * row_sd**2, noise_sd**2 + size * column_sd**2
        return [rows + size * column_sd**2 + (size * prior) ** 2, rows, columns, noise_sd**2]

    sizes = (1, size - 1, size - 1, (size - 1) ** 2)
    squares = (
        (size * y_mean) ** 2,
        size * np.sum((y_rows - y_mean) ** 2),
        size * np.sum((y_columns - y_mean) ** 2),
        np.sum((y - y_rows[:, None] - y_columns + y_mean) ** 2),
    )

    def log_marginal(*log_sds: np.ndarray) -> np.ndarray:
        sds = [np.exp(s) for s in log_sds]
        terms = [
            scipy.stats.norm.logpdf(sd, 0, w) + np.log(2) + s
            for sd, s, w in zip(sds, log_sds, widest, strict=True)
        ]
        terms += [
            -0.5 * (k * np.log(2 * np.pi * value) + square / value)
            for k, value, square in zip(sizes, eigenvalues(*sds), squares, strict=True)
        ]
        return sum(terms)

    ranges = ((0.15, 1.2, 150), (0.1, 1.1, 150), (3.8, 4.2, 80))
    log_sds, evidence = tabulated(log_marginal, *(np.log(np.geomspace(*r)) for r in ranges))

    def draws(rng: Generator, n: int) -> Draws:
        row_sd, column_sd, noise_sd = sds = np.exp(log_sds(rng, n)).T[..., None]
        grand, of_rows, of_columns, _ = eigenvalues(*sds)
        mean = prior * rng.normal(size=(n, 1))
        row, column = row_sd * rng.normal(size=(n, size)), column_sd * rng.normal(size=(n, size))
        # how far the data's means of rows and columns are from those of data simulated from the prior
        noise = mean + noise_sd / size * rng.normal(size=(n, 1))
        noise_rows, noise_columns = noise_sd / np.sqrt(size) * _contrasts(rng.normal(size=(2, n, size)))
        off_rows = y_rows - (noise + noise_rows + row + column.mean(axis=1, keepdims=True))
        off_columns = y_columns - (noise + noise_columns + row.mean(axis=1, keepdims=True) + column)
        off = off_rows.mean(axis=1, keepdims=True)
        mean += (prior * size) ** 2 * off / grand
        row += row_sd**2 * size * (off / grand + (off_rows - off) / of_rows)
        column += column_sd**2 * size * (off / grand + (off_columns - off) / of_columns)
        scalars = {"row_sd": row_sd, "column_sd": column_sd, "noise_sd": noise_sd, "mean": mean}
        return {name: value[:, 0] for name, value in scalars.items()} | {"row": row, "column": column}

    scalars = dict.fromkeys(("row_sd", "column_sd", "noise_sd", "mean"), np.zeros(()))
    return Synthetic(
        log_density,
        scalars | {"row": np.zeros(size), "column": np.zeros(size)},
        draws,
        evidence,
        dict.fromkeys(("row_sd", "column_sd", "noise_sd"), "positive"),
    )


def _contrasts(a: np.ndarray) -> np.ndarray:
    return a - a.mean(axis=-1, keepdims=True)


def funnel(dim: int) -> Synthetic:
    """Neal's: v ~ N(0, 3^2), and each x ~ N(0, e^v)."""
    return Synthetic(
        log_density=lambda p: (
            stats.norm.logpdf(p["v"], 0, 3) + stats.norm.logpdf(p["x"], 0, jnp.exp(p["v"] / 2)).sum()
        ),
        example={"v": np.zeros(()), "x": np.zeros(dim - 1)},
        draws=lambda rng, n: _funnel_draws(rng, n, dim, bend=0.0),
        log_evidence=0.0,
        errors=NECK,
    )


def funana(dim: int = 10, bend: float = 0.1) -> Synthetic:
    """A funnel bent like a banana: v ~ N(0, 3^2), and each x ~ N(bend (v^2 - 9), e^v)."""

    def log_density(p: Any) -> jax.Array:
        v = p["v"]
        of_x = stats.norm.logpdf(p["x"], bend * (v**2 - 9), jnp.exp(v / 2)).sum()
        return stats.norm.logpdf(v, 0, 3) + of_x

    return Synthetic(
        log_density,
        {"v": np.zeros(()), "x": np.zeros(dim - 1)},
        lambda rng, n: _funnel_draws(rng, n, dim, bend),
        log_evidence=0.0,
        errors=NECK,
    )


NECK = {"0.5% quantile of v, in sds": lambda draws: float(np.quantile(draws["v"], 0.005) / 3 + 2.5758293)}


def _funnel_draws(rng: Generator, n: int, dim: int, bend: float) -> Draws:
    v = 3 * rng.normal(size=n)
    x = np.exp(v[:, None] / 2) * rng.normal(size=(n, dim - 1))
    return {"v": v, "x": x + bend * (v[:, None] ** 2 - 9)}


def banana(bend: float = 0.1) -> Synthetic:
    """Haario's: x0 ~ N(0, 10^2), x1 ~ N(bend (x0^2 - 100), 1)."""

    def log_density(p: Any) -> jax.Array:
        x = p["x"]
        return stats.norm.logpdf(x[0], 0, 10) + stats.norm.logpdf(x[1], bend * (x[0] ** 2 - 100))

    def draws(rng: Generator, n: int) -> Draws:
        x = 10 * rng.normal(size=n)
        return {"x": np.stack([x, rng.normal(size=n) + bend * (x**2 - 100)], axis=1)}

    return Synthetic(log_density, {"x": np.zeros(2)}, draws, log_evidence=0.0)


def ring(radius: float = 4.0, thickness: float = 0.4) -> Synthetic:
    """Two dimensions, with |x|^2 normal around radius^2 but positive: a ring of about that thickness."""
    sd = 2 * radius * thickness
    squares = scipy.stats.truncnorm(-(radius**2) / sd, np.inf, loc=radius**2, scale=sd)

    def draws(rng: Generator, n: int) -> Draws:
        r = np.sqrt(squares.rvs(n, random_state=rng))
        angle = rng.uniform(0, 2 * np.pi, n)
        return {"x": np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)}

    return Synthetic(
        log_density=lambda p: stats.norm.logpdf(p["x"] @ p["x"], radius**2, sd),
        example={"x": np.zeros(2)},
        draws=draws,
        log_evidence=float(np.log(np.pi) + scipy.stats.norm.logcdf(radius**2 / sd)),
    )


def mixture(means: np.ndarray, weights: np.ndarray, sd: float = 1.0) -> Synthetic:
    """Normals of one sd around the means (modes, dim)."""
    dim = means.shape[1]

    def log_densities(x: Any, numpy: Any) -> Any:
        squares = numpy.sum((x[..., None, :] - means) ** 2, axis=-1) / sd**2
        return np.log(weights) - 0.5 * squares - dim / 2 * np.log(2 * np.pi * sd**2)

    def draws(rng: Generator, n: int) -> Draws:
        modes = rng.choice(len(weights), n, p=weights)
        return {"x": means[modes] + sd * rng.normal(size=(n, dim))}

    def worst_weight(draws: Draws) -> float:
        found = scipy.special.softmax(log_densities(draws["x"], np), axis=1).mean(axis=0)
        return float(np.abs(found - weights).max())

    return Synthetic(
        log_density=lambda p: jax.nn.logsumexp(log_densities(p["x"], jnp)),
        example={"x": np.zeros(dim)},
        draws=draws,
        log_evidence=0.0,
        errors={"weight of a mode": worst_weight},
    )


def two_modes(apart: float) -> Synthetic:
    """Weights 0.7 and 0.3, that many sds apart, on either side of the origin."""
    direction = np.array([0.6, 0.8])
    return mixture(apart / 2 * np.stack([-direction, direction]), np.array([0.7, 0.3]))


def two_modes_aside(apart: float) -> Synthetic:
    """Weights 0.7 at the origin and 0.3 that many sds away."""
    return mixture(apart * np.array([[0.0, 0.0], [0.6, 0.8]]), np.array([0.7, 0.3]))


def two_modes_in_many_dimensions(apart: float, dim: int) -> Synthetic:
    """Weights 0.7 and 0.3, that many sds apart along the first coordinate."""
    means = np.zeros((2, dim))
    means[:, 0] = -apart / 2, apart / 2
    return mixture(means, np.array([0.7, 0.3]))


def four_modes() -> Synthetic:
    """Weights 0.4 to 0.1, from 3 to 20 sds apart."""
    means = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 8.0], [-11.0, -9.0]])
    return mixture(means, np.array([0.4, 0.3, 0.2, 0.1]))


def forty_modes() -> Synthetic:
    """As in FAB: means uniform on (-40, 40)^2, sds softplus(1)."""
    means = np.random.default_rng(0).uniform(-40, 40, (40, 2))
    return mixture(means, np.full(40, 1 / 40), float(np.log1p(np.e)))


def banana_among_modes() -> Synthetic:
    """A banana of weight 0.79, which takes a flow, and four normals of weights 0.1 to 0.02 far from it."""
    means = np.array([[12.0, -12.0], [-14.0, -10.0], [30.0, -25.0], [-28.0, -30.0]])
    weights, sd = np.array([0.79, 0.1, 0.05, 0.04, 0.02]), 0.7

    def log_densities(x: Any, numpy: Any) -> Any:
        """Of the banana and of each normal, (..., 5)."""
        away = (x[..., 1] - 0.5 * x[..., 0] ** 2) / 0.4
        of_banana = -0.5 * (x[..., 0] ** 2 + away**2) - np.log(2 * np.pi * 0.4)
        squares = numpy.sum((x[..., None, :] - means) ** 2, axis=-1) / sd**2
        of_normals = -0.5 * squares - np.log(2 * np.pi * sd**2)
        return np.log(weights) + numpy.concatenate([of_banana[..., None], of_normals], axis=-1)

    def draws(rng: Generator, n: int) -> Draws:
        modes = rng.choice(len(weights), n, p=weights)
        x = rng.normal(size=(n, 2))
        banana = np.column_stack([x[:, 0], 0.4 * x[:, 1] + 0.5 * x[:, 0] ** 2])
        return {"x": np.where((modes == 0)[:, None], banana, means[modes - 1] + sd * x)}

    def worst_weight(draws: Draws) -> float:
        found = scipy.special.softmax(log_densities(draws["x"], np), axis=1).mean(axis=0)
        return float(np.abs(found - weights).max())

    return Synthetic(
        log_density=lambda p: jax.nn.logsumexp(log_densities(p["x"], jnp)),
        example={"x": np.zeros(2)},
        draws=draws,
        log_evidence=0.0,
        errors={"weight of a mode": worst_weight},
    )


def many_well(wells: int = 4) -> Synthetic:
    """As in FAB: pairs of a double well, -a^4 + 6 a^2 + a/2, and a standard normal; 2^wells modes."""

    def well(a: Any) -> Any:
        return -(a**4) + 6 * a**2 + a / 2

    pairs, evidence = tabulated(well, np.linspace(-4, 4, 80_000))

    def draws(rng: Generator, n: int) -> Draws:
        x = rng.normal(size=(n, 2 * wells))
        x[:, ::2] = pairs(rng, n * wells).reshape(n, wells)
        return {"x": x}

    return Synthetic(
        log_density=lambda p: jnp.sum(well(p["x"][::2]) - 0.5 * p["x"][1::2] ** 2),
        example={"x": np.zeros(2 * wells)},
        draws=draws,
        log_evidence=wells * (evidence + 0.5 * np.log(2 * np.pi)),
    )


def student_t(df: float, dim: int = 5) -> Synthetic:
    """Multivariate, with correlated coordinates."""
    tril = np.tril(np.random.default_rng(5).normal(size=(dim, dim)), -1) + np.diag(np.logspace(-1, 1, dim))
    location = np.arange(dim, dtype=float)
    inverse = np.linalg.inv(tril)

    def draws(rng: Generator, n: int) -> Draws:
        scale = np.sqrt(df / rng.chisquare(df, (n, 1)))
        return {"x": location + scale * rng.normal(size=(n, dim)) @ tril.T}

    return Synthetic(
        log_density=lambda p: -(df + dim) / 2 * jnp.log1p(jnp.sum((inverse @ (p["x"] - location)) ** 2) / df),
        example={"x": np.zeros(dim)},
        draws=draws,
        log_evidence=float(
            scipy.special.gammaln(df / 2)
            - scipy.special.gammaln((df + dim) / 2)
            + dim / 2 * np.log(df * np.pi)
            + np.log(np.diag(tril)).sum()
        ),
    )


STIFF_SIGMA = np.array([0.1, 0.3, 1.0, 3.0, 10.0, 10.0, 10.0, 10.0])
STIFF_Y = 2 + np.random.default_rng(6).normal(size=8) * np.sqrt(1 + STIFF_SIGMA**2)
_WIDE = 5.0
"""Sd of the priors of mu and tau."""


def hierarchy_centered() -> Synthetic:
    """theta ~ N(mu, tau) seen with errors from 0.1 to 10, so that curvatures differ by 10^4."""
    tau_draws, evidence = _stiff_tau()

    def log_density(p: Any) -> jax.Array:
        of_theta = stats.norm.logpdf(p["theta"], p["mu"], p["tau"]).sum()
        return _stiff_prior(p) + of_theta + stats.norm.logpdf(STIFF_Y, p["theta"], STIFF_SIGMA).sum()

    example = {"mu": np.zeros(()), "tau": np.zeros(()), "theta": np.zeros(8)}
    draws = partial(_stiff_draws, tau_draws)
    return Synthetic(log_density, example, draws, evidence, {"tau": "positive"})


def hierarchy_noncentered() -> Synthetic:
    """The same with theta = mu + tau z: what the small errors fix is now a combination of all three."""
    tau_draws, evidence = _stiff_tau()

    def log_density(p: Any) -> jax.Array:
        theta = p["mu"] + p["tau"] * p["z"]
        of_data = stats.norm.logpdf(STIFF_Y, theta, STIFF_SIGMA).sum()
        return _stiff_prior(p) + stats.norm.logpdf(p["z"]).sum() + of_data

    def draws(rng: Generator, n: int) -> Draws:
        centered = _stiff_draws(tau_draws, rng, n)
        mu, tau = centered["mu"], centered["tau"]
        return {"mu": mu, "tau": tau, "z": (centered["theta"] - mu[:, None]) / tau[:, None]}

    example = {"mu": np.zeros(()), "tau": np.zeros(()), "z": np.zeros(8)}
    return Synthetic(log_density, example, draws, evidence, {"tau": "positive"})


def _stiff_prior(p: Any) -> jax.Array:
    return stats.norm.logpdf(p["mu"], 0, _WIDE) + stats.norm.logpdf(p["tau"], 0, _WIDE) + np.log(2)


def _stiff_mu(tau: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Given tau (n, 1): mean and sd of mu, (n,), and the variances of the data around mu, (n, 8)."""
    variances = tau**2 + STIFF_SIGMA**2
    precision = np.sum(1 / variances, axis=1) + 1 / _WIDE**2
    return np.sum(STIFF_Y / variances, axis=1) / precision, 1 / np.sqrt(precision), variances


def _stiff_tau() -> tuple[Callable[[Generator, int], np.ndarray], float]:
    """Draws (n, 1) of log tau, and the log evidence."""

    def log_marginal(log_tau: np.ndarray) -> np.ndarray:
        tau = np.exp(log_tau)
        mean, sd, variances = _stiff_mu(tau[:, None])
        of_data = scipy.stats.norm.logpdf(STIFF_Y, 0, np.sqrt(variances)).sum(axis=1)
        of_mu = 0.5 * (mean / sd) ** 2 + np.log(sd / _WIDE)
        return scipy.stats.norm.logpdf(tau, 0, _WIDE) + np.log(2) + log_tau + of_data + of_mu

    return tabulated(log_marginal, np.linspace(-12, 4, 100_000))


def _stiff_draws(log_tau: Callable[[Generator, int], np.ndarray], rng: Generator, n: int) -> Draws:
    tau = np.exp(log_tau(rng, n))
    mean, sd, _ = _stiff_mu(tau)
    mu = mean + sd * rng.normal(size=n)
    precision = 1 / tau**2 + 1 / STIFF_SIGMA**2
    location = (mu[:, None] / tau**2 + STIFF_Y / STIFF_SIGMA**2) / precision
    return {"mu": mu, "tau": tau[:, 0], "theta": location + rng.normal(size=(n, 8)) / np.sqrt(precision)}


def dirichlet() -> Synthetic:
    """Most of the mass of the small alphas lies at the boundary."""
    alpha = np.array([0.2, 0.3, 0.5, 1.0, 4.0])
    return Synthetic(
        log_density=lambda p: jnp.sum((alpha - 1) * jnp.log(p["p"])),
        example={"p": np.ones(5)},
        draws=lambda rng, n: {"p": rng.dirichlet(alpha, n)},
        log_evidence=float(scipy.special.gammaln(alpha).sum() - scipy.special.gammaln(alpha.sum())),
        supports={"p": "simplex"},
    )


def truncated_normal() -> Synthetic:
    """Normals cut on one side, far from their means, and on both."""
    positive, inside = scipy.stats.truncnorm(3, np.inf, loc=-3), scipy.stats.truncnorm(-3.5, 0.5, loc=2.5)
    return Synthetic(
        log_density=lambda p: stats.norm.logpdf(p["a"], -3) + stats.norm.logpdf(p["b"], 2.5),
        example={"a": np.zeros(()), "b": np.zeros(())},
        draws=lambda rng, n: {
            "a": positive.rvs(n, random_state=rng),
            "b": inside.rvs(n, random_state=rng),
        },
        log_evidence=float(
            scipy.stats.norm.logsf(3) + np.log(scipy.stats.norm.cdf(0.5) - scipy.stats.norm.cdf(-3.5))
        ),
        supports={"a": "positive", "b": ("interval", -1.0, 3.0)},
    )


def label_switching(components: int, rows: int, cells: int) -> Synthetic:
    """Means of that many normals of equal weight and sd 1, which the data cannot tell apart."""
    rng = np.random.default_rng(7)
    y = rng.normal(size=rows) + 3 * (np.arange(rows) % components - (components - 1) / 2)

    def log_density(p: Any) -> jax.Array:
        each = stats.norm.logpdf(y[:, None], p["m"]) - np.log(components)
        return stats.norm.logpdf(p["m"], 0, 3).sum() + jax.nn.logsumexp(each, axis=1).sum()

    def on_grid(*means: np.ndarray) -> np.ndarray:
        prior = sum(scipy.stats.norm.logpdf(m, 0, 3) for m in means)
        return prior + sum(np.log(sum(scipy.stats.norm.pdf(one, m) for m in means) / components) for one in y)

    draws, evidence = tabulated(on_grid, *[np.linspace(-7, 7, cells)] * components)
    example = {"m": np.zeros(components)}
    return Synthetic(log_density, example, lambda rng, n: {"m": draws(rng, n)}, evidence)


def hard_wall() -> Synthetic:
    """A standard normal in two dimensions, cut at x0 = 0.5 by -inf that no support declares."""
    inside = scipy.stats.truncnorm(-np.inf, 0.5)

    def log_density(p: Any) -> jax.Array:
        return jnp.where(p["x"][0] > 0.5, -jnp.inf, stats.norm.logpdf(p["x"]).sum())

    def draws(rng: Generator, n: int) -> Draws:
        return {"x": np.stack([inside.rvs(n, random_state=rng), rng.normal(size=n)], axis=1)}

    return Synthetic(log_density, {"x": np.zeros(2)}, draws, float(scipy.stats.norm.logcdf(0.5)))


def flat_direction() -> Synthetic:
    """A normal, and a coordinate that the density does not know."""
    return Synthetic(lambda p: stats.norm.logpdf(p["x"][0]), {"x": np.zeros(2)}, None)


def flat_ridge() -> Synthetic:
    """Only the sum of two coordinates is known."""
    return Synthetic(lambda p: stats.norm.logpdf(p["x"].sum(), 1.0), {"x": np.zeros(2)}, None)


def flat_log_scale() -> Synthetic:
    """Eight schools without the schools, and 1/tau for a prior, so that no tau is too small."""
    y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    sigma = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])

    def log_density(p: Any) -> jax.Array:
        of_data = stats.norm.logpdf(y, p["mu"], jnp.sqrt(sigma**2 + p["tau"] ** 2)).sum()
        return stats.norm.logpdf(p["mu"], 0, 5) - jnp.log(p["tau"]) + of_data

    example = {"mu": np.zeros(()), "tau": np.zeros(())}
    return Synthetic(log_density, example, None, supports={"tau": "positive"})


def separated_logistic() -> Synthetic:
    """Logistic regression with flat priors on data that a threshold separates."""
    x, y = np.array([-2.0, -1.0, -0.5, 0.7, 1.0, 2.0]), np.array([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0])

    def log_density(p: Any) -> jax.Array:
        return jax.nn.log_sigmoid(y * (p["intercept"] + p["slope"] * x)).sum()

    return Synthetic(log_density, {"intercept": np.zeros(()), "slope": np.zeros(())}, None)


TARGETS: dict[str, Callable[[], Synthetic]] = {
    "gaussian_1e8_d10": partial(gaussian, 10),
    "gaussian_1e8_d50": partial(gaussian, 50),
    "regression_d1000": partial(regression, 1000),
    "crossed_d300": crossed,
    "funnel_d10": partial(funnel, 10),
    "funnel_d50": partial(funnel, 50),
    "banana": banana,
    "funana": funana,
    "ring": ring,
    "two_modes_3": partial(two_modes, 3.0),
    "two_modes_8": partial(two_modes, 8.0),
    "two_modes_15": partial(two_modes, 15.0),
    "two_modes_20": partial(two_modes, 20.0),
    "two_modes_15_aside": partial(two_modes_aside, 15.0),
    "two_modes_8_d10": partial(two_modes_in_many_dimensions, 8.0, 10),
    "four_modes": four_modes,
    "forty_modes": forty_modes,
    "banana_among_modes": banana_among_modes,
    "many_well_d8": many_well,
    "student_t_1.5": partial(student_t, 1.5),
    "student_t_2.5": partial(student_t, 2.5),
    "student_t_5": partial(student_t, 5.0),
    "hierarchy_centered": hierarchy_centered,
    "hierarchy_noncentered": hierarchy_noncentered,
    "dirichlet": dirichlet,
    "truncated_normal": truncated_normal,
    "label_switching_2": partial(label_switching, 2, 12, 1000),
    "label_switching_3": partial(label_switching, 3, 24, 140),
    "hard_wall": hard_wall,
    "flat_direction": flat_direction,
    "flat_ridge": flat_ridge,
    "flat_log_scale": flat_log_scale,
    "separated_logistic": separated_logistic,
}
