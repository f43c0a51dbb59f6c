"""Where the posterior is: many starts climb in one batch, and the tops they reach are told apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from flowvi.inference.budget import Ledger
from flowvi.inference.cholesky import lower_factor
from flowvi.inference.density import Density

STARTS = 8
AROUND = 8
"""Climbs from around a Gaussian already found, and as many from farther out."""
SCREENED = 2048
_SHELLS = (3.0, 100.0)
"""Points farther out, the heaviest of which are climbed from; their radii, in units of a draw's distance."""
_FAR = 10.0
"""Sds of a Gaussian from which the farthest of the climbs around it begins."""
_MAX_STEPS = 60
_MAX_NEWTON_STEPS = 40
_POLISHED = 4
"""How many of the end points, at most, are followed to their tops."""


class Mode(NamedTuple):
    """A local maximum of the log density with its Laplace approximation.

    Attributes:
        location: (dim,), the maximum.
        scale_tril: (dim, dim), lower Cholesky factor of the inverse negative Hessian there.
        log_density: at the maximum.
        log_evidence: of the Laplace approximation: log_density + dim/2 log(2 pi) + log det(scale_tril).
        starts: how many starts ended in its basin.
    """

    location: Float[np.ndarray, " dim"]
    scale_tril: Float[np.ndarray, "dim dim"]
    log_density: float
    log_evidence: float
    starts: int

    def distance(self, z: Float[np.ndarray, " dim"]) -> float:
        """Mahalanobis distance of a point from the mode."""
        return float(np.linalg.norm(np.linalg.solve(self.scale_tril, z - self.location)))


class _Climbers(NamedTuple):
    """Points on their way up, with the state of BFGS: inverse Hessians of the negative log density."""

    z: Float[np.ndarray, "n dim"]
    value: Float[np.ndarray, " n"]
    grad: Float[np.ndarray, "n dim"]
    inverse_hessian: Float[np.ndarray, "n dim dim"]


class Stray(NamedTuple):
    """Where a climb ended without a maximum that Newton's method accepts: a kink, a ridge without end, a far
    slope.

    Attributes:
        location: (dim,)
        scale_tril: (dim, dim), lower Cholesky factor of the inverse Hessian that BFGS gathered on the way.
        log_density: at the location.
    """

    location: Float[np.ndarray, " dim"]
    scale_tril: Float[np.ndarray, "dim dim"]
    log_density: float


class Found(NamedTuple):
    """What the starts led to."""

    modes: list[Mode]
    strays: list[Stray]


def starts(dim: int, rng: np.random.Generator) -> Float[np.ndarray, "n dim"]:
    """Dispersed starting points: one near the origin, the others uniform on (-2, 2) per coordinate, as in
    Stan."""
    z = rng.uniform(-2, 2, (STARTS, dim))
    z[0] *= 0.05
    return z


def explore(density: Density, z: Float[np.ndarray, "n dim"]) -> Found:
    """The modes that the starts lead to, most local evidence first, and where other climbs ended.

    Every start climbs by BFGS in one batch. Then the highest end points, and those that do not lie on the
    slopes of a mode already found, are followed to their tops by Newton steps. A climb that finds no top
    (a density without a maximum, as in a centered hierarchy) gives no mode.
    """
    ends = _bfgs(density, z)
    order = np.argsort(-np.where(np.isfinite(ends.value), ends.value, -np.inf))
    modes: list[Mode] = []
    members: list[int] = []
    strays: list[Stray] = []
    polished = 0
    for i in order:
        home = _slope_of(modes, ends.z[i], float(ends.value[i]))
        if home is not None:
            members[home] += 1
            continue
        if not np.isfinite(ends.value[i]):
            continue
        value, factor = float(ends.value[i]), _factor(ends.inverse_hessian[i])
        mode = None
        if polished < _POLISHED and not density.ledger.exhausted():
            polished += 1
            mode = _newton(density, ends.z[i], value, ends.grad[i], factor)
        if mode is None:
            strays.append(Stray(ends.z[i], factor, value))
            continue
        known = next((k for k, other in enumerate(modes) if other.distance(mode.location) < 1), None)
        if known is None:
            modes.append(mode)
            members.append(1)
        else:
            members[known] += 1
    counted = [mode._replace(starts=n) for mode, n in zip(modes, members, strict=True)]
    return Found(sorted(counted, key=lambda mode: -mode.log_evidence), strays)


