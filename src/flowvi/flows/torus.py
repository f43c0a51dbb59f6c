"""Which flows are of angles: x and x + 2 pi are one point of them."""

import jax

from flowvi.bijections import (
    Bijection,
    Chain,
    CircularSpline,
    Conditioned,
    Coupling,
    Identity,
    Invert,
    PeriodicMLP,
    Permutation,
    Scan,
    Wrap,
)
from flowvi.errors import FlowError
from flowvi.flows.distribution import Distribution


def of_angles(base: Distribution) -> bool:
    """Whether a base distribution is one on the torus, or a mixture of such.

    Example:
        >>> from flowvi.flows import Normal, UniformTorus
        >>> of_angles(UniformTorus(2)), of_angles(Normal(2))
        (True, False)
    """
    return _holds(base, lambda part: isinstance(part, Distribution) and part.periodic)


def keeps_turns(bijection: Bijection) -> bool:
    """Whether a bijection takes x + 2 pi k to y + 2 pi k', so that it is one of the torus.

    A bijection of one's own says so by an attribute `periodic` that is True.

    Example:
        >>> import numpy as np
        >>> from flowvi.bijections import LocationScale
        >>> keeps_turns(Wrap(1)), keeps_turns(LocationScale(np.zeros(1), np.ones(1)))
        (True, False)
    """
    match bijection:
        case Wrap() | Identity() | Permutation():
            return True
        case Chain():
            return all(keeps_turns(part) for part in bijection.bijections)
        case Scan():
            return keeps_turns(bijection.layers)
        case Invert() | Conditioned():
            return keeps_turns(bijection.bijection)
        case Coupling():
            return isinstance(bijection.transformer, CircularSpline) and isinstance(
                bijection.conditioner, PeriodicMLP
            )
    return getattr(bijection, "periodic", False)


def check_space(base: Distribution, bijection: Bijection) -> None:
    """Check that base and bijection are both of the torus, or both of R^dim.

    Raises:
        FlowError: one is of angles and the other is not, so that no density would be normalised.

    Example:
        >>> import numpy as np
        >>> from flowvi.bijections import LocationScale
        >>> from flowvi.flows import Normal
        >>> check_space(Normal(1), LocationScale(np.zeros(1), np.ones(1)))
    """
    if of_angles(base) and not keeps_turns(bijection):
        raise FlowError(
            f"Flow: the base {type(base).__name__} is of angles, but {type(bijection).__name__} is no "
            "bijection of angles: x and x + 2 pi would be two points, and the density nowhere normalised. "
            "Build it with circular_spline, or give a base on R^dim such as Normal."
        )
    if not of_angles(base) and _holds(bijection, lambda part: isinstance(part, Wrap)):
        raise FlowError(
            f"Flow: the bijection wraps angles, but the base {type(base).__name__} is not of angles: the "
            "density would not be normalised. Give a periodic base such as UniformTorus."
        )


def _holds(tree: object, wanted) -> bool:
    return any(map(wanted, jax.tree.leaves(tree, is_leaf=wanted)))
