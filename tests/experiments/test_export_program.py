"""experiments.export: the generator of a run of any version, as the run itself draws."""

import shutil

import numpy as np
from commands import ROOT, run

from experiments.record.restored import restore_run
from gan_jax.export import load_generator


def test_a_run_of_version_0_1_0_is_exported_as_it_draws(tmp_path):
    folder, out = tmp_path / "digits", tmp_path / "out"
    shutil.copytree(ROOT / "tests" / "fixtures" / "runs_0_1_0" / "digits", folder)
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
