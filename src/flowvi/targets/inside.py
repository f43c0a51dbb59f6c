"""Whether values given for parameters lie inside their supports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi.errors import SupportError
from flowvi.targets.base import Target


def require_inside(target: Target, z: Float[np.ndarray, " dim"], parameters: Mapping[str, Any]) -> None:
    """Raise where an unconstrained point is not finite, or is not that of the values it was computed from.

    Raises:
        SupportError: a value lies outside its support.
    """
    outside = [target.coordinates[i] for i in np.flatnonzero(~np.isfinite(z))]
    if not outside:
        back = target.constrain(z[None])
        # a value off a simplex, say, has a finite image, which is that of another value
        outside = [
            name
            for name, value in parameters.items()
            if not np.allclose(back[name][0], value, rtol=1e-6, atol=1e-9)
        ]
    if outside:
        raise SupportError(
            f"The value given for '{outside[0]}' lies outside, or at the edge of, its support; give one "
            "inside it."
        )
