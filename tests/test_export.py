"""A generator that travels: every reader gives the images of the game it came from; nothing else gets in."""

import hashlib
import json
import shutil
import subprocess
import sys
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import quick_jit

import gan_jax
from gan_jax import export, portable, shipped
from gan_jax.export import ExportError, card, load_generator, write_generator
from gan_jax.models.dcgan import DCGANGenerator
from gan_jax.networks import from_linen
from gan_jax.sampling import to_pixels

FACTS = {
    "title": "Rings", "dataset": {"name": "ring", "samples": 9, "shape": [2], "sha256": "ab"}, "seed": 3,
    "recipe": ["--dataset=ring"], "latent_dim": 4, "step": 7,
    "measured": {
        "num_samples": 50, "num_floor_samples": 40, "seed": 0,
        "measures": {"frechet": {"value": 1.25, "interval": [1, 1.5], "floor": 0.5}},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    """A small generator of images 16x16x3 from 4 latents, its parameters and statistics, none of them 0."""
    generator = from_linen(DCGANGenerator(size=16, channels=3, base=2, hidden=(8,)))
    state = jax.jit(generator.init)(jax.random.key(0), jnp.zeros((2, 4)))
    return generator, *jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), state)


@pytest.fixture(scope="module")
def program(network):
    return portable.trace(*network, (4,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, program, network):
    place = tmp_path_factory.mktemp("export") / "generator"
    further = {
        "generator_numpy.py": export.numpy_module().encode(),
        "generator.stablehlo": export.stablehlo(*network, 4, labelled=False),
        "generator.js": export.javascript_module(program).encode(),
    }
    write_generator(place, program, FACTS, further)
    return place


def latents(num: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(num, 4)).astype(np.float32)


@cache
def drawing(generator):
    """Compile a generator once: op by op it takes ten times as long."""
    return quick_jit(partial(generator.apply, train=False))


def images_of(network, z):
    generator, params, model_state = network
    return np.asarray(drawing(generator)(params, model_state, jnp.asarray(z))[0])


def test_it_is_read_back_as_it_was(folder, network):
    generator = load_generator(folder)
    np.testing.assert_allclose(generator(latents(3)), images_of(network, latents(3)), atol=1e-5)
    assert generator.facts["title"] == "Rings" and generator.card.startswith("# Rings")
    np.testing.assert_array_equal(generator.sample(2, seed=5), generator.sample(2, seed=5))
    assert not np.array_equal(generator.sample(2, seed=5), generator.sample(2, seed=6))


@pytest.mark.parametrize("num", [1, 5])
def test_jax_reads_it_with_any_number_of_latents_on_three_platforms(folder, network, num):
    exported = jax.export.deserialize((folder / "generator.stablehlo").read_bytes())
    assert exported.platforms == ("cpu", "cuda", "tpu")
    found = exported.call(latents(num))
    np.testing.assert_allclose(found, images_of(network, latents(num)), atol=1e-5)


def test_numpy_alone_reads_it_as_the_card_says(folder, network):
    """In a process that has no other package: -I -S leaves none, and NumPy's folder is put back."""
    place = str(next(path for path in np.__path__)).rsplit("/numpy", 1)[0]
    only = folder.parent / "only"
    only.mkdir(exist_ok=True)
    if not (only / "numpy").exists():
        for name in ("numpy", "numpy.libs"):
            (only / name).symlink_to(f"{place}/{name}")
    text = (folder / "README.md").read_text()
    assert export.formats.reader() in text and len(export.formats.reader().splitlines()) <= 10
    code = (
        f"import sys; sys.path[:0] = [{str(only)!r}, {str(folder)!r}]\n"
        "import generator_numpy, numpy as np\n"
        f"z = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)\n"
        f"np.save({str(only / 'out.npy')!r}, generator_numpy.load({str(folder)!r})(z))\n"
        "assert not {'jax', 'safetensors', 'gan_jax'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(only / "out.npy"), images_of(network, latents(2)), atol=1e-5)


def test_half_the_size_moves_no_pixel_by_more_than_one(tmp_path, folder, program, network):
    write_generator(tmp_path / "half", portable.rounded(program), FACTS)
    sizes = [
        (place / "generator.safetensors").stat().st_size for place in (folder, tmp_path / "half")
    ]
    assert sizes[1] < 0.6 * sizes[0]
    half = load_generator(tmp_path / "half")(latents(8))
    pixels = [np.asarray(to_pixels(x)).astype(int) for x in (half, images_of(network, latents(8)))]
    assert np.abs(pixels[0] - pixels[1]).max() <= 1


def of_two_classes(place):
    """A generator that adds a row of its class to its latents."""
    table = np.float32([[1, 2], [30, 40]])
    layers = (
        portable.Layer("input", (), (2,), {}, {}),
        portable.Layer("embedding", (), (2,), {}, {"table": table}),
        portable.Layer("add", (0, 1), (2,), {}, {}),
    )
    write_generator(place, portable.Program(layers, 2), {"class_names": ["a", "b"]})
    return load_generator(place)


def test_classes_are_drawn_as_they_are_asked_for(tmp_path):
    generator = of_two_classes(tmp_path / "g")
    np.testing.assert_array_equal(generator([[0, 0], [1, 1]], [1, 0]), [[30, 40], [2, 3]])
    assert {round(x, -1) for x in generator.sample(60)[:, 0].tolist()} == {0, 30}
    with pytest.raises(ValueError, match="knows 2 classes"):
        generator([[0, 0]])
    with pytest.raises(ValueError, match=r"labels must have shape \(3,\), got \(2,\)"):
        generator.sample(3, labels=[0, 1])


def test_many_samples_are_drawn_in_parts_that_make_one_whole(tmp_path, monkeypatch):
    generator = of_two_classes(tmp_path / "g")
    labels = np.arange(7) % 2
    whole = generator.sample(7, seed=3), generator.sample(7, seed=3, labels=labels)
    monkeypatch.setattr("gan_jax.export.generator.AT_ONCE", 3)
    parts = generator.sample(7, seed=3), generator.sample(7, seed=3, labels=labels)
    np.testing.assert_array_equal(whole, parts)


def damage(folder, name, content):
    (folder / name).write_bytes(content)


INPUT = {"op": "input", "of": [], "shape": [4]}


def said(folder, **changed):
    text = json.loads((folder / "generator.json").read_bytes())
    damage(folder, "generator.json", json.dumps(text | changed).encode())


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "generator.json").unlink(), "is no generator's folder: No such file"),
        (lambda f: damage(f, "generator.json", b"{"), "is damaged: .*; export it anew"),
        (lambda f: damage(f, "generator.json", b'{"format": "other", "version": 1}'), "it is other 1"),
        (lambda f: damage(f, "generator.json", b"[]"), "is damaged"),
        (lambda f: damage(f, "generator.json", b"[" * 100_000), "is damaged: maximum recursion"),
        (lambda f: said(f, layers=[1]), "is damaged: 'int' object has no"),
        (lambda f: said(f, layers=[]), "its first layer is no input"),
        (lambda f: said(f, layers=[INPUT, {**INPUT, "op": "run"}]), "layer 1 is unknown: run"),
        (lambda f: said(f, layers=[INPUT, {**INPUT, "op": "relu", "of": [1]}]), "layer 1 takes a layer"),
        (lambda f: said(f, num_classes="2"), "num_classes is '2'"),
        (lambda f: damage(f, "generator.safetensors", b"\x80\x04."), "is not the file that generator.json"),
    ],
)  # fmt: skip
def test_a_folder_that_is_none_or_damaged_is_told_in_a_line(tmp_path, folder, harm, message):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    harm(copy)
    with pytest.raises(ExportError, match=message) as caught:
        load_generator(copy)
    assert "\n" not in str(caught.value)


