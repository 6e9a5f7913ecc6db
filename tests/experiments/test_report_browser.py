"""The page of a run in a real browser: headless Chromium through selenium. Skips where there is none, saying so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.record.restored import restore_run
from experiments.reporting import page
from gan_jax import plots
from gan_jax.sampling import sample, to_pixels

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs_0_1_0"
LATENTS = 20


@pytest.fixture(scope="module")
def browser():
    selenium = pytest.importorskip("selenium.webdriver", reason="there is no selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("there is no chromium with its chromedriver")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = selenium.ChromeService(driver)
    opened = selenium.Chrome(options=options, service=service)
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "run"
    shutil.copytree(FIXTURES / "digits", folder)
    (folder / "samples").mkdir(exist_ok=True)
    for step in (0, 20):
        picture = np.full((1, 8, 8, 1), step, np.uint8)
        plots.save_grid(picture, folder / "samples" / f"{step}.png", columns=1)
    page.write(folder)
    return folder


PIXELS = "return document.getElementById(arguments[0]).toDataURL()"
MOVE = """
const slider = document.querySelector(arguments[0]);
slider.value = arguments[1];
slider.dispatchEvent(new Event("input"));
"""


def moved_pixels(browser, selector: str, value: float) -> str:
    browser.execute_script(MOVE, selector, value)
    return browser.execute_script(PIXELS, "sample")


def test_the_page_works_without_an_error_or_a_request(browser, run):
    browser.get_log("performance")
    browser.get((run / "report.html").as_uri())
    first = browser.execute_script(PIXELS, "sample")
    assert moved_pixels(browser, "[data-direction='0']", 3) != first
    browser.execute_script("document.getElementById('reset').click()")
    assert browser.execute_script(PIXELS, "sample") == first
    assert moved_pixels(browser, "#walk", 1) == browser.execute_script(PIXELS, "walk-goal")
    browser.execute_script("document.getElementById('another').click()")
    assert browser.execute_script(PIXELS, "sample") != first
    before = browser.execute_script("return document.getElementById('frame').src")
    browser.execute_script(MOVE, "#frame-slider", 0)
    assert browser.execute_script("return document.getElementById('frame').src") != before
    assert (
        browser.execute_script("return document.querySelectorAll('.chart .plot svg').length") == 4
    )
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        m["params"]["request"]["url"]
        for m in messages
        if m["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [(run / "report.html").as_uri()]


def test_an_arrow_key_reads_a_value_off(browser, run):
    browser.get((run / "report.html").as_uri())
    said = browser.execute_script("""
    const plot = document.querySelector(".chart .plot svg");
    plot.dispatchEvent(new KeyboardEvent("keydown", { key: "Home" }));
    return document.querySelector(".chart .readout").textContent;
    """)
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    assert said.startswith(f"step {first['step']}: D {first['d_loss']:.3f}"[:15])


def test_a_phone_needs_no_sideways_scrolling(browser, run):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.get((run / "report.html").as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_the_browsers_pixels_are_jaxs_within_two_of_255(browser, run):
    restored = restore_run(run)
    latents = np.random.default_rng(0).normal(size=(LATENTS, restored.config.latent_dim))
    latents = latents.astype(np.float32)
    truth = np.asarray(to_pixels(sample(restored.gan, restored.state, latents))).astype(int)
    browser.get((run / "report.html").as_uri())
    script = "return arguments[0].map((z) => Array.from(window.ganReport.network.run(z)))"
    images = np.array(browser.execute_script(script, latents.tolist()), np.float32)
    found = np.asarray(to_pixels(images.reshape(truth.shape))).astype(int)
    assert truth.std() > 1
    assert np.abs(found - truth).max() <= 2


def test_what_a_folder_holds_is_never_executed(browser, run, tmp_path):
    folder = tmp_path / "hostile"
    shutil.copytree(run, folder)
    record = json.loads((folder / "run.json").read_text())
    attack = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    record["dataset"]["name"] = record["commit"] = record["config"]["loss"] = attack
    (folder / "run.json").write_text(json.dumps(record))
    browser.get(page.write(folder).as_uri())
    assert browser.execute_script("return window.hacked === undefined")
    assert attack in browser.execute_script("return document.body.textContent")
