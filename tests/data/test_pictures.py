"""A picture file becomes the pixels that a viewer would show, or says in words why not."""

import io

import numpy as np
import pytest
from picture_files import encoded, gigantic, moving, noise, sixteen_bits, unprepared
from PIL import Image

from gan_jax.data.folder.files import UnreadableError
from gan_jax.data.folder.pictures import Recipe, pillow_is_quiet, read_header, read_pixels

COLOUR, GREY = Recipe(4, 4, 3), Recipe(4, 4, 1)


def colours(content: bytes, recipe: Recipe) -> set[tuple[int, ...]]:
    """All colours of a decoded picture."""
    pixels = read_pixels(content, recipe)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (recipe.height, recipe.width, recipe.channels)
    return {tuple(map(int, pixel)) for pixel in pixels.reshape(-1, recipe.channels)}


def test_what_is_transparent_shows_the_background():
    half = encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 51)))  # a fifth of red
    assert colours(half, COLOUR) == {(255, 204, 204)}
    assert colours(half, COLOUR._replace(background=(0, 0, 255))) == {(51, 0, 204)}
    clear = encoded(Image.new("LA", (8, 8), (7, 0)))
    assert colours(clear, GREY) == {(255,)}
    assert colours(clear, GREY._replace(background=(0, 0, 0))) == {(0,)}
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert colours(encoded(palette), COLOUR) == {(9, 9, 9)}
    assert colours(encoded(palette, transparency=1), COLOUR) == {(255, 255, 255)}


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped():
    for value, expected in ((0, 0), (257 * 100, 100), (257 * 100 + 128, 100), (65_535, 255)):
        assert colours(encoded(sixteen_bits(value)), COLOUR) == {(expected,) * 3}


def test_colour_becomes_grey_by_the_weights_of_rec_601():
    picture = encoded(Image.new("RGB", (4, 4), (100, 200, 50)))
    assert colours(picture, GREY) == {(153,)}  # .299 * 100 + .587 * 200 + .114 * 50


def test_of_what_moves_the_first_picture_is_taken():
    assert colours(moving(), COLOUR) == {(255, 0, 0)}


def test_a_picture_of_the_right_size_keeps_its_pixels():
    picture = noise(48, 64)
    for fit in ("crop", "pad"):
        found = read_pixels(encoded(picture), Recipe(48, 64, 3, fit))
        np.testing.assert_array_equal(found, np.asarray(picture))


def striped() -> bytes:
    """4 high and 8 wide: 2 columns of red, 4 of green, 2 of blue."""
    stripes = np.zeros((4, 8, 3), np.uint8)
    stripes[:, :2, 0] = stripes[:, 2:6, 1] = stripes[:, 6:, 2] = 255
    return encoded(Image.fromarray(stripes))


def test_cropping_keeps_the_middle():
    assert colours(striped(), COLOUR) == {(0, 255, 0)}


def test_padding_keeps_all_and_fills_up_with_the_background():
    found = read_pixels(striped(), Recipe(8, 8, 3, "pad", (1, 2, 3)))
    assert (found[[0, 1, 6, 7]] == (1, 2, 3)).all()
    np.testing.assert_array_equal(found[2:6], np.asarray(Image.open(io.BytesIO(striped()))))
    thin = read_pixels(encoded(noise(1, 300)), Recipe(8, 8, 3, "pad", (1, 2, 3)))
    assert ((thin == (1, 2, 3)).all(axis=-1).sum(axis=0) == 7).all()


def test_a_picture_is_turned_as_its_camera_was_held():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera's right side was below
    content = encoded(Image.open(io.BytesIO(striped())), exif=exif)
    assert read_header(content)[:2] == (8, 4)
    found = read_pixels(content, Recipe(8, 4, 3))
    assert (found[:2] == (255, 0, 0)).all() and (found[6:] == (0, 0, 255)).all()


def test_pictures_of_all_modes_are_read_and_known_as_grey_or_coloured():
    files = unprepared()
    del files["LICENSE"], files[".hidden.png"]
    with pillow_is_quiet():
        grey = {name for name, content in files.items() if read_header(content).is_grey}
        assert all(read_pixels(content, COLOUR).shape == (4, 4, 3) for content in files.values())
    assert grey == {"sixteen.png", "bits.png", "grey, clear.png"}


WHOLE = encoded(noise(64, 64))
DAMAGED = {
    "text": (b"This is no picture at all.", "no PNG, JPEG, WebP or GIF inside"),
    "cut": (WHOLE[: len(WHOLE) // 2], "damaged: "),
    "cut jpeg": (encoded(noise(64, 64), "JPEG")[:1500], "damaged: image file is truncated"),
    "flipped": (WHOLE[:200] + bytes(b ^ 255 for b in WHOLE[200:300]) + WHOLE[300:], "damaged"),
    "huge": (gigantic(), "too many"),
    "large": (gigantic(13_000, 13_000), "13000 x 13000 pixels are too many"),
    "tiff": (encoded(noise(8, 8), "TIFF"), "no PNG, JPEG"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_says_why(name):
    content, why = DAMAGED[name]
    with pillow_is_quiet(), pytest.raises(UnreadableError) as error:
        read_header(content)
        read_pixels(content, COLOUR)
    assert why in str(error.value) and "0x" not in str(error.value)