def climb_around(
    density: Density,
    location: Float[np.ndarray, " dim"],
    scale_tril: Float[np.ndarray, "dim dim"],
    rng: np.random.Generator,
) -> list[Stray]:
    """Where climbs end that begin far from a Gaussian already found, up to `_FAR` of its sds away, in random
    directions, and at the heaviest of many points farther out.

    They climb in coordinates in which that Gaussian is standard, so that its own slopes are short.
    """
    whitened = _Whitened(density, location, scale_tril)
    dim = len(location)
    directions = rng.standard_normal((AROUND, dim))
    # radii spread evenly, in units of the typical distance of a draw
    u = directions * (_FAR * (np.arange(AROUND) + 1) / AROUND)[:, None]
    ends = _bfgs(whitened, np.concatenate([u, _heaviest(whitened, rng)]))
    return [
        Stray(location + scale_tril @ z, lower_factor(scale_tril @ _factor(H)), float(value))
        for z, value, H in zip(ends.z, ends.value, ends.inverse_hessian, strict=True)
        if np.isfinite(value)
    ]


def _heaviest(whitened: _Whitened, rng: np.random.Generator) -> Float[np.ndarray, "n dim"]:
    """The points of most mass, log p + dim log r, among many at radii spread evenly in log r: one in each of
    a few shells, so that slopes nearer by do not hide a mode."""
    dim = len(whitened.location)
    u = rng.standard_normal((SCREENED, dim))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    edges = np.geomspace(*_SHELLS, AROUND + 1) * np.sqrt(dim)
    log_radius = rng.uniform(np.log(edges[0]), np.log(edges[-1]), SCREENED)
    u *= np.exp(log_radius)[:, None]
    mass = whitened.density.value(whitened.location + u @ whitened.scale_tril.T) + dim * log_radius
    mass = np.where(np.isfinite(mass), mass, -np.inf)
    shell = np.searchsorted(np.log(edges), log_radius) - 1
    best = [max(np.flatnonzero(shell == k), key=lambda i: mass[i], default=None) for k in range(AROUND)]
    return u[[i for i in best if i is not None and np.isfinite(mass[i])]]


