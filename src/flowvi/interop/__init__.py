"""Flows in NumPyro: as distributions in a model, and as guides. FlowJAX: see `bijections.FromFlowJAX`."""

from flowvi.errors import DependencyError

try:
    import numpyro as _numpyro  # noqa: F401
except ImportError as error:
    raise DependencyError("flowvi.interop needs NumPyro: pip install 'flowvi[numpyro]'.") from error

from flowvi.interop.numpyro_distribution import FlowDistribution as FlowDistribution
from flowvi.interop.numpyro_distribution import numpyro_distribution as numpyro_distribution
from flowvi.interop.numpyro_guide import FlowGuide as FlowGuide
from flowvi.interop.numpyro_guide import numpyro_guide as numpyro_guide
