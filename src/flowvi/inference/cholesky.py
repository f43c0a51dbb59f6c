"""Cholesky factors without forming the matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def lower_factor(root: Float[np.ndarray, "dim n"]) -> Float[np.ndarray, "dim dim"]:
    """The lower triangular L with positive diagonal and L L^T = root root^T, by QR, without squaring."""
    upper = np.asarray(np.linalg.qr(root.T, mode="r"))
    return (upper * np.sign(np.diag(upper))[:, None]).T
