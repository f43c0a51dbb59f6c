"""Ways to a density that tables.py compares, a function each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

WIDTH, DEPTH, BATCH = 64, 2, 256
SPLINE_LAYERS, BINS, BOUND = 6, 8, 5.0
AFFINE_LAYERS = 4
STEP_SIZE, PATIENCE, EPOCHS = 1e-3, 20, 500
"""Of FlowJAX and zuko, whose trainers have neither a schedule nor a stopping rule of their own kind."""

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Standardised rows for training, validation and test."""


def gaussian(parts: Parts, seed: int) -> np.ndarray:
    """By mean and covariance."""
    from scipy.stats import multivariate_normal

    train, _, test = parts
    return multivariate_normal(train.mean(axis=0), np.cov(train.T), allow_singular=True).logpdf(test)


def gaussian_mixture(parts: Parts, seed: int) -> np.ndarray:
    """As many parts as validation likes best."""
    from sklearn.mixture import GaussianMixture

    train, validation, test = parts
    counts = [k for k in (1, 2, 3, 5, 8, 12, 20, 30, 50) if k <= len(train) // 4]
    fits = [GaussianMixture(k, random_state=seed, reg_covar=1e-4).fit(train) for k in counts]
    return max(fits, key=lambda fit: fit.score(validation)).score_samples(test)


def kernels(parts: Parts, seed: int) -> np.ndarray:
    """Normal kernels of the width that validation likes best."""
    from sklearn.neighbors import KernelDensity

    train, validation, test = parts
    fits = [KernelDensity(bandwidth=width).fit(train) for width in np.geomspace(0.03, 2, 25)]
    return max(fits, key=lambda fit: fit.score(validation)).score_samples(test)


def _flowjax(parts: Parts, seed: int, build: Callable) -> np.ndarray:
    import jax
    import jax.numpy as jnp
    from flowjax.distributions import Normal
    from flowjax.train import fit_to_data

    train, validation, test = parts
    both = jnp.asarray(np.concatenate([train, validation]), jnp.float32)
    key, of_training = jax.random.split(jax.random.key(seed))
    flow = build(key, base_dist=Normal(jnp.zeros(train.shape[1])), nn_width=WIDTH, nn_depth=DEPTH)
    fitted, _ = fit_to_data(
        of_training,
        flow,
        both,
        learning_rate=STEP_SIZE,
        max_epochs=EPOCHS,
        max_patience=PATIENCE,
        batch_size=BATCH,
        # FlowJAX shuffles before it splits: as many rows for validation, not the same ones
        val_prop=len(validation) / len(both),
        show_progress=False,
    )
    with jax.enable_x64(True):
        double = jax.tree.map(lambda a: a.astype(float) if _is_float(a) else a, fitted)
        return np.asarray(double.log_prob(jnp.asarray(test, float)))


def _is_float(leaf: object) -> bool:
    return hasattr(leaf, "dtype") and np.issubdtype(np.dtype(leaf.dtype), np.floating)


def flowjax_spline_coupling(parts: Parts, seed: int) -> np.ndarray:
    """FlowJAX's `coupling_flow` of splines."""
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.flows import coupling_flow

    def build(key: object, **settings: object) -> object:
        spline = RationalQuadraticSpline(knots=BINS, interval=BOUND)
        return coupling_flow(key, transformer=spline, flow_layers=SPLINE_LAYERS, **settings)

    return _flowjax(parts, seed, build)


def flowjax_affine_autoregressive(parts: Parts, seed: int) -> np.ndarray:
    """FlowJAX's `masked_autoregressive_flow`."""
    from flowjax.flows import masked_autoregressive_flow

    def build(key: object, **settings: object) -> object:
        return masked_autoregressive_flow(key, flow_layers=AFFINE_LAYERS, **settings)

    return _flowjax(parts, seed, build)


def _zuko(parts: Parts, seed: int, build: Callable) -> np.ndarray:
    """Adam with early stopping, the best state kept: zuko has no trainer."""
    import torch

    torch.manual_seed(seed)
    train, validation, test = (torch.as_tensor(part) for part in parts)
    single, validated = train.float(), validation.float()
    flow = build(train.shape[1], hidden_features=(WIDTH,) * DEPTH)
    optimiser = torch.optim.Adam(flow.parameters(), lr=STEP_SIZE)
    best, score, waited = flow.state_dict(), -np.inf, 0
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(single)).split(BATCH):
            loss = -flow().log_prob(single[rows]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            value = flow().log_prob(validated).mean().item()
        waited = 0 if value > score else waited + 1
        if value > score:
            best, score = {name: tensor.clone() for name, tensor in flow.state_dict().items()}, value
        if waited == PATIENCE:
            break
    flow.load_state_dict(best)
    with torch.no_grad():
        return flow.double()().log_prob(test).numpy()


def zuko_spline_coupling(parts: Parts, seed: int) -> np.ndarray:
    """zuko's NSF in two passes, which is a coupling."""
    from zuko.flows import NSF

    def build(dim: int, **settings: object) -> object:
        return NSF(dim, bins=BINS, transforms=SPLINE_LAYERS, passes=2, **settings)

    return _zuko(parts, seed, build)


def zuko_affine_autoregressive(parts: Parts, seed: int) -> np.ndarray:
    """zuko's MAF."""
    from zuko.flows import MAF

    return _zuko(parts, seed, lambda dim, **settings: MAF(dim, transforms=AFFINE_LAYERS, **settings))


METHODS: dict[str, Callable[[Parts, int], np.ndarray] | str] = {
    "gaussian": gaussian,
    "gaussian_mixture": gaussian_mixture,
    "kernels": kernels,
    # the names of flows are for `flowvi.fit_density`, which standardises and splits by itself
    "flowvi": "auto",
    "flowvi_spline_coupling": "neural_spline",
    "flowjax_spline_coupling": flowjax_spline_coupling,
    "zuko_spline_coupling": zuko_spline_coupling,
    "flowvi_affine_autoregressive": "maf",
    "flowjax_affine_autoregressive": flowjax_affine_autoregressive,
    "zuko_affine_autoregressive": zuko_affine_autoregressive,
}
