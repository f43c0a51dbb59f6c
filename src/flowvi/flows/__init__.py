"""Distributions made of a base and a bijection, and their builders, by their names in the literature."""

from flowvi.flows.bnaf import bnaf as bnaf
from flowvi.flows.circular_spline import circular_spline as circular_spline
from flowvi.flows.continuous import continuous as continuous
from flowvi.flows.defensive_normal import DefensiveNormal as DefensiveNormal
from flowvi.flows.distribution import Distribution as Distribution
from flowvi.flows.flow import Flow as Flow
from flowvi.flows.flow_mixture import FlowMixture as FlowMixture
from flowvi.flows.gaussian import gaussian as gaussian
from flowvi.flows.glow import glow as glow
from flowvi.flows.iaf import iaf as iaf
from flowvi.flows.maf import maf as maf
from flowvi.flows.mixture import GaussianMixture as GaussianMixture
from flowvi.flows.multivariate_t import MultivariateT as MultivariateT
from flowvi.flows.neural_spline import neural_spline as neural_spline
from flowvi.flows.neural_spline_autoregressive import (
    neural_spline_autoregressive as neural_spline_autoregressive,
)
from flowvi.flows.nice import nice as nice
from flowvi.flows.normal import Normal as Normal
from flowvi.flows.planar import planar as planar
from flowvi.flows.radial import radial as radial
from flowvi.flows.real_nvp import real_nvp as real_nvp
from flowvi.flows.residual import residual as residual
from flowvi.flows.standardise import StandardisedCondition as StandardisedCondition
from flowvi.flows.standardise import standardise as standardise
from flowvi.flows.student_t import StudentT as StudentT
from flowvi.flows.sylvester import sylvester as sylvester
from flowvi.flows.unconstrained_monotonic import unconstrained_monotonic as unconstrained_monotonic
from flowvi.flows.uniform_torus import UniformTorus as UniformTorus
from flowvi.flows.whiten import Fixed as Fixed
from flowvi.flows.whiten import whiten as whiten
from flowvi.flows.wide_normal import WideNormal as WideNormal
