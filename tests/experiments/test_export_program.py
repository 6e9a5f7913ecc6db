"""experiments.export: the generator of a run of any version, as the run itself draws."""

import shutil

import numpy as np
import pytest
from commands import ROOT, TINY, run
from picture_files import solid, write

from experiments.record.restored import restore_run
from gan_jax.export import load_generator


def test_a_run_of_version_0_1_0_is_exported_as_it_draws(tmp_path):
    folder, out = tmp_path / "digits", tmp_path / "out"
    shutil.copytree(ROOT / "tests" / "fixtures" / "runs_0_1_0" / "digits", folder)
    with (folder / "flagfile.txt").open("a") as flagfile:
        flagfile.write("--data_cache=/home/me/kept\n--nodownload\n--host_data=yes\n")
    outcome = run("export", f"--workdir={folder}", f"--out={out}", "--files=weights,numpy")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "generator.json", "generator.safetensors", "generator_numpy.py"
    ]  # fmt: skip
    restored, generator = restore_run(folder), load_generator(out)
    latents = np.random.default_rng(0).normal(size=(5, restored.config.latent_dim))
    expected = restored.generate(latents.astype(np.float32))
    np.testing.assert_allclose(generator(latents), expected, atol=1e-5)
    facts = generator.facts
    assert facts["step"] == 20 and facts["dataset"]["name"] == "digits"
    assert facts["data_licence"].startswith("CC BY 4.0")
    kept = [line.split("=")[0] for line in facts["recipe"]]
    assert "--num_steps" in kept and not {"--workdir", "--data_dir"} & set(kept)
    assert not {"--data_cache", "--nodownload", "--host_data"} & set(kept)
    assert not any(
        "/home" in file.read_text() for file in (out / "generator.json", out / "README.md")
    )


@pytest.mark.slow
def test_pictures_of_ones_own_have_no_known_licence_whatever_they_are_called(tmp_path):
    pictures = write(tmp_path / "mnist", solid(12))
    train = (*TINY, "--num_steps=2", "--image_size=8x8", "--compilation_cache=", "--data_cache=")
    outcome = run("images", f"--data_dir={pictures}", f"--workdir={tmp_path}/run", *train)
    assert outcome.code == 0, outcome.err
    outcome = run("export", f"--workdir={tmp_path}/run", f"--out={tmp_path}/out", "--files=weights")
    assert outcome.code == 0, outcome.err
    facts = load_generator(tmp_path / "out").facts
    assert facts["dataset"]["name"] == "mnist" and facts["data_licence"] is None
