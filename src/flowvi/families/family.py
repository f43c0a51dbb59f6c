"""What the three families have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float


class Fitted(ABC):
    """A generative model of rows of data, after training."""

    @abstractmethod
    def sample(self, n: int, seed: int = 0) -> Float[np.ndarray, "n columns"]:
        """Independent draws, on the scale of the data.

        Raises:
            ArgumentError: n is not a whole number, zero or more, or `seed` is no seed.
        """

    @abstractmethod
    def log_prob(self, x: Any) -> Any:
        """What is known of log p(x) of each row: exact, bounded, or a typed error."""


class Family(ABC):
    """The settings of a generative model, before it has seen data."""

    @abstractmethod
    def fit(self, x: Any, seed: int = 0) -> Fitted:
        """Train on rows of data (rows, columns); the same data and seed give the same model."""
