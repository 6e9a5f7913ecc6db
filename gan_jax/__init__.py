"""Generative adversarial networks as a handful of pure functions over one pytree.

A `GAN` (types) bundles two `Network`s (networks, models), their optimizers and an `AdversarialLoss` (losses), perhaps
with `Penalty`s (penalties). `gradients` differentiates what each player minimises, `steps` moves along it, a `Rule`
(rules) says who moves when, and `make_chunk` compiles many steps of it over a `GANState`. `sampling` draws images from
a state; `population` trains many seeds at once; `parallel` spreads one run over many devices; `evaluation` measures the
result. `data`, `plots` and `checkpoint` are the edges where files are touched. A whole training run is a function of
(configuration, data, key).

What a game is made of can be had from here: `from gan_jax import GAN, alternating, from_linen, losses, make_chunk`.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

ROOMS = (  # in reading order
    *("types", "losses", "penalties", "convolution", "layers", "wave_layers", "networks", "models"),
    *(
        "sampling",
        "optimizers",
        "objectives",
        "gradients",
        "jacobian",
        "steps",
        "streaming",
        "rules",
        "population",
        "parallel",
    ),
    *("dynamics", "rejection", "portable", "signals"),
    *("evaluation", "data", "plots", "checkpoint", "export", "shipped"),
)
NAMES = {  # name -> the room it lives in
    **dict.fromkeys(("GAN", "AdversarialLoss", "Batch", "Network", "Penalty", "Rule"), "types"),
    **dict.fromkeys(("GANState", "NetworkState"), "types"),
    "from_linen": "networks",
    "load_generator": "export",
    "pretrained": "shipped",
    **dict.fromkeys(("sample", "sample_latents", "sample_real", "interpolate"), "sampling"),
    **dict.fromkeys(("discriminator_gradients", "generator_gradients"), "gradients"),
    **dict.fromkeys(("init_state", "discriminator_step", "generator_step"), "steps"),
    **dict.fromkeys(("run_steps", "take_steps", "make_chunk"), "steps"),
    **dict.fromkeys(("alternating", "article", "one_stage"), "rules"),
    **dict.fromkeys(("init_population", "run_population"), "population"),
}
__all__ = [*ROOMS, *NAMES]


def __getattr__(name: str) -> Any:  # all loads on first use, so `import gan_jax` costs nothing
    if name in ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in NAMES:
        return getattr(importlib.import_module(f"{__name__}.{NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
