"""What an objective is."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from flowvi.flows import Flow


class Estimated(NamedTuple):
    """An estimate of a loss at one step.

    Attributes:
        loss: its value is the estimate, its derivative in the flow's parameters the estimate of the gradient;
            not finite where the step should not be taken.
        nonfinite: draws that were left out because the log density was NaN or +inf there, or its gradient
            not finite.
    """

    loss: Float[Array, ""]
    nonfinite: Int[Array, ""]


class Objective(eqx.Module):
    """A divergence, an estimator of it and of its gradient, and the number of draws.

    What is random is drawn on the host, a chunk of steps at once, and the rest is traced: arrays of an
    objective are arguments of the compiled program, so that new data of the same shapes compile nothing.
    Once the draws are given, `estimate` is a function of the flow alone.
    """

    @abstractmethod
    def check(self, flow: Flow) -> None:
        """Whether the objective can be had for this flow.

        Raises:
            FlowError: the flow has another dim, or wants a condition that is not there, or the reverse.
            DensityError: the log density does not give a scalar.
        """

    @abstractmethod
    def draw(self, flow: Flow, rng: np.random.Generator, steps: int) -> PyTree[np.ndarray]:
        """What is random in so many steps, in arrays with a leading axis of steps."""

    @abstractmethod
    def estimate(self, flow: Flow, draws: PyTree[Array], step: Int[Array, ""]) -> Estimated:
        """The loss at one step's draws, in the precision of the flow's parameters; `step` counts from 0."""
