"""The JavaScript of gan_jax.portable computes what its NumPy reference computes. Skips where there is no node."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from test_portable import LATENTS, PLAYERS, Conditional, Residual, players, trained

from gan_jax import portable
from gan_jax.networks import from_linen
from gan_jax.sampling import to_pixels

NUM = 20  # latents for each network

RUN_ALL = """
const cases = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const outputs = cases.map(({packed, inputs, labels}) => {
  const network = ganJax.load(packed);
  return inputs.map((input, i) => Array.from(network.run(input, labels[i])));
});
console.log(JSON.stringify(outputs));
"""


def run_in_javascript(cases):
    """Run packed networks on inputs, all in one process."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node to run JavaScript")
    done = subprocess.run(
        [node, "-e", portable.runtime() + RUN_ALL],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [np.array(output) for output in json.loads(done.stdout)]


def programs():
    """Every family's generator, and networks that use every kind of layer."""
    for family, options in PLAYERS.items():
        yield family, players(family)[0], options.num_classes or None
    yield "residual", Residual(), None
    yield "conditional", Conditional(), 4


@pytest.mark.slow
def test_the_pages_pixels_are_those_of_the_network_within_two_of_255():
    cases, truths, names = [], [], []
    inputs = np.random.default_rng(0).normal(size=(NUM, LATENTS)).astype("f4")
    labels = np.arange(NUM) % 4
    for name, module, num_classes in programs():
        network = from_linen(module)
        given = None if num_classes is None else labels
        params, model_state = trained(network, (LATENTS,), None if given is None else given[:3])
        program = portable.trace(network, params, model_state, (LATENTS,), num_classes)
        packed = portable.pack(program)
        cases.append({"packed": packed, "inputs": inputs.tolist(), "labels": labels.tolist()})
        rounded = portable.run(portable.rounded(program), inputs, given)
        truths.append((rounded, portable.run(program, inputs, given)))
        names.append(name)
    for name, output, (rounded, truth) in zip(names, run_in_javascript(cases), truths, strict=True):
        output = output.reshape(truth.shape)
        np.testing.assert_allclose(output, rounded, atol=5e-6, err_msg=name)
        pixels = (np.asarray(to_pixels(each)).astype(int) for each in (output, truth))
        assert np.abs(np.subtract(*pixels)).max() <= 2, name


def test_arrays_that_float16_cannot_hold_stay_float32():
    layer = portable.Layer("affine", (0,), (3,), {}, {})
    source = portable.Layer("input", (), (3,), {}, {})
    arrays = {"scale": np.array([1e6, 1.0, 0.5], "f4"), "shift": np.array([1e-6, 0.0, 1e-7], "f4")}
    program = portable.Program((source, layer._replace(arrays=arrays)))
    packed = portable.pack(program)
    assert [entry["type"] for entry in packed["arrays"].values()] == ["float32", "float32"]
    inputs = [[1.0, 2.0, 3.0]]
    (output,) = run_in_javascript([{"packed": packed, "inputs": inputs, "labels": [0]}])
    np.testing.assert_allclose(output, portable.run(program, inputs), rtol=1e-6)
