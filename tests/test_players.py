"""Laws of the families' builders: what each makes of the wishes for a pair of players, and what it refuses."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from gan_jax.models import NETWORKS
from gan_jax.models.article import ArticleDiscriminator, ArticleGenerator
from gan_jax.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.models.options import PlayerOptions, scaled
from gan_jax.models.residual import ResidualDiscriminator, ResidualGenerator
from gan_jax.models.unrolled import UnrolledDiscriminator, UnrolledGenerator
from gan_jax.models.wave import WaveDiscriminator, WaveGenerator
from gan_jax.networks import from_linen

DIGITS, POINTS, WAVE = (28, 28, 1), (2,), (1, 6144, 1)
every_family = pytest.mark.parametrize("name", NETWORKS)


def usual(name, **wishes) -> PlayerOptions:
    return PlayerOptions(WAVE if name == "wave" else DIGITS, **wishes)


def test_each_family_builds_its_own_players_at_the_sizes_of_its_protocol():
    built = {name: players(usual(name)) for name, players in NETWORKS.items()}
    assert built == {
        "article": (ArticleGenerator(), ArticleDiscriminator()),
        "dcgan": (DCGANGenerator((28, 28), 1, 32), DCGANDiscriminator(64)),
        "mlp": (MLPGenerator(DIGITS, bounded=True), MLPDiscriminator()),
        "residual": (ResidualGenerator((28, 28), 1, 32), ResidualDiscriminator(32)),
        "spectrogram": (DCGANGenerator((28, 28), 1, 32), DCGANDiscriminator(64)),
        "unrolled": (UnrolledGenerator(1, 8), UnrolledDiscriminator(8, batch_norm=True)),
        "wave": (WaveGenerator(6144), WaveDiscriminator()),
    }


def test_wishes_reach_both_players():
    wishes = PlayerOptions((8, 8, 3), width=0.5, d_width=0.25, dtype=jnp.bfloat16)
    half = {"dtype": jnp.bfloat16}
    assert NETWORKS["dcgan"](wishes) == (
        DCGANGenerator((8, 8), 3, 16, **half),
        DCGANDiscriminator(16, **half),
    )
    assert NETWORKS["dcgan"](wishes._replace(g_hidden=(7, 6), d_hidden=(5,))) == (
        DCGANGenerator((8, 8), 3, 16, hidden=(7, 6), **half),
        DCGANDiscriminator(16, hidden=(5,), **half),
    )
    assert NETWORKS["residual"](wishes._replace(g_hidden=(7,), d_hidden=(5,), num_classes=3)) == (
        ResidualGenerator((8, 8), 3, 16, hidden=(7,), num_classes=3, **half),
        ResidualDiscriminator(8, hidden=(5,), num_classes=3, **half),
    )
    waves = wishes._replace(
        sample_shape=(1, 64, 2), g_hidden=(7,), d_hidden=(5,), phase_shuffle=2, paired=True
    )
    assert NETWORKS["wave"](waves) == (
        WaveGenerator(64, 2, 32, batch_norm=False, hidden=(7,), **half),
        WaveDiscriminator(16, hidden=(5,), phase_shuffle=2, **half),
    )
    transposed = wishes._replace(sample_shape=(8, 12, 3), image_layer="conv_transpose")
    assert NETWORKS["dcgan"](transposed) == (
        DCGANGenerator((8, 12), 3, 16, image_layer="conv_transpose", **half),
        DCGANDiscriminator(16, **half),
    )
    wishes = wishes._replace(bias_std=0.5)
    assert NETWORKS["mlp"](wishes) == (
        MLPGenerator((8, 8, 3), (64,) * 3, bounded=True, bias_std=0.5, **half),
        MLPDiscriminator((32,) * 3, bias_std=0.5, **half),
    )
    assert NETWORKS["mlp"](wishes._replace(g_hidden=(7, 6), d_hidden=(5,))) == (
        MLPGenerator((8, 8, 3), (7, 6), bounded=True, bias_std=0.5, **half),
        MLPDiscriminator((5,), bias_std=0.5, **half),
    )
    wishes = wishes._replace(sample_shape=(28, 28, 3), bias_std=0.0)
    assert NETWORKS["article"](wishes) == (
        ArticleGenerator(0.5, 3, jnp.bfloat16),
        ArticleDiscriminator(0.25, dtype=jnp.bfloat16),
    )
    assert NETWORKS["unrolled"](wishes) == (
        UnrolledGenerator(3, 4, **half),
        UnrolledDiscriminator(2, batch_norm=True, **half),
    )


def test_points_are_unbounded_and_images_are_not():
    assert [NETWORKS["mlp"](PlayerOptions(s))[0].bounded for s in (POINTS, DIGITS)] == [False, True]


@every_family
@pytest.mark.parametrize("wish", ["paired", "uncoupled"])
def test_a_game_of_single_samples_meets_no_batch_norm_in_d(name, wish):
    generator, discriminator = NETWORKS[name](usual(name, **{wish: True}))
    assert not from_linen(discriminator).couples_batch
    if wish == "paired" and name != "article":  # the tutorial's G has its batch norm in every game
        assert not from_linen(generator).couples_batch


def test_batch_norm_stays_where_nothing_speaks_against_it():
    coupled = {
        name: [from_linen(player).couples_batch for player in players(usual(name))]
        for name, players in NETWORKS.items()
    }
    assert coupled == {
        "article": [True, False],
        "dcgan": [True, False],
        "mlp": [False, False],
        "residual": [False, False],
        "spectrogram": [True, False],
        "unrolled": [True, True],
        "wave": [True, False],
    }
    generator, _ = NETWORKS["unrolled"](PlayerOptions(DIGITS, uncoupled=True))
    assert generator.batch_norm  # penalties ask nothing of G


REFUSED = [
    *[(name, {"sample_shape": POINTS}, r"needs images .* got samples of shape \(2,\); try mlp")
      for name in ("article", "dcgan", "residual", "unrolled")],
    *[(name, {"sample_shape": (32, 32, 3)}, "makes 28x28 images, got 32x32; try dcgan or mlp")
      for name in ("article", "unrolled")],
    *[(name, {"sample_shape": (28, 32, 1)}, "makes 28x28 images, got 28x32")
      for name in ("article", "unrolled")],
    *[(name, {player: (4,)}, "no hidden dense layers to choose; try dcgan or mlp")
      for name in ("article", "unrolled") for player in ("g_hidden", "d_hidden")],
    ("residual", {"spectral_norm": True}, "normalises nothing, its weights neither; try dcgan"),
    *[(name, {"image_layer": "conv_transpose"}, "no last layer to choose: leave --image_layer")
      for name in ("article", "mlp", "residual", "unrolled")],
    ("wave", {"sample_shape": WAVE, "image_layer": "conv_transpose"}, "no last layer to choose"),
    ("wave", {}, r"makes waves \[1, T, C\], got samples of shape \(28, 28, 1\)"),
    *[("wave", {"sample_shape": (1, length, 1)}, f"16 divides, of at least 64 samples, got {length}")
      for length in (48, 100)],
    *[(name, {"sample_shape": (*size, 1)}, "at least 6 pixels, got {}x{}".format(*size))
      for name in ("dcgan", "residual") for size in ((4, 8), (27, 28), (28, 9))],
]  # fmt: skip


@pytest.mark.parametrize(("name", "wishes", "message"), REFUSED)
def test_a_family_refuses_what_it_cannot_make(name, wishes, message):
    with pytest.raises(ValueError, match=message):
        NETWORKS[name](PlayerOptions(**({"sample_shape": DIGITS} | wishes)))


@every_family
@pytest.mark.parametrize(
    "shape", [(28, 28, 1), (28, 28, 3), (10, 10, 1), (3, 5, 2), (2,), (1, 80, 2)]
)
def test_what_a_family_does_not_refuse_it_makes_and_judges(name, shape):
    try:
        players = NETWORKS[name](PlayerOptions(shape, width=1 / 64, d_width=1 / 64))
    except ValueError:
        assert name != "mlp"
        return
    generator, discriminator = map(from_linen, players)

    def play(key):
        g_key, d_key = jax.random.split(key)
        z = jnp.zeros((3, 4))
        fakes, _ = generator.apply(*generator.init(g_key, z), z, train=False)
        judge = partial(discriminator.apply, train=False)
        return fakes, judge(*discriminator.init(d_key, fakes), fakes)[0]

    fakes, logits = jax.eval_shape(play, jax.random.key(0))
    assert (fakes.shape, logits.shape) == ((3, *shape), (3,))


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(32, 0.5, 16), (8, 1 / 64, 1), (3, 0.5, 2), (5, 1.5, 8)]
)
def test_a_width_multiplies_channels_and_leaves_at_least_one(channels, width, expected):
    assert scaled(channels, width) == expected


@pytest.mark.parametrize("name", ["article", "dcgan", "unrolled"])
def test_hidden_biases_are_refused_where_none_are_drawn(name):
    with pytest.raises(ValueError, match="bias_std"):
        NETWORKS[name](PlayerOptions((28, 28, 1), bias_std=0.1))
