"""Densities in the plane that the three families are compared on, two with modes that can be counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from toys import TOYS


@dataclass(frozen=True)
class Toy:
    """A distribution in the plane.

    Attributes:
        name: of a distribution in toys.py, where there are no centres.
        centres: of equal normals, (modes, 2).
        sd: of them.
    """

    name: str
    centres: np.ndarray | None = None
    sd: float = 0.0

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n independent draws."""
        if self.centres is None:
            return TOYS[self.name](n, rng)
        return self.centres[rng.integers(len(self.centres), size=n)] + self.sd * rng.normal(size=(n, 2))

    def log_density(self, x: np.ndarray) -> np.ndarray | None:
        """In nats; None where there is no formula."""
        if self.centres is None:
            return None
        squares = ((x[:, None] - self.centres) ** 2).sum(axis=2) / self.sd**2
        return logsumexp(-squares / 2, axis=1) - np.log(len(self.centres) * 2 * np.pi * self.sd**2)


_PLACES = 2.0 * np.arange(-2, 3)
_ANGLES = np.pi * np.arange(8) / 4

# as in Srivastava et al. 2017 (arXiv 1705.07761), section 4.1; the ring is theirs, twice as large
FAMILY_TOYS: dict[str, Toy] = {
    "grid": Toy("grid", np.stack(np.meshgrid(_PLACES, _PLACES), axis=-1).reshape(-1, 2), 0.05),
    "ring": Toy("ring", 2 * np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)]), 0.02),
    "pinwheel": Toy("pinwheel"),
}
