"""report.html: what a run's page says, that it is complete, and that nothing in a run folder becomes a program."""

import base64
import hashlib
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from commands import run as run_command
from PIL import Image

from experiments.command.program import UserError
from experiments.measuring.measures import MEASURES
from experiments.reporting import curves, facts, generator, measured, page, pictures, several
from gan_jax import plots

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs_0_1_0"


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words.append(data)

    @property
    def data(self):
        return json.loads(self.scripts[0])

    def attributes(self, name):
        return [given[name] for _, given in self.elements if name in given]


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder with pictures, made by version 0.1.0."""
    folder = tmp_path / "a run"
    shutil.copytree(FIXTURES / "digits", folder)
    (folder / "samples").mkdir(exist_ok=True)
    for step in (0, 10, 20):
        picture = np.full((4, 8, 8, 1), step * 10, np.uint8)
        plots.save_grid(picture, folder / "samples" / f"{step}.png", columns=2)
    shutil.copy(folder / "samples" / "20.png", folder / "samples.png")
    return folder


@pytest.fixture
def measured_run(run) -> Path:
    row = {"value": 0.5, "interval": [0.4, 0.6], "floor": 0.25}
    result = {"checkpoint": "last", "step": 20, "num_samples": 100, "num_floor_samples": 50}
    text = json.dumps([{**result, "measures": {"frechet": row}}])
    (run / "evaluation.json").write_text(text)
    return run


def test_the_page_is_one_file_that_loads_nothing_and_runs_its_own_script_alone(measured_run):
    text = page.write(measured_run).read_text()
    found = Page(text)
    sources = [*found.attributes("src"), *found.attributes("href")]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "url(" not in text and "@import" not in text
    (policy,) = (a["content"] for _, a in found.elements if "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(found.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert len(found.scripts) == 2


def test_the_page_says_recipe_provenance_measures_and_how_to_go_on(measured_run):
    found = Page(page.write(measured_run).read_text())
    words = " ".join(" ".join(found.words).split())
    for said in (
        "a run", "r1_gamma", "16db0d465b04", "0.4 to 0.6", "0.25", "The last checkpoint, step 20",
        "experiments.evaluate", "flagfile.txt", "2 ln 2 = 1.386", "0.5",
    ):  # fmt: skip
        assert said in words, said
    assert [frame["step"] for frame in found.data["frames"]] == [0, 10, 20]
    assert found.data["generator"]["generator"]["output_shape"] == [28, 28, 1]


def test_paths_of_this_machine_do_not_travel(run):
    record = json.loads((run / "run.json").read_text())
    record["config"] |= {"data_dir": "/home/ada/data", "compilation_cache": "/home/ada/.cache"}
    (run / "run.json").write_text(json.dumps(record))
    text = page.render("run.html", page.context_of(facts.read(run)))
    assert "/home/ada" not in text.replace(str(run), "")


def test_every_measure_is_explained_and_nothing_else():
    names = {name for measure in MEASURES.values() for name in measure.directions}
    assert names == set(measured.MEANING)


def test_every_control_has_a_label_and_every_picture_words(measured_run):
    text = page.write(measured_run).read_text()
    found = Page(text)
    labelled = set(found.attributes("for"))
    wrapped = re.findall(r"<label>[^<]*<(?:input|select)[^>]*>", text)
    for tag, given in found.elements:
        if tag in ("input", "select"):
            inside = any(given.get("data-direction", "?") in each for each in wrapped)
            assert given.get("id") in labelled or "aria-label" in given or inside, given
        if tag == "img":
            assert given["alt"]
        if tag == "canvas":
            assert given["aria-label"]
    assert ("html", {"lang": "en"}) in found.elements


# 200 strings that end whatever they stand in and try to run something.
PAYLOADS = [
    *(
        "<script>alert(1)</script>",
        "</script><script>alert(1)</script>",
        "</style><svg onload=alert(1)>",
    ),
    *('"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", '" autofocus onfocus="alert(1)'),
    *(
        "{{ 7 * 7 }}",
        "{% for x in ().__class__.__bases__ %}{% endfor %}",
        "${alert(1)}",
        "`;alert(1);`",
    ),
    *("javascript:alert(1)", "</textarea><iframe src=javascript:alert(1)>", "<!--<script>", "-->"),
    *(
        "]]><script>alert(1)</script>",
        "\u2028alert(1)",
        "\\u003cscript\\u003ealert(1)",
        "<base href=//x>",
    ),
    *("&lt;script&gt;alert(1)&lt;/script&gt;", "<meta http-equiv=refresh content=0;url=//x>"),
]
HOSTILE = [f"{text}{number}" for number in range(10) for text in PAYLOADS]
PER_PAGE = 40


def poisoned(run: Path, strings: list[str]) -> None:
    """Put strings wherever a run folder holds words."""
    given = iter(strings)
    record = json.loads((run / "run.json").read_text())
    record["dataset"]["name"], record["program"], record["commit"] = (next(given) for _ in range(3))
    record["devices"], record["xla_flags"] = [next(given)], next(given)
    record["config"]["network"], record["config"]["loss"] = next(given), next(given)
    record["config"]["dataset"], record["config"][next(given)] = next(given), next(given)
    record["versions"][next(given)] = next(given)
    record["weights"][next(given)] = 3
    record["continued"] = [{"step": 2, "flags": {"lr_schedule": next(given)}}]
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    line["d_loss"], line[next(given)] = 1.0, 2.0
    results = [
        {"checkpoint": next(given), "features": next(given), "num_samples": 9, "measures": {
            next(given): {"value": 1.0, "interval": [0.5, 2.0], "floor": 0.1},
        }}
    ]  # fmt: skip
    (run / "run.json").write_text(json.dumps(record))
    (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    (run / "evaluations.jsonl").write_text(json.dumps({"step": 3, next(given): 1.0}) + "\n")
    (run / "evaluation.json").write_text(json.dumps(results))


def shape_of(found: Page) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(sorted(given))) for tag, given in found.elements]


def test_two_hundred_hostile_strings_stay_words(measured_run, monkeypatch):
    live = {"plane": False, "neighbours": None, "neighbours_why": ""}
    classes: list[str] = []

    def in_page(found):
        data = {"classes": classes, "shares": [1.0], "directions": [[1.0]], "latents": [[0.0]]}
        return live | {"no_generator": "", "generator": generator.InPage(data, "", None)}

    monkeypatch.setattr(page, "_live", in_page)
    assert len(HOSTILE) == len(set(HOSTILE)) == 200
    shapes, used = [], set()
    clean = {file: file.read_bytes() for file in measured_run.glob("*.json*")}
    for start in range(0, 200, PER_PAGE):
        strings = HOSTILE[start : start + PER_PAGE]
        for file, content in clean.items():
            file.write_bytes(content)
        poisoned(measured_run, strings[:20])
        classes[:] = strings[20:]
        text = page.write(measured_run).read_text()
        found = Page(text)
        assert len(found.scripts) == 2 and json.loads(found.scripts[0])
        assert found.data["generator"]["classes"] == strings[20:]
        assert not [name for _, given in found.elements for name in given if name.startswith("on")]
        assert {tag for tag, _ in found.elements}.isdisjoint({"iframe", "base", "object", "embed"})
        assert "49" not in " ".join(found.words)  # 7 * 7
        shapes.append(shape_of(found))
        shown = " ".join([*found.words, *map(str, found.attributes("aria-label"))])
        used |= {each for each in strings if each in shown}
    assert shapes[1:] == shapes[:-1]  # no string made or ended an element
    assert len(used) > 150  # they did come into the page


def test_a_picture_that_is_none_is_left_out(run):
    (run / "samples" / "30.png").write_bytes(b"<script>alert(1)</script>")
    (run / "samples.png").write_text("<svg onload=alert(1)>")
    found = Page(page.write(run).read_text())
    assert [frame["step"] for frame in found.data["frames"]] == [0, 10, 20]
    assert not [
        given for tag, given in found.elements if given.get("alt", "").startswith("samples of")
    ]


def test_sounds_get_a_player(run):
    plots.save_sounds(np.zeros((2, 50), np.float32), run / "samples.wav", sample_rate=8000)
    players = [given for tag, given in Page(page.write(run).read_text()).elements if tag == "audio"]
    assert players[0]["src"].startswith("data:audio/wav;base64,") and players[0]["aria-label"]
    (run / "samples.wav").write_bytes(b"RIFF<script>")
    assert pictures.sound_of(run / "samples.wav") is None


def test_pictures_come_at_one_pixel_for_each_generated_one(run):
    with Image.open(run / "samples.png") as image:
        assert min(image.size) > 500
    assert pictures.of_file(run / "samples.png")[1:] == (19, 19)  # 2 x 8 pixels and 3 gutters


def test_a_damaged_log_is_named_and_the_rest_shown(run):
    (run / "metrics.jsonl").write_text("{\n")
    words = " ".join(Page(page.write(run).read_text()).words)
    assert "metrics.jsonl is damaged" in words and "r1_gamma" in words


def test_a_run_without_a_checkpoint_has_a_page_that_says_so(run):
    shutil.rmtree(run / "checkpoints")
    found = Page(page.write(run).read_text())
    assert "has no checkpoint yet" in " ".join(found.words) and found.data["generator"] is None


def test_a_page_is_not_written_through_a_link_that_leads_out(run, tmp_path):
    outside = tmp_path / "precious.html"
    outside.write_text("mine")
    (run / "report.html").symlink_to(outside)
    with pytest.raises(UserError, match="leads out of the folder"):
        page.write(run)
    assert outside.read_text() == "mine"


@pytest.mark.slow
def test_seeds_have_a_page_each_and_one_of_all(tmp_path):
    folder = tmp_path / "seeds"
    shutil.copytree(FIXTURES / "ring_seeds", folder)
    outcome = run_command("report", f"--workdir={folder}")
    assert outcome.code == 0, outcome.err
    assert (folder / "seed_0" / "report.html").is_file()
    found = Page((folder / "report.html").read_text())
    assert "2 runs: seed_0, seed_1" in " ".join(found.words)
    one = Page((folder / "seed_0" / "report.html").read_text())
    assert one.data["generator"]["plane"]["discriminator"]["output_shape"] == []


def test_several_folders_stand_side_by_side(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    record = json.loads((other / "run.json").read_text())
    record["config"]["r1_gamma"] = 77.5
    (other / "run.json").write_text(json.dumps(record))
    found = Page(several.write([run, other], tmp_path / "new" / "both.html").read_text())
    assert "77.5" in " ".join(found.words)
    lines = [line for chart in found.data["charts"] for line in chart["lines"]]
    assert {line["label"].split()[0] for line in lines} == {"a", "other"}


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(UserError, match="is not a run folder"):
        page.write(tmp_path)
    with pytest.raises(UserError, match="is not a run folder"):
        several.write([tmp_path], tmp_path / "out.html")


# In words


def logged(**ends):
    """A log of 8 lines in which numbers go straight from one value to another."""
    return [
        {"step": i + 1, **{k: a + (b - a) * i / 7 for k, (a, b) in ends.items()}} for i in range(8)
    ]


def steps(*norms):
    return [{"step": i + 1, "g_grad_norm": norm} for i, norm in enumerate(norms)]


@pytest.mark.parametrize(
    ("records", "title", "state", "words"),
    [
        (logged(d_loss=(1.38, 1.30)), "Losses", curves.GOOD, "94%"),
        (logged(d_loss=(1.0, 0.05)), "Losses", curves.BAD, "tells nearly every image apart"),
        (logged(d_loss=(1.4, 3.0)), "Losses", curves.WATCH, "worse than by saying nothing"),
        ([{"step": 5, "d_loss": None}], "Losses", curves.BAD, "step 5"),
        (logged(dis_acc=(0.6, 0.99), gan_acc=(0.4, 0.01)), "Balance", curves.BAD, "D is winning"),
        (logged(dis_acc=(0.5, 0.5), gan_acc=(0.5, 0.95)), "Balance", curves.BAD, "deceives D"),
        (logged(dis_acc=(0.5, 0.6), gan_acc=(0.5, 0.4)), "Balance", curves.GOOD, "in balance"),
        (steps(*[1.0] * 4, *[1e6] * 4), "Gradient norms", curves.BAD, "explodes"),
        (logged(modes=(8, 2)), "Modes", curves.BAD, "collapses"),
    ],
)
def test_a_verdict_says_what_the_curve_shows(records, title, state, words):
    found = curves.verdicts("non_saturating", records)[title]
    assert found.state == state and words in found.words


def test_reference_lines_are_where_all_logits_are_zero():
    import jax.numpy as jnp

    from gan_jax.losses import LOSSES

    zeros = jnp.zeros(4)
    for name, (d_loss, g_loss) in curves.EQUAL.items():
        loss = LOSSES[name]()
        if d_loss is not None:
            assert math.isclose(loss.discriminator(zeros, zeros), d_loss, rel_tol=1e-6)
        if g_loss is not None:
            assert math.isclose(loss.generator(zeros, zeros), g_loss, rel_tol=1e-6)


def test_a_last_checkpoint_that_is_worse_than_the_best_is_told():
    values = [{"step": 1, "frechet": 2.0}, {"step": 2, "frechet": 1.0}, {"step": 3, "frechet": 1.5}]
    assert "--checkpoint=best" in curves.best_and_last(values).words
    assert curves.best_and_last(values[:2]).state == curves.GOOD


def test_a_drawing_keeps_the_order_of_value_interval_and_floor():
    drawn = measured.drawing([0.5], 0.25, [0.4, 0.6])
    assert 0 < drawn["floor_at"] < drawn["span"][0] < drawn["dots"][0] < drawn["span"][1] <= 200


@pytest.mark.slow
def test_a_generator_beyond_the_limit_is_shown_by_walks(run, monkeypatch):
    monkeypatch.setattr(generator, "MOST_BYTES", 10)
    found = Page(page.write(run).read_text())
    assert found.data["generator"] is None
    assert "does not run in this page" in " ".join(found.words)
    assert [given for _, given in found.elements if "walks" in given.get("alt", "")]


def test_directions_are_those_that_move_the_first_layer_most():
    from gan_jax import portable

    kernel = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]], "f4")
    layers = (
        portable.Layer("input", (), (3,), {}, {}),
        portable.Layer("dense", (0,), (2,), {}, {"kernel": kernel, "bias": np.zeros(2, "f4")}),
    )
    directions, shares = generator.principal_directions(portable.Program(layers))
    np.testing.assert_allclose(directions[:2], [[1, 0, 0], [0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(shares[:2], [0.8, 0.2], atol=1e-6)


def test_a_folder_of_seeds_is_told_from_a_run(run):
    assert not several.holds_runs(run) and several.holds_runs(FIXTURES / "ring_seeds")
