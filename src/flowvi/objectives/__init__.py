"""What a flow is trained for: a divergence, the estimator of its gradient, and the draws of a step."""

from flowvi.objectives.annealed import annealed as annealed
from flowvi.objectives.annealed import linear_schedule as linear_schedule
from flowvi.objectives.cross_entropy import forward_kl as forward_kl
from flowvi.objectives.cross_entropy import log_likelihood as log_likelihood
from flowvi.objectives.fisher import fisher as fisher
from flowvi.objectives.objective import Estimated as Estimated
from flowvi.objectives.objective import Objective as Objective
from flowvi.objectives.renyi import importance_weighted as importance_weighted
from flowvi.objectives.renyi import renyi as renyi
from flowvi.objectives.renyi import reverse_kl as reverse_kl
from flowvi.objectives.reweighted import reweighted_forward_kl as reweighted_forward_kl
