"""Control rows for spoken digits: what the judges say of real recordings, and of sounds that are no digit.

    python -m experiments.sounds_protocol --data_dir=SPOKEN_DIGITS

SPOKEN_DIGITS holds the Free Spoken Digit Dataset. Each row is measured as `experiments.evaluate` measures a run of
spoken_digits.flags: shares of sounds of which the judges are sure (of the digit, the speaker, both), modes found of 60,
KL of all sounds to uniform, Frechet distance to the training recordings in parts of 300, kernel distance, near copies.

Real recordings, then real ones led through Griffin-Lim, are what a generator of waves, then one of spectrograms, can
reach. The next rows are no digits, and no judge should be sure of them; `spliced` (one digit's beginning, another's
end) is of a kind that the judges never learnt of. The last rows are real spectrograms, blurred or with noise before the
way back to waves: how finely the judges hear. Prints a table and one JSON line; --wav keeps them to hear.
"""

import json
from pathlib import Path

from absl import flags

from experiments.command import program

DATA_DIR = flags.DEFINE_string("data_dir", None, "folder or .zip with the recordings")
CACHE = flags.DEFINE_string("data_cache", "", "folder that keeps decoded sounds; empty: none")
NUM = flags.DEFINE_integer("num_samples", 3000, "Gaussian pictures and noises", 300, 10**5)
WAV = flags.DEFINE_string("wav", None, "new folder for ten sounds of each row; unset: none")
COLUMNS = (
    *("sure_digit", "sure_speaker", "sure", "spoken_modes", "spoken_kl"),
    *("spoken_frechet", "kernel", "neighbour_ratio", "copied"),
)


def main() -> int:
    """Make the sounds, let the judges hear them, print."""
    if not DATA_DIR.value:
        raise program.UserError("--data_dir is missing: name the folder of the recordings")
    if WAV.value and Path(WAV.value).expanduser().exists():
        raise program.UserError(f"--wav={WAV.value} exists: name a new folder")

    from experiments.measuring import evaluation, measures, spoken_digits
    from gan_jax import signals
    from gan_jax.evaluation.judges import SOUND, listen, load_judges

    judges = load_judges()
    train, test = spoken_digits.recordings(DATA_DIR.value, CACHE.value)
    real, unseen = (listen(judges, signals.to_pictures(r.waves, SOUND)) for r in (train, test))
    chosen = measures.named(["spoken", "spoken_frechet", "kernel", "copies"])
    rows = []
    print(f"judges {judges.sha256[:8]}, {len(train.waves):,} training recordings")
    print(f"{'':26}{'n':>7}" + "".join(f"{name:>16}" for name in COLUMNS))
    for name, waves in _controls(train.waves, test.waves):
        heard = listen(judges, signals.to_pictures(waves, SOUND))
        values = evaluation.compute(chosen, real, unseen, heard, resamples=0)
        row = {"sounds": name, "num_samples": len(waves)}
        row |= {column: values[column].value for column in COLUMNS}
        rows.append(row)
        numbers = "".join(f"{row[column]:>16.4g}" for column in COLUMNS)
        print(f"{name:26}{len(waves):>7,}{numbers}", flush=True)
        _keep(name, waves)
    print(json.dumps({"judges_sha256": judges.sha256, "rows": rows}))
    return 0


def _controls(train, test):
    """Yield the name and the waves of each row."""
    import numpy as np

    from gan_jax import signals
    from gan_jax.evaluation import control_sounds
    from gan_jax.evaluation.judges import SOUND

    pictures = signals.to_pictures(test, SOUND)
    rng = np.random.default_rng(0)
    yield "real test", test
    yield "real test + Griffin-Lim", signals.to_waves(pictures, SOUND)
    drawn = control_sounds.gaussian_pictures(signals.to_pictures(train, SOUND), NUM.value, rng)
    yield "Gaussian of 64 components", signals.to_waves(drawn, SOUND)
    yield "white noise", control_sounds.white_noise(NUM.value, SOUND.num_samples, rng)
    yield "hiss as loud as speech", control_sounds.hissed(test, rng)
    yield "backwards", control_sounds.backwards(test)
    yield "mixed in pairs", control_sounds.mixed(test, rng)
    yield "spliced", control_sounds.spliced(test, rng)
    for bands in (0.5, 0.8):
        changed = control_sounds.blurred(pictures, bands, axis=1)
        yield f"blurred, {bands} bands", signals.to_waves(changed, SOUND)
    yield (
        "blurred, 0.8 columns",
        signals.to_waves(control_sounds.blurred(pictures, 0.8, axis=2), SOUND),
    )
    for decibels in (1, 3):
        changed = control_sounds.noisy(pictures, decibels * 255 / signals.RANGE_DB, rng)
        yield f"noise of {decibels} dB", signals.to_waves(changed, SOUND)


def _keep(name: str, waves) -> None:
    if not WAV.value:
        return
    from gan_jax import plots
    from gan_jax.evaluation.judges import SOUND

    folder = Path(WAV.value).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name.replace(' ', '_')}.wav"
    plots.save_sounds(waves[:10], file, sample_rate=SOUND.sample_rate)


if __name__ == "__main__":
    program.run(main)
