r"""Train the frozen judges of spoken digits (gan_jax.evaluation.judges): what is said, who says it, or no digit.

    python -m experiments.train_judges --data_dir=SPOKEN_DIGITS --out=gan_jax/evaluation/spoken_digits.npz

SPOKEN_DIGITS holds the recordings of the Free Spoken Digit Dataset, named DIGIT_SPEAKER_TAKE.wav; takes 0 to 4 are its
test set, which is not trained on. Both judges also learn from recordings led through Griffin-Lim, so that the way back
from a picture is not what they judge; and "none" from recordings played backwards, mixed in pairs, turned to hiss, from
white noise and from pictures drawn by Gaussians, half of the former and all of the latter led through Griffin-Lim.
Pictures are shifted in time and in level in training. No epoch is chosen: the last one counts.
"""

from absl import flags

from experiments.command import program

DATA_DIR = flags.DEFINE_string("data_dir", None, "folder or .zip with the recordings")
OUT = flags.DEFINE_string("out", None, "file to write (.npz); none if not given")
SEED = flags.DEFINE_integer("seed", 0, "seed of everything random", 0, 2**32 - 1)
NUM_EPOCHS = flags.DEFINE_integer("num_epochs", 8, "passes over the training sounds", 1, 1000)
CACHE = flags.DEFINE_string("data_cache", "", "folder that keeps decoded sounds; empty: none")

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin()

import time
from pathlib import Path

import numpy as np

from experiments.measuring import spoken_digits
from experiments.measuring.judge_training import fit, gather, led_back, pictures_of
from gan_jax.evaluation import judges
from gan_jax.evaluation.features import to_bytes


def main() -> int:
    """Train, fold, round, measure and write."""
    started = time.monotonic()
    if not DATA_DIR.value:
        raise program.UserError("--data_dir is missing: name the folder of the recordings")
    if OUT.value and not Path(OUT.value).expanduser().parent.is_dir():
        raise program.UserError(f"--out={OUT.value} must lie in a folder that exists")
    train, test = spoken_digits.recordings(DATA_DIR.value, CACHE.value)
    examples = gather(train, np.random.default_rng(SEED.value))
    print(f"{len(examples.digits):,} sounds in {time.monotonic() - started:.0f} s", flush=True)
    packed = to_bytes(fit(examples, SEED.value, NUM_EPOCHS.value))
    found = judges.from_bytes(packed)  # what is measured is what is written: float16 weights
    for name, waves in {
        "test": test.waves,
        "led through Griffin-Lim": led_back(test.waves),
    }.items():
        heard = judges.listen(found, pictures_of(waves))
        digits = (heard.digits.argmax(axis=1) == test.digits).mean()
        speakers = (heard.speakers.argmax(axis=1) == test.speakers).mean()
        print(f"{name}: digits {digits:.2%}, speakers {speakers:.2%} of {len(waves)} right")
    minutes = (time.monotonic() - started) / 60
    print(f"{len(packed):,} bytes, {minutes:.1f} minutes")
    if OUT.value:
        Path(OUT.value).expanduser().write_bytes(packed)
        print(f"wrote {OUT.value}; for gan_jax/evaluation/judges.py: {found.sha256}")
    return 0


if __name__ == "__main__":
    program.run(main)
