"""Pictures of a run: sample grids and animations, curves, points of the plane, sounds. Writes files.

Every function takes numpy arrays (or what `np.asarray` accepts) and a path. A file appears whole or not at
all: it is written beside its place and then moved there, so an interrupted run never leaves half a picture,
and a picture that could not be drawn leaves the old one.
"""

from gan_jax.plots.charts import save_curves, save_lines
from gan_jax.plots.flows import Flow, save_flow_animation, save_flows
from gan_jax.plots.intervals import Row, save_intervals
from gan_jax.plots.pixels import grid, save_animation, save_grid, save_interpolation, save_picture
from gan_jax.plots.populations import save_population_curves, save_seeds
from gan_jax.plots.recipes import save_recipes
from gan_jax.plots.scatter import save_scatter
from gan_jax.plots.sounds import save_sounds, save_waves
from gan_jax.plots.spectra import save_spectra

__all__ = [
    "Flow",
    "Row",
    "grid",
    "save_animation",
    "save_curves",
    "save_flow_animation",
    "save_flows",
    "save_grid",
    "save_interpolation",
    "save_intervals",
    "save_lines",
    "save_picture",
    "save_population_curves",
    "save_recipes",
    "save_scatter",
    "save_seeds",
    "save_sounds",
    "save_spectra",
    "save_waves",
]
