"""What a file holds of an amortized posterior."""

from typing import Any, final

import equinox as eqx
import numpy as np

from flowvi.amortized.network import Network
from flowvi.bijections import SupportTree


@final
class Saved(eqx.Module):
    """Networks, and by name what else there is: a module, so that `flowvi.serialise` writes it.

    Attributes:
        network: with the number of summaries alone where these are the user's own.
        supports: of a plain simulator's parameters; None for a model.
        facts: numbers, strings, and lists and dicts of them.
    """

    network: Network
    supports: SupportTree | None
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]
