"""A generator's card: what it was made of, how good it is, what it is for (Mitchell et al. 2019, arXiv:1810.03993)."""

from collections.abc import Mapping
from typing import Any


def card(facts: Mapping[str, Any], weights_sha256: str) -> str:
    """Write a generator's card.

    Args:
      facts: title, dataset (name, samples, shape, sha256), data_licence, licence, recipe (lines of flags), seed, step,
        num_weights, ema, versions, commit, measured (a result of `experiments.evaluate`, or None), class_names. What
        is missing is said to be unknown.
      weights_sha256: of generator.safetensors.

    Returns:
      Markdown.
    """
    return (
        "\n\n".join(
            part
            for part in (
                f"# {_line(facts.get('title', 'A generator'))}",
                _made_of(facts, weights_sha256),
                _measured(facts.get("measured")),
                _use(facts),
                _reading(facts),
            )
            if part
        )
        + "\n"
    )


def _made_of(facts: Mapping[str, Any], sha256: str) -> str:
    data = facts.get("dataset", {})
    classes = facts.get("class_names") or ()
    rows = {
        "data": f"{data.get('name', 'unknown')}, {data.get('samples', '?')} samples of {data.get('shape', '?')}, "
        f"sha256 {data.get('sha256', 'unknown')}",
        "licence of the data": facts.get("data_licence") or "not stated: ask who made them",
        "licence of these weights": facts.get("licence") or "not stated",
        "training": f"seed {facts.get('seed', '?')}, step {facts.get('step', '?')}, commit {facts.get('commit')}, "
        + ("moving average of the weights" if facts.get("ema", True) else "the weights themselves"),
        "size": f"{facts.get('num_weights', '?')} weights, sha256 {sha256}",
        "classes": ", ".join(map(str, classes)) or "none: it is not told of classes",
    }
    table = "\n".join(f"| {name} | {_line(value)} |" for name, value in rows.items())
    recipe = "\n".join(f"    {line}" for line in facts.get("recipe", ()))
    return (
        f"## What it was made of\n\n| | |\n|---|---|\n{table}\n\nThe recipe, as flags:\n\n{recipe}"
    )


def _measured(result: Mapping[str, Any] | None) -> str:
    if not result:
        return "## How good it is\n\nNot measured: `experiments.evaluate --workdir=RUN`, then export again."
    lines = ["| measure | value | 95 % interval | floor |", "|---|---|---|---|"]
    for name, row in result["measures"].items():
        interval = row.get("interval")
        span = "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"
        lines.append(
            f"| {_line(name)} | {row['value']:.4g} | {span} | {row.get('floor', float('nan')):.4g} |"
        )
    unseen = result.get("num_floor_samples", "?")
    return (
        f"## How good it is\n\n{result.get('num_samples', '?')} samples, latents of seed {result.get('seed', '?')}, "
        f"one run: other seeds of training differ. The floor is the same measure of {unseen} unseen real samples, what "
        "as many of a perfect generator would score; with another number of samples it differs. Features: "
        f"{_line(result.get('features', 'none'))}, "
        f"sha256 {_line(result.get('features_sha256', 'none'))}.\n\n" + "\n".join(lines)
    )  # fmt: skip


def _use(facts: Mapping[str, Any]) -> str:
    del facts
    return (
        "## What it is for\n\nTeaching, demonstrations, tests of measures and of programs that take images. It draws "
        "what its data look like, their faults and their shares of classes included, and knows nothing else. Not for "
        "data that are to stand in for real ones in a decision about people."
    )


def _reading(facts: Mapping[str, Any]) -> str:
    from gan_jax.export.formats import reader

    classes = len(facts.get("class_names") or ())
    label, labels = "", ""
    if classes:
        label, labels = ", labels", f"labels = np.arange(16) % {classes}\n"
    return (
        "## How to run it\n\n```python\nimport gan_jax\n\nimages = gan_jax.load_generator(\".\").sample(16)  "
        "# in [-1, 1]\n```\n\nWithout gan_jax, by NumPy alone, if generator_numpy.py is here:\n\n```python\n"
        "import generator_numpy, numpy as np\n\nlatents = np.random.default_rng(0).normal(size=(16, "
        f"{facts.get('latent_dim', 'latent_dim')}))\n{labels}"
        f"images = generator_numpy.load(\".\")(latents{label})\n```\n\n"
        f"Its weights alone, in ten lines:\n\n```python\nimport json\nimport numpy as np\n\n{reader()}\n```\n\n"
        "By JAX on CPU, GPU or TPU, if generator.stablehlo is here (JAX promises to read it for half a year): "
        f"`jax.export.deserialize(content).call(latents{label})`. In a page: `import {{ generator }} from "
        "\"./generator.js\"`, then `generator.run(latent, label)`."
    )  # fmt: skip


def _line(value: object) -> str:
    """Keep what comes from a run in one cell of a table, and free of markup."""
    text = " ".join(str(value).split())
    for sign, harmless in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        ("|", "&#124;"),
        ("[", "&#91;"),
        ("`", "'"),
    ):
        text = text.replace(sign, harmless)
    return text
