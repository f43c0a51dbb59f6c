"""Whether many affine couplings in many dimensions train in single precision without a step skipped.

python benchmarks/deep_and_wide.py [--dim 1000] [--layers 64] [--steps 2000]

The target is a product of bananas with mean 0 and variance 1 in every coordinate, normalised, so that the
loss is KL(q || p):

    x ~ N(0, 1),    y = R (x^2 - 1) / sqrt(2) + sqrt(1 - R^2) e,  e ~ N(0, 1)
"""

from __future__ import annotations

import argparse
import time

import jax.numpy as jnp
import numpy as np
from jax import Array

import flowvi

R = 0.8


def log_density(z: Array) -> Array:
    """Bananas in pairs of coordinates i, dim/2 + i; where dim is odd the last is standard normal."""
    half = len(z) // 2
    x, y = z[:half], z[half : 2 * half]
    off = (y - R * (x**2 - 1) / np.sqrt(2)) / np.sqrt(1 - R**2)
    constant = half * 0.5 * np.log(1 - R**2) + 0.5 * len(z) * np.log(2 * np.pi)
    return -0.5 * (jnp.sum(x**2) + jnp.sum(off**2) + jnp.sum(z[2 * half :] ** 2)) - constant


def main() -> None:
    """Train, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("dim", 1000), ("layers", 64), ("width", 64), ("steps", 2000), ("samples", 32)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--step-size", type=float, default=1e-3)
    chosen = parser.parse_args()
    flow = flowvi.flows.real_nvp(chosen.dim, key=0, layers=chosen.layers, width=chosen.width)
    start = time.perf_counter()
    trained = flowvi.train(
        flow,
        flowvi.objectives.reverse_kl(log_density, samples=chosen.samples),
        key=1,
        steps=chosen.steps,
        step_size=chosen.step_size,
        chunk=min(100, chosen.steps),
        progress=True,
    )
    seconds = time.perf_counter() - start
    tenth = max(1, chosen.steps // 10)
    print(f"{chosen.layers} affine couplings, dim {chosen.dim}, {len(trained.curve)} steps in float32")
    print(f"steps that were not finite     {trained.skipped}")
    print(f"draws that were not finite     {trained.nonfinite}")
    print(f"KL at first, in the last tenth {trained.curve[0]:.1f}, {trained.curve[-tenth:].mean():.1f} nats")
    print(f"seconds, compiling included    {seconds:.0f}")


if __name__ == "__main__":
    main()
