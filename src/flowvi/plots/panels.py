"""What all pictures share: panels side by side, their labels and colours.

matplotlib is only imported when a picture is drawn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flowvi.errors import DependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, OFF, BAND = "#204060", "#b02020", "#d8dee6"
"""Colours of what is shown, of what is outside its bounds, and of the bounds."""

_COLUMNS = 4


def panels(
    count: int, *, size: tuple[float, float] = (2.5, 2.2), share: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` axes in rows of four, each of that size in inches; `share` gives all one scale.

    Raises:
        DependencyError: matplotlib is missing.
    """
    plt = _pyplot()
    columns = min(count, _COLUMNS)
    rows = math.ceil(count / _COLUMNS)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(size[0] * columns, size[1] * rows),
        squeeze=False,
        layout="constrained",
        sharex=share,
        sharey=share,
    )
    flat = list(axes.flat)
    for axis in flat[count:]:
        axis.remove()
    return figure, flat[:count]


def outer_labels(figure: Figure, axes: list[Axes], x: str, y: str) -> None:
    """One label for the horizontal axes of all panels, one for the vertical ones."""
    figure.supxlabel(x, fontsize="medium")
    figure.supylabel(y, fontsize="medium")
    for axis in axes:
        axis.title.set_fontsize("medium")
        axis.tick_params(labelsize="small")


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise DependencyError("Pictures need matplotlib: pip install 'flowvi[plots]'.") from error
    return plt
