"""The Dirac-GAN's program from end to end."""

import json

import pytest
from commands import run
from PIL import Image


@pytest.mark.slow
def test_the_program_plays_245_games_draws_them_and_finds_the_closed_forms(tmp_path):
    outcome = run("dirac", f"--workdir={tmp_path}", "--num_steps=200")
    assert outcome.code == 0, outcome.err
    assert "extragradient" in outcome.out and "comes in" in outcome.out and "leaves" in outcome.out
    results = json.loads((tmp_path / "results.json").read_text())
    played = [
        row for rows in results["distance"].values() for row in rows if row["fate"] != "refused"
    ]
    assert len(played) == 8 * 6 * 5 + 5
    assert len(results["eigenvalues"]) == 6 * 3  # each loss without a penalty, with R1, with R2
    assert max(row["error"] for row in results["eigenvalues"]) < 1e-10
    for name in ("rules.png", "losses.png", "rules.gif"):
        with Image.open(tmp_path / name) as picture:
            assert getattr(picture, "n_frames", 1) > (10 if name.endswith("gif") else 0)
