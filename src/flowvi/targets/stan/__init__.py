"""Stan programs as targets: compiled once with the headers of the httpstan wheel, called by XLA."""

from flowvi.targets.stan.program import StanModel as StanModel
from flowvi.targets.stan.target import StanTarget as StanTarget
