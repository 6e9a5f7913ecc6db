"""Measures of generated samples: each file one measure, each a pure function of arrays.

| question | measure | file |
|---|---|---|
| Are the two distributions alike? | Frechet distance, kernel distance | frechet, kernel |
| Is each sample plausible? Is each real image within reach? | precision, recall, density, coverage | manifold |
| How many modes are found, how evenly? | modes, high-quality share, KL | coverage |
| Which player is ahead? | dis_acc, gan_acc, a warning in words | balance |
| Which classes are drawn? | histogram, its KL, classifier score | balance |
| Are training images copied? | nearest neighbours, memorisation ratio | neighbours |
| Does it look right to no network, too? | Frechet distance of pixels, agreement | components, pixels_of_images |
| How sure is a number? | bootstrap intervals, summary over seeds; means over pairs | bootstrap, u_statistic |

`evaluate(samples, train, unseen, features)` takes all of them at once, for images from anywhere, beside their floors.

Feature vectors are [N, D], from any fixed network (`features` has one for 28 x 28 images). What happens on
the host is float64; pairwise distances run on the default device in float32, in chunks of bounded memory.
Nothing here reads files or clocks or prints.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_jax.evaluation.scores import Score, evaluate

__all__ = ["Score", "evaluate"]


def __getattr__(name: str) -> Any:  # on first use, so that one measure does not import all
    if name in __all__:
        from gan_jax.evaluation import scores

        return getattr(scores, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
