"""Black and white images from grey ones."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Shaped

from flowvi.errors import DataError
from flowvi.flows.arguments import positive_number, seed_of


def binarise(
    images: Shaped[np.ndarray, "images ..."], *, white: float | int, seed: int = 0
) -> Float[np.ndarray, "images pixels"]:
    """A draw of every pixel, white with a probability of its brightness; images become rows.

        P(x = 1) = brightness / white

    The same seed gives the same pixels. `white` is 255 for MNIST, 16 for scikit-learn's digits.

    Raises:
        DataError: a brightness is not within 0 and `white`, or images are no array of numbers.
        ArgumentError: `white` is not positive, or `seed` is no seed.

    Source: Salakhutdinov & Murray 2008, "On the quantitative analysis of deep belief networks", section 5.

    Example:
        >>> binarise(np.array([[0, 255]]), white=255).tolist()
        [[0.0, 1.0]]
    """
    white, seed = positive_number("white", white), seed_of(seed)
    try:
        brightness = np.asarray(images, float)
    except (TypeError, ValueError) as error:
        raise DataError(f"images is not an array of numbers: {error}.") from error
    if brightness.ndim == 0:
        raise DataError(f"images is {images!r}: give an array, (images, ...).")
    rows = brightness.reshape(len(brightness), math.prod(brightness.shape[1:])) / white
    # written so that NaN fails as well
    bad = rows[~((rows >= 0) & (rows <= 1))]
    if len(bad):
        raise DataError(
            f"images has a brightness of {bad[0] * white:g}, which is not within 0 and white={white:g}."
        )
    return (np.random.default_rng(seed).uniform(size=rows.shape) < rows).astype(float)