def test_a_folder_with_other_files_is_left_alone(tmp_path, program):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ExportError, match="holds other files"):
        write_generator(tmp_path, program, FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_of_an_earlier_export_is_left_and_no_link_is_followed(tmp_path, folder, program):
    copy, outside = tmp_path / "copy", tmp_path / "mine.txt"
    shutil.copytree(folder, copy)
    outside.write_text("kept")
    for name in (".README.md.part", "README.md"):
        (copy / name).unlink(missing_ok=True)
        (copy / name).symlink_to(outside)
    write_generator(copy, program, FACTS)
    assert outside.read_text() == "kept"
    names = {path.name for path in copy.iterdir()} - {".README.md.part", "__pycache__"}
    assert names == {"README.md", "generator.json", "generator.safetensors"}


def test_a_card_says_what_was_measured_and_lets_no_markup_in():
    text = card(FACTS | {"title": "<script>|`x`"}, "c0ffee")
    assert "| frechet | 1.25 | 1 to 1.5 | 0.5 |" in text and "c0ffee" in text
    assert "<script>" not in text and "    --dataset=ring" in text
    assert "licence of the data | not stated" in text
    assert "the same measure of 40 unseen real samples" in text
    assert "Features: none, sha256 none." in text
    assert "Not measured" in card({}, "")
    assert "labels = np.arange(16) % 2" in card({"class_names": ["a", "b"]}, "")


def sha256_of(name: str) -> str:
    return hashlib.sha256(
        (shipped.FOLDER / name / "generator.safetensors").read_bytes()
    ).hexdigest()


def test_shipped_generators_are_sound_small_and_say_what_they_are():
    assert shipped.names()
    for name in shipped.names():
        generator = gan_jax.pretrained(name)
        images = generator.sample(4)
        assert images.shape == (4, 28, 28, 1) and np.abs(images).max() <= 1
        assert images.std() > 0.3
        files = list((shipped.FOLDER / name).iterdir())
        assert sum(file.stat().st_size for file in files) < 1_100_000
        assert all(generator.facts[name] for name in ("data_licence", "recipe", "measured"))
        assert generator.card == card(generator.facts, sha256_of(name))
        assert not any("/" in line for line in generator.facts["recipe"])
    with pytest.raises(ValueError, match=r"name must be one of .*, got 'cats'"):
        gan_jax.pretrained("cats")
