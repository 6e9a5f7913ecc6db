"""Train tiny games on a layout of devices, in a process of its own, and write every leaf of what comes out.

    python tests/layouts.py JSON

where JSON has `games` (keys of GAMES), `meshes` (numbers of devices), `x64` and `out` (a folder), and may have
`distributed` [coordinator, processes, id], `programs` (spell them out and train nothing), `steps` [from, to], and
`checkpoints`, the folder that steps beginning at 0 end in and later ones begin with.
"""

import json
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from tiny import (
    BatchNormDiscriminator,
    BatchNormGenerator,
    ConvDiscriminator,
    DropoutDiscriminator,
    EmbeddingGenerator,
    ProjectionDiscriminator,
    game,
    paying,
)

from gan_jax import losses, parallel, rules
from gan_jax.checkpoint import Checkpoints
from gan_jax.layers import Conv, ConvTranspose
from gan_jax.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks import from_linen
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, make_chunk
from gan_jax.types import GAN, AdversarialLoss, Batch

BATCH = 16
STEPS = 10


class BatchNormConvGenerator(nn.Module):
    """A DCGAN generator in small, which computes in the type of its weights: latents to images [B, 8, 8, 1]."""

    couples_batch = True

    @nn.compact
    def __call__(self, latents, *, train):
        x = nn.Dense(32, name="project")(latents).reshape(-1, 4, 4, 2)
        x = nn.leaky_relu(nn.BatchNorm(not train, momentum=0.9, name="norm_4")(x), 0.2)
        x = ConvTranspose(2, (4, 4), (2, 2), name="up")(x)
        x = nn.leaky_relu(nn.BatchNorm(not train, momentum=0.9, name="norm_8")(x), 0.2)
        return jnp.tanh(Conv(1, (3, 3), name="image")(x))


def wide_loss() -> AdversarialLoss:
    """The non-saturating loss without its cast to float32."""
    return AdversarialLoss(
        lambda real, fake: jnp.mean(nn.softplus(-real)) + jnp.mean(nn.softplus(fake)),
        lambda real, fake: jnp.mean(nn.softplus(-fake)),
    )


def wide_relativistic() -> AdversarialLoss:
    """The relativistic loss without its cast to float32."""
    return AdversarialLoss(
        lambda real, fake: jnp.mean(nn.softplus(fake - real)),
        lambda real, fake: jnp.mean(nn.softplus(real - fake)),
        needs_real=True,
    )


def players(generator, discriminator, *, relativistic: bool = False, **options) -> GAN:
    """A game with momenta and a moving average.

    Adam divides by |gradient| + epsilon. Where a gradient is 0 but for rounding, as for a bias before a batch norm, an
    epsilon of 1e-8 blows float32's rounding up to whole steps; with 1e-3 it stays rounding.
    """
    wide = jax.config.jax_enable_x64
    kinds = (wide_loss, wide_relativistic) if wide else (losses.non_saturating, losses.relativistic)
    adam = optax.adam(1e-2, b1=0.5, eps=1e-3)
    return game(
        from_linen(generator), from_linen(discriminator), kinds[relativistic](), g_tx=adam, d_tx=adam,
        ema_half_life_images=100.0, **options,
    )  # fmt: skip


def points(discriminator=BatchNormDiscriminator, **options) -> GAN:
    """A game of points with batch norm and dropout."""
    return players(BatchNormGenerator(), discriminator(), **options)


def by_class(**options) -> GAN:
    """A game of points with labels, batch norm in G and dropout in D."""
    return players(EmbeddingGenerator(), ProjectionDiscriminator(), **options)


def blurred(key, images):
    """Add noise to images of any type: what an augmentation draws is divided between devices like all else."""
    return images + 0.1 * jax.random.normal(key, images.shape, images.dtype)


def images(**options) -> GAN:
    """A game of images with batch norm in G and dropout in D."""
    return players(BatchNormConvGenerator(), ConvDiscriminator(), **options)


def dcgan(**options) -> GAN:
    """The library's own networks, which make float32 images."""
    return players(DCGANGenerator(8, base=2), DCGANDiscriminator(base=3), **options)


R1 = paying(r1_gamma=1.0)
GAMES = {
    "alternating": (rules.alternating, partial(points, n_dis=2, penalties=R1)),
    "article": (rules.article, points),
    "one_stage": (rules.one_stage, partial(points, DropoutDiscriminator, penalties=R1)),
    "labels": (
        rules.alternating,
        partial(by_class, n_dis=2, penalties=paying(gp_weight=1.0), augment=blurred),
    ),
    "relativistic": (
        rules.alternating,
        partial(points, relativistic=True, penalties=paying(r1_gamma=1.0, r2_gamma=1.0)),
    ),
    "images": (rules.alternating, partial(images, penalties=R1)),
    "dcgan": (rules.alternating, partial(dcgan, penalties=paying(r1_gamma=1.0, gp_weight=1.0))),
}


