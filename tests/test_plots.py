"""Pictures: pixels are the images' own, files are whole, numbers of frames and bad input as documented."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gan_jax import plots
from gan_jax.plots import charts
from gan_jax.plots.files import write_atomically

RNG = np.random.default_rng(0)
RECORDS = [
    {
        "step": step,
        "images": 8 * step,
        "d_loss": 1.0 / step,
        "g_loss": None if step == 30 else 0.7,
        "dis_acc": float("nan") if step % 20 else 0.8,
        "d_grad_norm": 0.0 if step == 10 else 2.0,
    }
    for step in range(10, 110, 10)
]


def read(path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def frames_of(path) -> list[np.ndarray]:
    with Image.open(path) as picture:
        frames = []
        for index in range(picture.n_frames):
            picture.seek(index)
            frames.append(np.asarray(picture.convert("RGB")))
        return frames


def random_images(*shape) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@given(
    num=st.integers(1, 12),
    columns=st.integers(1, 7),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    gutter=st.integers(0, 3),
)
def test_every_image_is_found_unchanged_at_its_cell(num, columns, height, width, channels, gutter):
    images = random_images(num, height, width, channels)
    tiled = plots.grid(images, columns, gutter)
    rows = -(-num // columns)
    expected = (rows * (height + gutter) + gutter, columns * (width + gutter) + gutter, channels)
    assert tiled.shape == expected
    assert tiled.dtype == np.uint8
    for index, image in enumerate(images):
        top = gutter + (index // columns) * (height + gutter)
        left = gutter + (index % columns) * (width + gutter)
        np.testing.assert_array_equal(tiled[top : top + height, left : left + width], image)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_undo_the_usual_scaling_of_bytes(dtype):
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    floats = ((images.astype(np.float64) - 127.5) / 127.5).astype(dtype)
    tolerance = 0 if dtype != np.float16 else 1
    difference = plots.grid(floats, 1, 0)[None].astype(int) - images
    assert np.abs(difference).max() <= tolerance


def test_floats_are_rounded_to_the_nearest_byte():
    levels = np.array([10.0, 10.4, 10.6, 200.6]).reshape(1, 2, 2, 1)
    assert plots.grid(levels / 127.5 - 1, 1, 0).ravel().tolist() == [10, 10, 11, 201]


def test_floats_outside_the_range_are_clipped():
    images = np.array([-5.0, -1.0, 1.0, 5.0]).reshape(1, 2, 2, 1)
    assert plots.grid(images, 1, 0).ravel().tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (28, 3), (8, 1), (64, 3), (700, 1)])
def test_a_saved_grid_is_the_grid_enlarged_without_blur(tmp_path, side, channels):
    images = random_images(2 if side == 700 else 25, side, side, channels)
    plots.save_grid(images, tmp_path / "grid.png", columns=5)
    saved, small = read(tmp_path / "grid.png"), plots.grid(images, 5)
    scale = saved.shape[1] // small.shape[1]
    assert side == 700 or 500 <= saved.shape[1] <= 700
    small = small.repeat(scale, 0).repeat(scale, 1)
    np.testing.assert_array_equal(saved, small[..., 0] if channels == 1 else small)


def test_a_walk_fills_one_row(tmp_path):
    walks = random_images(3, 4, 6, 6, 1)
    plots.save_interpolation(walks, tmp_path / "walk.png")
    plots.save_grid(walks.reshape(12, 6, 6, 1), tmp_path / "grid.png", columns=4)
    np.testing.assert_array_equal(read(tmp_path / "walk.png"), read(tmp_path / "grid.png"))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((28, 28, 1), np.uint8),
        np.zeros((4, 28, 28, 2), np.uint8),
        np.zeros((0, 28, 28, 1), np.uint8),
        np.zeros((4, 28, 28, 1), np.int32),
        np.full((4, 28, 28, 1), np.nan),
    ],
)
def test_what_is_no_set_of_images_is_refused_in_one_line(images, tmp_path):
    with pytest.raises(ValueError, match=r"^images must .*, got [^\n]*$"):
        plots.save_grid(images, tmp_path / "grid.png")
    assert list(tmp_path.iterdir()) == []


def test_fewer_than_one_column_is_refused():
    with pytest.raises(ValueError, match="columns must be >= 1"):
        plots.grid(random_images(1, 2, 2, 1), 0)
    with pytest.raises(ValueError, match=r"walks must have shape .* got \(2, 3, 3, 1\)"):
        plots.save_interpolation(random_images(2, 3, 3, 1), "never-written.png")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"half of the new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_never_sees_a_part_of_the_new(tmp_path):
    path, reader = tmp_path / "picture.png", tmp_path / "same file"
    path.write_bytes(b"old")
    os.link(path, reader)
    write_atomically(path, lambda file: file.write(b"new"))
    assert (path.read_bytes(), reader.read_bytes()) == (b"new", b"old")
    assert sorted(tmp_path.iterdir()) == [path, reader]


def test_missing_folders_are_made_and_paths_may_be_strings(tmp_path):
    path = tmp_path / "samples" / "deep" / "grid.png"
    plots.save_grid(random_images(2, 4, 4, 1), str(path))
    assert path.exists()


def test_an_animation_of_saved_grids_keeps_every_frame_and_holds_the_last(tmp_path):
    paths = []
    for index in range(5):
        paths.append(tmp_path / f"{index}.png")
        plots.save_grid(random_images(4, 8, 8, 1) // 16 * 16, paths[-1], columns=2)
    plots.save_animation(paths, tmp_path / "run.gif", seconds_per_frame=0.1)
    frames = frames_of(tmp_path / "run.gif")
    assert len(frames) == 5
    for path, frame in zip(paths, frames, strict=True):
        np.testing.assert_array_equal(frame[..., 0], read(path))
    with Image.open(tmp_path / "run.gif") as picture:
        durations = []
        for index in range(5):
            picture.seek(index)
            durations.append(picture.info["duration"])
    assert durations == [100, 100, 100, 100, 2100]


def test_a_long_animation_keeps_sixty_frames_with_both_ends(tmp_path):
    frames = [np.full((6, 6), level, np.uint8) for level in range(200)]
    plots.save_animation(frames, tmp_path / "run.gif")
    levels = [int(frame[0, 0, 0]) for frame in frames_of(tmp_path / "run.gif")]
    assert len(levels) == 60
    assert (levels[0], levels[-1]) == (0, 199)
    assert set(np.diff(levels)) <= {3, 4}


def test_an_animation_fits_the_size_asked_for(tmp_path):
    frames = [random_images(120, 120, 3) for _ in range(20)]
    plots.save_animation(frames, tmp_path / "run.gif", max_bytes=20_000)
    assert (tmp_path / "run.gif").stat().st_size <= 20_000
    assert len(frames_of(tmp_path / "run.gif")) >= 2


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "at least one frame"),
        ([random_images(4, 4), random_images(5, 4)], "of one size"),
        ([random_images(4, 4).astype(np.float32)], "a frame must be"),
        ([random_images(4, 4, 2)], "a frame must be"),
    ],
)
def test_frames_that_make_no_animation_are_refused(frames, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plots.save_animation(frames, tmp_path / "run.gif")


@pytest.mark.parametrize("num", [1, 2, 10])
@pytest.mark.parametrize("extension", ["png", "svg"])
def test_curves_are_drawn_from_records_with_gaps(tmp_path, num, extension):
    plots.save_curves(RECORDS[:num], tmp_path / f"curves.{extension}")
    assert (tmp_path / f"curves.{extension}").stat().st_size > 10_000


def test_curves_show_the_images_axis_only_where_it_is_straight(tmp_path):
    straight, bent = tmp_path / "straight.svg", tmp_path / "bent.svg"
    plots.save_curves(RECORDS, straight)
    plots.save_curves([{**r, "images": r["step"] ** 2} for r in RECORDS], bent)
    assert "real images shown to D" in straight.read_text()
    assert "real images shown to D" not in bent.read_text()


def test_curves_say_where_a_loss_stopped_being_finite(tmp_path):
    records = [{**r, "d_loss": np.inf if r["step"] > 50 else 1.0} for r in RECORDS]
    plots.save_curves(records, tmp_path / "curves.svg")
    assert "loss not finite from 60" in (tmp_path / "curves.svg").read_text()


class RecordingAxes:
    """What `_draw_metric` needs of matplotlib's axes; keeps what is drawn."""

    def __init__(self):
        self.drawn = []

    def get_yscale(self):
        return "linear"

    def plot(self, steps, values, *style, **options):
        self.drawn.append((steps, values))


