"""Pictures, by matplotlib, which is only imported when one is drawn."""

from flowvi.plots.geometry import area_magnification as area_magnification
from flowvi.plots.geometry import density_through_layers as density_through_layers
from flowvi.plots.geometry import local_linear_map as local_linear_map
from flowvi.plots.geometry import warped_grid as warped_grid
from flowvi.plots.ranks import ecdf_differences as ecdf_differences
from flowvi.plots.ranks import rank_histograms as rank_histograms
from flowvi.plots.recovery import recovery as recovery