def data_for(name: str) -> Batch:
    """Real samples: points, with labels for the game that has them, or images as bytes."""
    rng = np.random.default_rng(0)
    if name in ("images", "dcgan"):
        return Batch(rng.integers(0, 256, (64, 8, 8, 1), np.uint8))
    wide = np.float64 if jax.config.jax_enable_x64 else np.float32
    samples = rng.normal(size=(64, 2)).astype(wide)
    return Batch(samples, rng.integers(0, 3, 64, np.int32) if name == "labels" else None)


def like(data: Batch, num: int) -> Batch:
    """So many samples of the data's shape."""
    return jax.tree.map(lambda leaf: jnp.zeros((num, *leaf.shape[1:]), leaf.dtype), data)


def bind(name: str, mesh):
    """Give a game and its rule on a mesh."""
    rule, build = GAMES[name]
    return parallel.over_batch(build(), mesh, BATCH), parallel.keep_replicated(rule, mesh)


def first_state(gan: GAN, data: Batch, mesh):
    """Draw the state of step 0 on a mesh."""
    draw = partial(drawn_state, gan, data)
    return jax.jit(draw, out_shardings=parallel.replicated(mesh))(jax.random.key(1))


def drawn_state(gan: GAN, data: Batch, key):
    """Draw the state of step 0, in float64 if that is on."""
    floats = data._replace(images=np.float32(data.images))
    state, wide = init_state(gan, key, like(floats, BATCH)), jnp.zeros(()).dtype
    return jax.tree.map(lambda x: x.astype(wide) if x.dtype == jnp.float32 else x, state)


def replicas_agree(tree) -> bool:
    """Whether every device of this process holds the same bits of every leaf."""
    return all(
        leaf.is_fully_replicated
        and len({np.asarray(shard.data).tobytes() for shard in leaf.addressable_shards}) == 1
        for leaf in jax.tree.leaves(tree)
    )


def train(name: str, mesh, steps, checkpoints: str | None):
    """Train from one step to another; return the state and metrics."""
    data = data_for(name)
    gan, rule = bind(name, mesh)
    start, end = steps
    state = first_state(gan, data, mesh)
    if start:
        state = Checkpoints(checkpoints).restore(state, step=start).state
    chunk = make_chunk(gan, rule, sample_real, batch_size=BATCH, num_steps=end - start)
    state, metrics = chunk(state, parallel.replicate(data, mesh), jax.random.key(2))
    assert replicas_agree((state, metrics)), "the devices have drifted apart"
    if checkpoints and not start:
        with Checkpoints(checkpoints) as saver:
            saver.save(end, state, {})
    return state, metrics


def program(name: str, mesh) -> str:
    """Spell out the program that a mesh runs."""
    data = data_for(name)
    gan, rule = bind(name, mesh)
    state = jax.eval_shape(partial(drawn_state, gan, data), jax.random.key(1))

    def one(state, data, key):
        batch = sample_real(key, data, BATCH * rule.batches(gan))
        return rule.step(gan, state, batch, key=key)

    return str(jax.make_jaxpr(one)(state, data, jax.random.key(2)))


def main(order: dict) -> None:
    """Do what the order says."""
    jax.config.update("jax_enable_x64", order["x64"])
    if "distributed" in order:
        parallel.start_processes(*order["distributed"], timeout=30)
    for name in order["games"]:
        for num_devices in order["meshes"]:
            write(order, name, num_devices)


def write(order: dict, name: str, num_devices: int) -> None:
    """Write what a game ends in on so many devices, or the program alone."""
    mesh = parallel.make_mesh(num_devices)
    file = Path(order["out"]) / f"{name}-{num_devices}-{jax.process_index()}"
    if order.get("programs"):
        file.with_suffix(".txt").write_text(program(name, mesh))
        return
    result = train(name, mesh, order.get("steps", [0, STEPS]), order.get("checkpoints"))
    leaves = {
        jax.tree_util.keystr(path): np.asarray(leaf.addressable_data(0))
        for path, leaf in jax.tree_util.tree_leaves_with_path(result)
    }
    np.savez(file.with_suffix(".npz"), **leaves)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