def test_long_curves_are_smoothed_without_shifting_them():
    axes, steps = RecordingAxes(), np.arange(400.0)
    charts._draw_metric(axes, steps, 3 * steps + 1, "D", "k", held_out=False)
    (_, raw), (middle, smooth) = axes.drawn
    np.testing.assert_array_equal(raw, 3 * steps + 1)
    assert len(middle) == len(smooth) > 380
    np.testing.assert_allclose(smooth, 3 * middle + 1, atol=3)


@pytest.mark.parametrize("held_out", [False, True])
def test_gaps_in_a_metric_are_bridged(held_out):
    axes, steps = RecordingAxes(), np.arange(400.0)
    values = np.where(steps % 2, np.nan, steps)
    charts._draw_metric(axes, steps, values, "dis_acc", "k", held_out=held_out)
    np.testing.assert_array_equal(axes.drawn[0][0], steps[::2])
    assert all(np.isfinite(drawn).all() for line in axes.drawn for drawn in line)


@pytest.mark.parametrize("records", [[], [{"d_loss": 1.0}], [{"step": None}]])
def test_records_without_steps_are_refused(records, tmp_path):
    with pytest.raises(ValueError, match="records must be dicts"):
        plots.save_curves(records, tmp_path / "curves.png")


@pytest.mark.parametrize("extent", [2.0, (-2, 2, -1, 1)])
@pytest.mark.parametrize("kind", ["none", "function", "grid", "constant"])
def test_scatter_accepts_every_kind_of_decision(tmp_path, kind, extent):
    decision = {
        "none": None,
        "function": lambda points: 1 / (1 + np.exp(-points[:, 0])),
        "grid": np.linspace(0, 1, 12).reshape(3, 4),
        "constant": lambda points: np.full(len(points), 0.5),
    }[kind]
    points = RNG.normal(size=(50, 2))
    plots.save_scatter(points, points, tmp_path / "s.png", decision=decision, extent=extent)
    assert read(tmp_path / "s.png").shape[1] > 600


