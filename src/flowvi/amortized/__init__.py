"""q(z | x): posteriors trained once, on simulations, for every data set."""

from flowvi.amortized.deep_set import DeepSet as DeepSet
from flowvi.amortized.image import Image as Image
from flowvi.amortized.layers import Dense as Dense
from flowvi.amortized.network import Network as Network
from flowvi.amortized.saved import Saved as Saved
from flowvi.amortized.series import Series as Series
from flowvi.amortized.set_transformer import Attention as Attention
from flowvi.amortized.set_transformer import SetTransformer as SetTransformer
from flowvi.amortized.summary import Flatten as Flatten
