"""Invertible maps with their log |det|: the layers of flows, and the supports of constrained parameters."""

from flowvi.bijections.affine import LocationScale as LocationScale
from flowvi.bijections.affine import LowRankAffine as LowRankAffine
from flowvi.bijections.affine import TriangularAffine as TriangularAffine
from flowvi.bijections.affine_transformer import AffineTransformer as AffineTransformer
from flowvi.bijections.base import Bijection as Bijection
from flowvi.bijections.chain import Chain as Chain
from flowvi.bijections.coupling import Coupling as Coupling
from flowvi.bijections.coupling import alternating_mask as alternating_mask
from flowvi.bijections.identity import Identity as Identity
from flowvi.bijections.invert import Invert as Invert
from flowvi.bijections.mlp import MLP as MLP
from flowvi.bijections.mlp import MaskedMLP as MaskedMLP
from flowvi.bijections.permutation import Permutation as Permutation
from flowvi.bijections.scan import Scan as Scan
from flowvi.bijections.trainable import Constant as Constant
from flowvi.bijections.trainable import trainable as trainable
from flowvi.bijections.transformer import Transformer as Transformer
