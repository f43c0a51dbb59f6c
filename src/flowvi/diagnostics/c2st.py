"""The classifier two-sample test."""

from __future__ import annotations

import numbers
import warnings
from typing import Any

import numpy as np

from flowvi.diagnostics.estimate import Estimate
from flowvi.diagnostics.two_samples import two_samples
from flowvi.errors import ArgumentError, DependencyError

_MOST_EPOCHS, _BATCH = 1000, 200
_EPOCHS, _STEPS = 25, 300
"""Without gain, both at least, before training ends: few rows make many epochs of few steps."""


def c2st(x: Any, y: Any, *, seed: int = 0, folds: int = 5, width: int | None = None) -> Estimate:
    """How often a network tells which sample a row comes from, by cross-validation, and its standard error.

        0.5: not at all;  1: always

    Two hidden layers of `width` (ten for each column unless given) with relu activations, from scikit-learn,
    trained by Adam until a tenth of the rows stops to gain; columns are standardised by x. Of two samples of
    different sizes as many rows are used of each, the first ones. Shapes: x (m, dim), y (n, dim). Cost:
    `folds` trainings, seconds for thousands of rows.

    Raises:
        DataError: x and y are not rows of finite numbers in as many columns, two for each fold at least.
        ArgumentError: `folds` is less than 2, or `width` or `seed` is out of range.
        DependencyError: scikit-learn is missing.

    Source: Lopez-Paz & Oquab 2017 (arXiv 1610.06545); Lueckmann et al. 2021 (arXiv 2101.04653), appendix H.1,
    for the network.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=(100, 1)), 5 + rng.normal(size=(100, 1))
        >>> c2st(x, y, folds=2).value > 0.9
        True
    """
    if isinstance(folds, bool) or not isinstance(folds, numbers.Integral) or folds < 2:
        raise ArgumentError(f"folds={folds!r}: give a whole number, 2 at least.")
    if width is not None and (
        isinstance(width, bool) or not isinstance(width, numbers.Integral) or width < 1
    ):
        raise ArgumentError(f"width={width!r}: give a positive integer.")
    # scikit-learn takes no larger seeds
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise ArgumentError(f"seed={seed!r}: give a whole number from 0 to 2**32 - 1.")
    first, second = two_samples(x, y, least=2 * folds)
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise DependencyError(
            "The classifier two-sample test needs scikit-learn. Install it: pip install 'flowvi[compare]'."
        ) from error
    rows = min(len(first), len(second))
    scale = first.std(axis=0)
    both = np.concatenate([first[:rows], second[:rows]])
    both = (both - first.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    labels = np.repeat([0, 1], rows)
    size = 10 * first.shape[1] if width is None else int(width)
    network = MLPClassifier(
        (size, size),
        max_iter=_MOST_EPOCHS,
        early_stopping=True,
        n_iter_no_change=max(_EPOCHS, _STEPS * _BATCH // len(both)),
        random_state=seed,
    )
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    # threads of small products wait for each other longer than they work
    with warnings.catch_warnings(), threadpool_limits(1):
        # a network that is stopped while it still learns is a classifier as well
        warnings.simplefilter("ignore", ConvergenceWarning)
        told = np.asarray(cross_val_predict(network, both, labels, cv=splits))
    right = (told == labels).astype(float)
    return Estimate(float(right.mean()), float(right.std(ddof=1) / np.sqrt(len(right))))