class _Whitened(NamedTuple):
    """A density in the coordinates of a Gaussian."""

    density: Density
    location: Float[np.ndarray, " dim"]
    scale_tril: Float[np.ndarray, "dim dim"]

    @property
    def ledger(self) -> Ledger:
        return self.density.ledger

    def value_and_grad(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, grad = self.density.value_and_grad(self.location + u @ self.scale_tril.T)
        return value, grad @ self.scale_tril


def _slope_of(modes: list[Mode], z: np.ndarray, value: float) -> int | None:
    """The mode whose quadratic explains a point: near its top, or as far below it as that says."""
    for k, mode in enumerate(modes):
        below = 0.5 * mode.distance(z) ** 2
        if below < 2 or (value < mode.log_density and abs(mode.log_density - value - below) < 0.3 * below):
            return k
    return None


def _bfgs(density: Density | _Whitened, z: np.ndarray) -> _Climbers:
    """Climb from all starts in lock step, four step lengths at a time.

    Stops a climber whose expected gain is below 1e-3 nats: what is left is for Newton. Source: Nocedal &
    Wright, Numerical Optimization, algorithm 6.1.
    """
    n, dim = z.shape
    z = z.copy()
    value, grad = density.value_and_grad(z)
    H = np.tile(np.eye(dim), (n, 1, 1))
    fresh = np.ones(n, bool)
    failures = np.zeros(n, int)
    active = np.isfinite(value) & np.isfinite(grad).all(axis=1)
    for _ in range(_MAX_STEPS):
        a = np.flatnonzero(active)
        if len(a) == 0 or density.ledger.exhausted():
            break
        direction = np.einsum("nij,nj->ni", H[a], grad[a])
        slope = np.einsum("ni,ni->n", direction, grad[a])
        lengths = (
            np.where(fresh[a, None], [1, 0.3, 0.1, 0.01], [2.5, 1, 0.3, 0.05]) * 1e-3 ** failures[a, None]
        )
        lengths /= np.where(fresh[a], np.linalg.norm(direction, axis=1), 1)[:, None] + 1e-300
        tried = z[a, None] + lengths[..., None] * direction[:, None]
        values, grads = density.value_and_grad(tried.reshape(-1, dim))
        values, grads = values.reshape(-1, 4), grads.reshape(-1, 4, dim)
        allowed = np.isfinite(values) & np.isfinite(grads).all(axis=2)
        allowed &= values > value[a, None] + 1e-4 * lengths * slope[:, None]
        best = np.where(allowed, values, -np.inf).argmax(axis=1)
        for k, i in enumerate(a):
            if not allowed[k].any():
                failures[i] += 1
                if failures[i] == 2:
                    H[i], fresh[i] = np.eye(dim), True
                active[i] = failures[i] < 4
                continue
            b = best[k]
            step, change = tried[k, b] - z[i], grad[i] - grads[k, b]
            gain = values[k, b] - value[i]
            z[i], value[i], grad[i], failures[i] = tried[k, b], values[k, b], grads[k, b], 0
            if step @ change > 1e-12 * np.linalg.norm(step) * np.linalg.norm(change):
                if fresh[i]:
                    H[i] = np.eye(dim) * (step @ change) / (change @ change)
                H[i] = _bfgs_update(H[i], step, change)
                fresh[i] = False
                active[i] = gain > 1e-2 or grad[i] @ H[i] @ grad[i] > 1e-3
    return _Climbers(z, value, grad, H)


def _bfgs_update(H: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    rho = 1 / (step @ change)
    Hy = H @ change
    return H + rho * (
        (1 + rho * change @ Hy) * np.outer(step, step) - np.outer(Hy, step) - np.outer(step, Hy)
    )


def _newton(density: Density, z: np.ndarray, value: float, grad: np.ndarray, L: np.ndarray) -> Mode | None:
    """Climb to the top by Newton steps in coordinates whitened by the last Hessian.

    The Hessian is a central difference of gradients along the columns of L, where L L^T is the current
    covariance, so that its accuracy does not depend on the scales of the model. Directions of positive
    curvature are climbed with the sign of the gradient. None where no maximum is reached.
    """
    dim, h = len(z), 1e-3
    for _ in range(_MAX_NEWTON_STEPS):
        _, grads = density.value_and_grad(np.concatenate([z + h * L.T, z - h * L.T]))
        A = -(grads[:dim] - grads[dim:]) @ L / (2 * h)
        if not np.isfinite(A).all():
            return None
        eigenvalues, Q = np.linalg.eigh((A + A.T) / 2)
        curvature = np.maximum(np.abs(eigenvalues), 1e-8 * np.abs(eigenvalues).max() + 1e-300)
        L = (L @ Q) / np.sqrt(curvature)
        step = L.T @ grad
        concave = (eigenvalues > 0).all()
        if step @ step < 1e-6 and concave:
            return _laplace(z, value, L)
        lengths = np.array([1, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3, 1e-4])
        tried = z + lengths[:, None] * (L @ step)
        values, grads = density.value_and_grad(tried)
        values = np.where(np.isfinite(values) & np.isfinite(grads).all(axis=1), values, -np.inf)
        b = values.argmax()
        if not values[b] > value:
            # as high as rounding lets one see
            return _laplace(z, value, L) if concave and step @ step < 1e-2 else None
        z, value, grad = tried[b], values[b], grads[b]
    return None


def _laplace(z: np.ndarray, value: float, L: np.ndarray) -> Mode:
    scale_tril = lower_factor(L)
    log_det = float(np.log(np.diag(scale_tril)).sum())
    log_evidence = float(value) + len(z) / 2 * np.log(2 * np.pi) + log_det
    return Mode(z, scale_tril, float(value), log_evidence, starts=0)


def _factor(covariance: np.ndarray) -> np.ndarray:
    """A lower Cholesky factor, of a positive definite matrix nearby where rounding made this indefinite."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    eigenvalues, Q = np.linalg.eigh(covariance / np.outer(scale, scale))
    root = Q * np.sqrt(np.maximum(eigenvalues, 1e-14 * eigenvalues.max()))
    return lower_factor(scale[:, None] * root)
