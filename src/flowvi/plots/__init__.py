"""Pictures, by matplotlib, which is only imported when one is drawn."""

from flowvi.plots.ranks import ecdf_differences as ecdf_differences
from flowvi.plots.ranks import rank_histograms as rank_histograms