def test_scatter_counts_the_generated_points_it_cannot_show(tmp_path):
    fake = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, -9.0]])
    plots.save_scatter(fake, fake, tmp_path / "s.svg", extent=1.0)
    assert "generated (3, 2 outside)" in (tmp_path / "s.svg").read_text()


def test_a_scatter_without_real_points_does_not_speak_of_them(tmp_path):
    plots.save_scatter(np.zeros((0, 2)), np.zeros((5, 2)), tmp_path / "s.svg", extent=1.0)
    text = (tmp_path / "s.svg").read_text()
    assert "generated (5)" in text
    assert "real" not in text


def test_a_decision_grid_is_shown_with_its_first_row_at_the_bottom(tmp_path):
    rows = np.repeat(np.linspace(0, 1, 8)[:, None], 8, axis=1)  # real above, generated below
    points = np.full((1, 2), 50.0)
    plots.save_scatter(points, points, tmp_path / "grid.png", decision=rows, extent=1.0)
    plots.save_scatter(
        points, points, tmp_path / "function.png", decision=lambda p: (p[:, 1] + 1) / 2, extent=1.0
    )
    grid, function = (read(tmp_path / name).astype(int) for name in ("grid.png", "function.png"))
    assert np.abs(grid - function).mean() < 0.5
    upper, lower = grid[150, 300], grid[500, 300]
    assert upper[2] > upper[0]  # pale blue: real
    assert lower[0] > lower[2]  # pale vermillion: generated


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"real": np.zeros((3, 3))}, r"real must have shape \[N, 2\], got \(3, 3\)"),
        ({"fake": np.zeros(2)}, r"fake must have shape \[N, 2\], got \(2,\)"),
        ({"extent": 0.0}, "extent must be"),
        ({"extent": (1, -1, 0, 1)}, "extent must be"),
        ({"decision": np.zeros(4)}, "decision must be a grid"),
        ({"decision": lambda points: points}, "decision must map"),
    ],
)
def test_what_is_no_plane_is_refused(change, message, tmp_path):
    arguments = {"real": np.zeros((3, 2)), "fake": np.zeros((3, 2)), "extent": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        plots.save_scatter(path=tmp_path / "s.png", **arguments)


def test_lines_are_drawn_with_their_labels(tmp_path):
    x = np.linspace(-3, 3, 20)
    series = {"saturating": (x, np.exp(x)), "with a zero": (x, np.maximum(x, 0))}
    path = tmp_path / "lines.svg"
    plots.save_lines(series, path, x_label="logit", y_label="gradient", log_y=True, title="G")
    assert all(word in path.read_text() for word in ("saturating", "with a zero", "gradient"))
    with pytest.raises(ValueError, match="at least one series"):
        plots.save_lines({}, path, x_label="", y_label="")
    with pytest.raises(ValueError, match="x and y of 'a'"):
        plots.save_lines({"a": (x, x[1:])}, path, x_label="", y_label="")


def test_no_plot_imports_pyplot():
    program = """
import sys, tempfile
from gan_jax import plots
with tempfile.TemporaryDirectory() as folder:
    plots.save_lines({"a": ([0, 1], [0, 1])}, folder + "/a.png", x_label="x", y_label="y")
sys.exit("matplotlib.pyplot" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_pictures_of_populations_show_every_seed_and_group(tmp_path):
    values = {"gamma 1": {"modes": [8, 7, 8], "kl": [0.1, 0.2, 0.3]}, "gamma 2": {"modes": [5]}}
    plots.save_seeds(values, {"modes": 8.0}, tmp_path / "seeds.png")
    records = [[{"step": s, "kl": 1.0 / s + r, "modes": None} for s in (1, 2, 3)] for r in range(4)]
    curves = {"a": records[:3], "b": records[3:]}
    plots.save_population_curves(curves, ["kl", "modes"], tmp_path / "curves.png")
    for name in ("seeds.png", "curves.png"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 200
            assert len(image.convert("RGB").getcolors(10**6)) > 20  # something is drawn


def test_pictures_of_no_population_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one group"):
        plots.save_seeds({"a": {}}, {}, tmp_path / "seeds.png")
    with pytest.raises(ValueError, match="at least one name"):
        plots.save_population_curves({"a": [[]]}, ["kl"], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_a_title_stands_in_a_strip_of_its_own_and_leaves_the_pixels(tmp_path):
    images = random_images(4, 5, 5, 1)
    plots.save_grid(images, tmp_path / "plain.png", columns=2)
    plots.save_grid(images, tmp_path / "titled.png", columns=2, title="after step 1,000")
    plain, titled = (read(tmp_path / f"{name}.png") for name in ("plain", "titled"))
    strip = len(titled) - len(plain)
    np.testing.assert_array_equal(titled[strip:], plain)
    assert 0 < (titled[:strip] < 128).sum() < titled[:strip].size / 2  # words on white
    with Image.open(tmp_path / "titled.png") as picture:
        assert picture.info["Title"] == "after step 1,000"


def test_a_surface_is_shaded_in_its_own_range(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots.scatter, "write_figure", lambda figure, path: figures.append(figure))
    surface = np.linspace(0.42, 0.46, 400).reshape(20, 20)
    plots.save_scatter(
        [[0, 0]], [[1, 1]], tmp_path / "x.png", decision=surface, extent=2, title="t"
    )
    (mesh,) = (c for c in figures[0].axes[0].collections if c.get_array() is not None)
    assert mesh.get_clim() == (0.42, 0.46) and figures[0].get_suptitle() == "t"


def test_error_bars_have_the_length_that_is_given(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots.charts, "write_figure", lambda figure, path: figures.append(figure))
    series, errors = {"a": ([1, 2], [3.0, 4.0])}, {"a": [0.5, 0.25]}
    labels = {"x_label": "n", "y_label": "d"}
    plots.save_lines(series, tmp_path / "x.png", **labels, errors=errors)
    (bars,) = figures[0].axes[0].collections
    lows_and_highs = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert lows_and_highs == [[2.5, 3.5], [3.75, 4.25]]
