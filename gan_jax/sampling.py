"""Draw what a GAN needs: latents, real batches, generated images, and paths between latents."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.types import GAN, Array, Batch, GANState, Images, Key, Labels, Latents


def sample_latents(key: Key, num: int, dim: int) -> Latents:
    """Draw latents from the standard normal distribution, f32[num, dim]."""
    return jax.random.normal(key, (num, dim))


def sample_truncated_latents(key: Key, num: int, dim: int, bound: float) -> Latents:
    """Draw latents from the normal distribution cut off at +-bound, f32[num, dim]: fewer rare samples, less variety.

    Args:
      key: draws them.
      num: how many.
      dim: of each.
      bound: greatest size of a coordinate, > 0; as if coordinates beyond it were drawn again. At 2 hardly a difference,
        at 0.5 typical samples only.

    Raises:
      ValueError: the bound is not positive.

    Reference: Brock et al. 2019, "the truncation trick", section 3.1, arXiv:1809.11096.
    """
    if not bound > 0:
        raise ValueError(f"bound must be > 0, got {bound}")
    return jax.random.truncated_normal(key, -bound, bound, (num, dim))


def sample_labels(seed: int, counts: Sequence[int], num: int) -> Labels:
    """Draw classes with the data's frequencies, i32[num]; the same seed gives the same classes.

    Args:
      seed: of the draw.
      counts: how often each class, 0, 1, ..., occurs in the data.
      num: how many.

    Raises:
      ValueError: no class occurs.
    """
    shares = np.asarray(counts, np.float64)
    if not shares.sum() > 0:
        raise ValueError(f"some class must occur, got counts {counts}")
    drawn = np.random.default_rng(seed).choice(len(shares), num, p=shares / shares.sum())
    return jnp.asarray(drawn, jnp.int32)


def sample_indices(key: Key, num: int, size: int | Array) -> Array:
    """Draw places in a data set of a size, with replacement, i32[num]."""
    return jax.random.randint(key, (num,), 0, size)


def sample_real(key: Key, data: Batch, num: int) -> Batch:
    """Draw real samples with replacement, as floats, with their labels if there are any.

    Args:
      key: draws the indices.
      data: uint8 images [N, H, W, C], mapped to [-1, 1] by (x - 127.5) / 127.5; or float points [N, D], kept.
      num: how many.

    Returns:
      Images f32[num, ...] and labels i32[num] or None.

    Raises:
      ValueError: the data are neither uint8 nor floats, whose range nobody could know.
    """
    dtype = data.images.dtype
    if dtype != jnp.uint8 and not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"data must be uint8 pixels or floats, got {dtype}; convert them")
    indices = sample_indices(key, num, data.images.shape[0])
    chosen = jax.tree.map(lambda array: jnp.asarray(array)[indices], data)
    return chosen._replace(images=as_signed(chosen.images))


def sample_triples(key: Key, data: Batch, num: int) -> Batch:
    """Draw images of three channels, each an independent draw from grey images (StackedMNIST).

    Args:
      key: draws the indices.
      data: uint8 [N, H, W, 1], mapped to [-1, 1].
      num: how many.

    Returns:
      Images f32[num, H, W, 3], without labels.

    Raises:
      ValueError: the data are not grey uint8 images.

    Reference: Metz et al. 2017, section 3.3.1, arXiv:1611.02163.
    """
    images = data.images
    if images.ndim != 4 or images.shape[3] != 1 or images.dtype != jnp.uint8:
        raise ValueError(
            f"triples are made of uint8 [N, H, W, 1], got {images.dtype}{images.shape}"
        )
    chosen = images[..., 0][jax.random.randint(key, (num, 3), 0, images.shape[0])]
    return Batch(to_signed(jnp.moveaxis(chosen, 1, 3)))


def to_signed(images: Array) -> Images:
    """Map uint8 pixels 0..255 to f32 in [-1, 1]."""
    return (images.astype(jnp.float32) - 127.5) / 127.5


def as_signed(images: Array) -> Images:
    """Map uint8 pixels to [-1, 1], as players see them; floats are kept."""
    return to_signed(images) if images.dtype == jnp.uint8 else images


def to_pixels(images: Images) -> Array:
    """Map images in [-1, 1] to the nearest uint8 pixels 0..255."""
    return jnp.round(jnp.clip(images * 127.5 + 127.5, 0, 255)).astype(jnp.uint8)


def sample(
    gan: GAN,
    state: GANState,
    latents: Latents,
    labels: Labels | None = None,
    *,
    ema: bool = True,
) -> Images:
    """Generate images in inference mode.

    Args:
      gan: the game, for its generator.
      state: the weights and statistics.
      latents: [N, latent_dim].
      labels: the classes to draw, i32[N], of a game with labels.
      ema: use the moving average of the weights.

    Returns:
      Images [N, H, W, C] in [-1, 1], or points [N, 2].

    Raises:
      ValueError: latents are not of shape [N, latent_dim].
    """
    if latents.ndim != 2 or latents.shape[1] != gan.latent_dim:
        raise ValueError(f"latents must have shape [N, {gan.latent_dim}], got {latents.shape}")
    params = state.ema_params if ema else state.generator.params
    images, _ = gan.generator.apply(
        params, state.generator.model_state, latents, labels, train=False
    )
    return images


def interpolate(start: Latents, end: Latents, num: int) -> Latents:
    """Walk from latents to latents along great circles, while the length goes evenly from one to the other.

    A straight walk would pass through short latents, of which the generator has seen none.

    Args:
      start: [R, Z].
      end: [R, Z].
      num: points on each path, both ends included; at least 2.

    Returns:
      [R, num, Z].

    Reference: White 2016, section 2.1, arXiv:1609.04468 (there the lengths are not treated apart).
    """
    a, b = start[:, None, :], end[:, None, :]
    a_length = jnp.linalg.norm(a, axis=-1, keepdims=True)
    b_length = jnp.linalg.norm(b, axis=-1, keepdims=True)
    a, b = a / a_length, b / b_length
    cosine = jnp.sum(a * b, axis=-1, keepdims=True)
    angle = jnp.arccos(jnp.clip(cosine, -1.0 + 1e-6, 1.0 - 1e-6))
    t = jnp.linspace(0.0, 1.0, num).reshape(1, num, 1)
    directions = (jnp.sin((1.0 - t) * angle) * a + jnp.sin(t * angle) * b) / jnp.sin(angle)
    return ((1.0 - t) * a_length + t * b_length) * directions
