"""Images that come with scikit-learn."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from flowvi.errors import DependencyError


def digits() -> Float[np.ndarray, "1797 64"]:
    """Handwritten digits of 8 by 8 pixels with brightness 0 .. 16, as rows.

    Raises:
        DependencyError: scikit-learn is missing.

    Source: scikit-learn's copy of the test set of the UCI "Optical Recognition of Handwritten Digits".

    Example:
        >>> digits().shape
        (1797, 64)
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DependencyError(
            "The digits come with scikit-learn. Install it: pip install 'flowvi[compare]'."
        ) from error
    return np.asarray(load_digits(return_X_y=True)[0], float)
