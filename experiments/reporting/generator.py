"""The generator inside a page: its layers and weights, or, where it cannot run there, walks drawn beforehand."""

from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.command import own_data
from experiments.command.experiment import run_keys
from experiments.record.restored import RestoredRun
from experiments.reporting.pictures import Picture, of_array
from gan_jax import plots, portable
from gan_jax.evaluation import neighbours
from gan_jax.sampling import interpolate, sample, sample_latents, to_pixels

MOST_BYTES = 5_000_000  # of a generator's weights in a page, as float16
DIRECTIONS = 8  # sliders
SAMPLES = 25  # latents that the page begins with
WALKS, WALK = 5, 12
SHOWN_POINTS = 400  # of the plane
NEIGHBOURS = (8, 5)  # samples, and training pictures beside each


class InPage(NamedTuple):
    """What the page's script is given; `data` is None where the generator cannot run there, and `why` says so."""

    data: dict[str, Any] | None
    why: str
    walks: Picture | None


def in_page(run: RestoredRun, real: np.ndarray | None = None) -> InPage:
    """Make a run's generator ready for its page.

    Args:
      run: the run.
      real: real points of the plane [N, 2], shown beside generated ones.
    """
    latents = np.asarray(
        sample_latents(run_keys(run.config.seed).samples, SAMPLES, run.config.latent_dim)
    )
    if own_data.are_waves(run.config):
        return InPage(None, "its samples are sounds", None)
    try:
        program = _traced(run)
    except portable.UnsupportedError as error:
        return InPage(None, f"its network cannot be said in plain layers: {error}", _walks(run))
    weights = sum(array.size for array in portable.arrays(program).values())
    if 2 * weights > MOST_BYTES:
        why = f"its {weights:,} weights take more than {MOST_BYTES // 10**6} MB"
        return InPage(None, why, _walks(run))
    directions, shares = principal_directions(program)
    data = {
        "generator": portable.pack(program),
        "latents": _rounded(latents),
        "directions": _rounded(directions),
        "shares": _rounded(shares),
        "classes": class_names(run),
        "plane": _plane(run, real) if program.output_shape == (2,) else None,
    }
    return InPage(data, "", None)


def class_names(run: RestoredRun) -> list[str]:
    """Name the classes that a run's generator is given; none of a run without labels."""
    return list(run.class_names) if run.experiment.takes_labels(run.config) else []


def _traced(run: RestoredRun) -> portable.Program:
    classes = class_names(run)
    if run.experiment.takes_labels(run.config) and not classes:
        raise portable.UnsupportedError("its run does not say which classes there are")
    shape, state = (run.config.latent_dim,), run.state
    return portable.trace(
        run.gan.generator,
        state.ema_params,
        state.generator.model_state,
        shape,
        len(classes) or None,
    )


def principal_directions(program: portable.Program) -> tuple[np.ndarray, np.ndarray]:
    """Find the directions in which latents move G's first layer most.

    Returns:
      Unit vectors [K, Z], the strongest first, and the share of the first layer's squared response to each, [K].

    Reference: Shen and Zhou 2021, section 3, arXiv:2007.06600.
    """
    first = next((layer for layer in program.layers if layer.op == "dense"), None)
    size = program.input_shape[0]
    if first is None or first.arrays["kernel"].shape[0] < size:
        return np.eye(size)[:DIRECTIONS], np.full(min(size, DIRECTIONS), 1 / size)
    kernel = first.arrays["kernel"][:size]
    vectors, strengths, _ = np.linalg.svd(kernel, full_matrices=False)
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])  # one of two signs
    return vectors.T[:DIRECTIONS], (strengths**2 / (strengths**2).sum())[:DIRECTIONS]


def _rounded(array: np.ndarray) -> list:
    return np.round(np.asarray(array, np.float64), 4).tolist()


def _plane(run: RestoredRun, real: np.ndarray | None) -> dict[str, Any]:
    shown = np.zeros((0, 2)) if real is None else real[:SHOWN_POINTS]
    try:
        state = run.state.discriminator
        program = portable.trace(run.gan.discriminator, state.params, state.model_state, (2,))
        judge = portable.pack(program)
    except portable.UnsupportedError:
        judge = None
    extent = 1.25 * float(np.abs(shown).max()) if len(shown) else 3.0
    return {"real": _rounded(shown), "extent": round(extent, 3), "discriminator": judge}


def _walks(run: RestoredRun) -> Picture | None:
    """Draw walks between samples, where the generator does not run in the page; None of what is no picture."""
    start, end = jax.random.split(run_keys(run.config.seed).samples)
    ends = (sample_latents(key, WALKS, run.config.latent_dim) for key in (start, end))
    walks = interpolate(*ends, WALK).reshape(WALKS * WALK, -1)
    classes = class_names(run)
    labels = np.arange(WALKS, dtype=np.int32).repeat(WALK) % len(classes) if classes else None
    images = np.asarray(sample(run.gan, run.state, walks, labels))
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        return None
    return of_array(plots.grid(images, columns=WALK))


def nearest_pictures(run: RestoredRun, train: np.ndarray) -> Picture | None:
    """Draw generated pictures, a row for each, with their nearest training pictures beside them.

    Args:
      run: the run.
      train: uint8 [M, H, W, C].

    Returns:
      The picture; None of images that no picture shows.
    """
    rows, columns = NEIGHBOURS
    samples = _samples(run, rows)
    if samples.ndim != 4 or samples.shape[-1] not in (1, 3) or train.dtype != np.uint8:
        return None
    generated, columns = np.asarray(to_pixels(samples)), min(columns, len(train))
    indices, _ = neighbours.nearest_neighbours(generated, train, k=columns)
    pictures = np.concatenate([generated[:, None], train[indices]], axis=1)
    shape = generated.shape[1:]
    return of_array(plots.grid(pictures.reshape(-1, *shape), columns=1 + columns))


def _samples(run: RestoredRun, num: int) -> np.ndarray:
    """Generate the samples that the run's own pictures begin with."""
    latents = sample_latents(run_keys(run.config.seed).samples, SAMPLES, run.config.latent_dim)[
        :num
    ]
    classes = class_names(run)
    labels = np.arange(num, dtype=np.int32) % len(classes) if classes else None
    try:
        return portable.run(_traced(run), np.asarray(latents), labels)  # compiles nothing
    except portable.UnsupportedError:
        return np.asarray(sample(run.gan, run.state, latents, labels))
