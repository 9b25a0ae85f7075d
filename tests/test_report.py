"""The whole report: its numbers agree with evaluate, its page with its numbers; in a browser."""

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from conftest import assert_one_line_error, run_module

from senet_kp.report.__main__ import ReportConfig, write_report
from senet_kp.report.box_sensitivity import SCALES, SHIFTS
from senet_kp.report.markup import model_name, percent, text
from senet_kp.report.numbers import NO_DATA, NO_TRANSFORM
from senet_kp.report.page import page
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate

# --- the whole ---


@pytest.fixture(scope="module")
def config(model, run, records, tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report.html"
    return ReportConfig(
        models=(model, run), records=records, data=(tree,), run=run, box_faces=10_000, out=out
    )


@pytest.fixture(scope="module")
def numbers(config):
    write_report(config)
    return json.loads(config.out.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def html(config, numbers):
    return config.out.read_text()


def test_scores_are_those_of_evaluate(config, numbers):
    for path, model in zip(config.models, numbers["models"], strict=True):
        expected, _ = evaluate(EvaluateConfig(model=path, records=config.records))
        scores = model["scores"]
        for key in ("nme", "nme_median", "failure_rate", "auc"):
            assert scores["all"][key]["value"] == pytest.approx(expected[key], rel=1e-9)
            assert scores["all"][key]["low"] <= expected[key] <= scores["all"][key]["high"]
        assert scores["AFW"]["nme"]["value"] == pytest.approx(expected["subsets"]["AFW"]["nme"])
        for name, region in expected["regions"].items():
            assert model["regions"][name]["value"] == pytest.approx(region)
        for name, part in expected["yaw_bins"].items():
            assert model["yaw_bins"][name]["faces"] == part["faces"]
        assert {"engine", "model", "versions"} <= set(model["conditions"])


def test_numbers_of_one_model_fit_each_other(numbers):
    model = numbers["models"][0]
    value = model["scores"]["all"]["nme"]["value"]
    assert np.mean(model["nmes"]) == pytest.approx(value)
    assert np.mean(model["points"]) == pytest.approx(
        value
    )  # all landmarks of all faces are annotated
    assert len(model["nmes"]) == len(numbers["faces"]["names"]) == numbers["conditions"]["faces"]
    boxes = model["boxes"]
    undisturbed = [boxes["nme_shift_x"][3], boxes["nme_shift_y"][3], boxes["nme_scale"][4]]
    assert SHIFTS[3] == 0 and SCALES[4] == 1
    assert undisturbed == pytest.approx([value] * 3, rel=1e-9)  # box_faces took all of them
    assert model["ced"][0] == 0 and np.all(np.diff(model["ced"]) >= 0)
    errors, nmes = numbers["ced_errors"], np.array(model["nmes"])
    assert model["ced"][80] == np.mean(nmes <= errors[80])
    assert errors[-1] == pytest.approx(max(np.percentile(m["nmes"], 99) for m in numbers["models"]))
    assert errors[-1] > 0.2, "this network is hardly trained, and the curve shows its errors"


def test_frozen_graph_and_its_run_compare_as_equals(numbers):
    (pair,) = numbers["comparisons"]
    assert abs(pair["difference"]["value"]) < 1e-4
    assert numbers["conditions"]["records_sha256"] and numbers["training"]["step"] == [12, 24]


def test_the_gallery_starts_at_the_extremes(numbers):
    nmes = np.array(numbers["models"][0]["nmes"])
    gallery = numbers["gallery"]
    assert gallery["best"][0]["nme"] == nmes.min() and gallery["worst"][0]["nme"] == nmes.max()


def test_the_same_input_gives_the_same_bytes(config, numbers, tmp_path):
    again = tmp_path / "again.html"
    flags = [
        "--models",
        *config.models,
        "--records",
        config.records,
        "--data",
        *config.data,
        "--run",
        config.run,
        "--box-faces",
        config.box_faces,
        "--out",
        again,
    ]
    result = run_module("-m", "senet_kp.report", *flags)
    assert result.returncode == 0, result.stderr
    assert f"NME {numbers['models'][0]['scores']['all']['nme']['value']:.2%}" in result.stdout
    for suffix in (".html", ".json"):
        assert again.with_suffix(suffix).read_bytes() == config.out.with_suffix(suffix).read_bytes()


def test_without_pictures_the_page_states_what_is_missing(config, model, records, tmp_path):
    lean = ReportConfig(models=(model,), records=records, box_faces=2, out=tmp_path / "lean.html")
    numbers = write_report(lean)
    assert numbers["models"][0]["detected"] == {"note": NO_DATA}
    html = lean.out.read_text()
    assert text(NO_DATA) in html and 'id="training"' not in html and 'id="comparison"' not in html


# --- the page ---

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Checks that tags are nested correctly; collects ids, references, texts and tag counts."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.ids, self.references, self.words, self.count = [], [], [], [], {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.ids += [value for key, value in attrs if key == "id"]
        self.references += [value for key, value in attrs if key in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_complete_and_needs_no_other_file(html, numbers):
    page = Reader(html)
    assert len(page.ids) == len(set(page.ids))
    local = {value[1:] for value in page.references if value.startswith("#")}
    assert local <= set(page.ids)
    others = {value for value in page.references if not value.startswith("#")}
    assert others and all(value.startswith("data:image/jpeg;base64,") for value in others)
    assert "script" not in page.count and "@import" not in html and "http" not in html
    assert page.count["svg"] == 1 + len(numbers["models"]) + 2 + 2
    assert page.count["img"] == sum(map(len, numbers["gallery"].values()))
    for name in (
        "scores",
        "ced",
        "points",
        "yaw",
        "boxes",
        "detector",
        "faces",
        "training",
        "comparison",
        "models",
        "conditions",
    ):
        assert name in page.ids and f'href="#{name}"' in html


def test_the_page_shows_the_numbers_of_the_json(html, numbers):
    page = Reader(html)
    words = {word.strip() for word in page.words}
    estimates = [part for model in numbers["models"] for part in model["scores"].values()]
    for part in estimates:
        assert {percent(part["nme"]["value"]), percent(part["failure_rate"]["value"], 1)} <= words
        assert f"{percent(part['nme']['low'])}–{percent(part['nme']['high'])}" in words
    for model in numbers["models"]:
        for region in model["regions"].values():
            assert percent(region["value"]) in words
    graph, checkpoint = (model["detected"] for model in numbers["models"])
    for part in graph["parts"].values():
        assert f"{part['found']:,} of {part['faces']:,}" in words
    assert (
        checkpoint["note"] == NO_TRANSFORM and NO_TRANSFORM in words
    )  # dlib found no face in these records' pictures
    assert numbers["conditions"]["records_sha256"] in words
    assert all(model["conditions"]["engine"] in words for model in numbers["models"])


def test_names_cannot_break_the_page(numbers):
    numbers = json.loads(json.dumps(numbers))
    evil = '"><script>alert(1)</script>&amp;'
    for model in numbers["models"]:
        model["name"] = evil
        model["conditions"]["model"] = evil
    pictures = {}
    for faces in numbers["gallery"].values():
        for face in faces:
            face["name"] = evil
            pictures[face["index"]] = "data:image/jpeg;base64,"
    read = Reader(page(numbers, pictures))
    assert "script" not in read.count and any(evil in word for word in read.words)
    assert "<script" not in model_name(evil, 0)


# --- in a browser ---

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# The page is loaded in a frame as wide as a phone, because the windows of Chromium are at least
# 500 px wide. PROBE, added to the page, sends its measurements to the frame's document.
FRAME = """<iframe src="page.html" width="390" height="3000" style="border: 0"></iframe>
<script>addEventListener("message", e => { document.title = e.data; });</script>"""
PROBE = """<script>addEventListener("load", () => {
  const shown = [...document.querySelectorAll("figure svg, figure img")].map(e => {
    const box = e.getBoundingClientRect(); return [e.tagName, box.width, box.height]; });
  parent.postMessage(JSON.stringify({
    shown, width: innerWidth, scroll: document.documentElement.scrollWidth,
    back: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.querySelector("svg text")).fill,
  }), "*"); });</script></body>"""


def browse(path, *flags) -> str:
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--window-size=390,3000",
        "--virtual-time-budget=3000",
        *flags,
    ]
    result = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


def brightness(colour: str) -> float:
    """The mean of the channels of a CSS colour such as "rgb(20, 23, 26)"."""
    return np.mean([int(value) for value in re.findall(r"\d+", colour)[:3]])


@pytest.mark.skipif(BROWSER is None, reason="neither Chromium nor Chrome is on the PATH")
@pytest.mark.parametrize("scheme, flag", [("light", 1), ("dark", 0)])
def test_a_phone_shows_the_page_in_light_and_dark_mode(html, numbers, tmp_path, scheme, flag):
    page, frame, shot = (tmp_path / name for name in ("page.html", "frame.html", "page.png"))
    page.write_text(html.replace("</body>", PROBE))
    frame.write_text(FRAME)
    colours = f"--blink-settings=preferredColorScheme={flag}"
    title = re.search("<title>(.*?)</title>", browse(frame, colours, "--dump-dom"))[1]
    seen = json.loads(unescape(title))
    assert seen["width"] == 390 >= seen["scroll"], "nothing but its tables scrolls sideways"
    assert [tag for tag, *_ in seen["shown"]].count("svg") == Reader(html).count["svg"]
    assert all(width > 100 and height > 100 for _, width, height in seen["shown"])
    back, ink = brightness(seen["back"]), brightness(seen["ink"])
    assert (back > 240 and ink < 60) if scheme == "light" else (back < 40 and ink > 200)
    browse(page, colours, f"--screenshot={shot}")
    picture = cv2.imread(str(shot))
    assert picture.shape[1] == 390
    assert np.median(picture) == pytest.approx(back, abs=5)
    drawn = np.abs(picture.astype(int) - np.median(picture)).max(axis=2) > 60
    assert 0.02 < drawn.mean() < 0.6


# --- errors ---


def report_error(code, *words, **changes):
    flags = [flag for name, value in changes.items() for flag in (f"--{name}", value)]
    assert_one_line_error(run_module("-m", "senet_kp.report", *flags), code, *words)


def test_what_cannot_be_used_is_named(model, records, tmp_path):
    out = {"out": tmp_path / "report.html"}
    report_error(4, "gone.pb", "make freeze", models=tmp_path / "gone.pb", records=records, **out)
    report_error(4, "gone.dat", models=tmp_path / "gone.dat", records=records, **out)
    report_error(3, "manifest.json", models=model, records=tmp_path / "gone", **out)
    report_error(3, "--data", models=model, records=records, data=tmp_path, **out)
    report_error(3, "metrics.csv", models=model, records=records, run=tmp_path, **out)
    report_error(2, ".html", models=model, records=records, out=tmp_path / "report.pdf")
    card = json.loads(model.with_suffix(".json").read_text())
    card["box"]["scale"] = 1.5
    shutil.copy(model, tmp_path)
    (tmp_path / "senet.json").write_text(json.dumps(card))
    report_error(4, "another face box", models=tmp_path / "senet.pb", records=records, **out)
    assert not list(tmp_path.glob("report*"))
