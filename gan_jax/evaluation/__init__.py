"""Measures of generated samples: each file one measure, each a pure function of arrays.

| question | measure | file |
|---|---|---|
| Are the two distributions alike? | Frechet distance, kernel distance | frechet, kernel |
| Is each sample plausible? Is each real image within reach? | precision, recall, density, coverage | manifold |
| How many modes are found, how evenly? | modes, high-quality share, KL | coverage |
| Which player is ahead? | dis_acc, gan_acc, a warning in words | balance |
| Which classes are drawn? | histogram, its KL, classifier score | balance |
| Are training images copied? | nearest neighbours, memorisation ratio | neighbours |
| How sure is a number? | bootstrap intervals, summary over seeds; means over pairs | bootstrap, u_statistic |

Feature vectors are [N, D], from any fixed network (`features` has one for 28 x 28 images). What happens on
the host is float64; pairwise distances run on the default device in float32, in chunks of bounded memory.
Nothing here reads files or clocks or prints.
"""
