"""The report: one page that needs nothing else, says what its JSON says, and gives nothing away."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from features.errors import DataSetError
from tests.drawn_run import drawn_run
from training.held_out import HeldOutAnswers
from training.validation.gate import Check, Verdict, judge
from training.validation.report import report_html
from training.validation.svg import WIDTH
from training.validation.thumbnails import thumbnails, worst_files
from training.validation.validator import ScientificValidator, report_json

RESAMPLES = 40
LARGEST = 1_000_000  # [bytes]
COLUMN = 360 - 2 * 14  # [px] of a phone, less the margins of the page
LEAST_LETTERS = 11  # [px]
Run = dict[str, dict[str, HeldOutAnswers]]
Change = Callable[[HeldOutAnswers], HeldOutAnswers]


class Page(HTMLParser):
    """Every element of a page, and the text of those with data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.figures: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: dict[str, str | None] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "data":
            self._open = dict(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open is not None:
            at, value = self._open["data-figure"], self._open["value"]
            assert at is not None and value is not None
            self.figures.append((at, value, data))
            self._open = None


def judged(run: Run, version: str | None = "9.9.9") -> dict[str, Any]:
    return ScientificValidator(run, model_version=version, resamples=RESAMPLES).report()


def changed(run: Run, change: Change) -> Run:
    return {s: {v: change(a) for v, a in variants.items()} for s, variants in run.items()}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return judged(drawn_run(2000))


@pytest.fixture(scope="module")
def html(report: dict[str, Any]) -> str:
    return report_html(report, judge(report))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


# ---- what it is


def test_it_loads_nothing_from_elsewhere(page: Page, html: str) -> None:
    loading = {"script", "link", "iframe", "object", "embed", "img", "image", "base", "use"}
    assert not loading & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "data", "xlink:href"} & set(attributes), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    assert not re.search(r"url\(|@import|https?://", html)


def test_links_lead_to_what_is_on_the_page(page: Page) -> None:
    names = {attributes.get("id") for _, attributes in page.elements}
    targets = {a["href"] for tag, a in page.elements if tag == "a"}
    assert targets and {str(target).removeprefix("#") for target in targets} <= names


def test_it_is_small_with_2000_photos(html: str) -> None:
    assert len(html.encode()) < LARGEST


def test_it_fits_a_phone(page: Page, html: str) -> None:
    viewports = [a["content"] for tag, a in page.elements if a.get("name") == "viewport"]
    assert viewports == ["width=device-width, initial-scale=1"]
    letters = float(re.search(r"figure svg \{[^}]*font: (\d+)px", html)[1])  # type: ignore[index]
    assert letters * COLUMN / WIDTH >= LEAST_LETTERS
    smallest = min(float(size) for size in re.findall(r"font-size: ([\d.]+)rem", html))
    assert 16 * smallest >= LEAST_LETTERS
    tables = [i for i, (tag, _) in enumerate(page.elements) if tag == "table"]
    for i in tables:
        assert page.elements[i - 1][1].get("class") == "scroll"


def test_the_same_figures_give_the_same_bytes(report: dict[str, Any], html: str) -> None:
    again = json.loads(report_json(report))
    assert report_html(again, judge(again)) == html


# ---- what it says


def resolved(report: Any, pointer: str) -> Any:
    def inside(block: Any, key: str) -> Any:
        name = key.replace("~1", "/").replace("~0", "~")
        return block[int(name)] if isinstance(block, list) else block[name]

    return reduce(inside, pointer.split("/")[1:], report)


def test_its_figures_are_those_of_the_json(report: dict[str, Any], page: Page) -> None:
    assert len(page.figures) > 500
    for pointer, value, text in page.figures:
        exact = resolved(report, pointer)
        assert float(value) == exact, pointer
        digits = text.replace("−", "-").replace("\u00a0", " ")
        unit = 100 if digits.endswith(" %") or _is_share(pointer) else 1
        shown = float(digits.removesuffix(" %"))
        decimals = len(digits.removesuffix(" %").partition(".")[2])
        assert shown == pytest.approx(unit * exact, abs=0.5000001 * 10**-decimals), pointer


def test_the_published_report_says_what_its_json_says() -> None:
    folder = Path(__file__).resolve().parent.parent / "docs" / "validation"
    report = json.loads((folder / "report.json").read_text("utf-8"))
    html = (folder / "report.html").read_text("utf-8")
    page = Page(html)
    assert len(page.figures) > 500
    assert all(float(value) == resolved(report, at) for at, value, _ in page.figures)
    assert report["model_version"] in page.text
    assert len(html.encode()) < LARGEST and "data:" not in html
    assert all(
        round(site[key], 1) == site[key]
        for site in report["sites"].values()
        for key in ("lat", "lon")
    )


def _is_share(pointer: str) -> bool:
    """The bounds of shares are written as percent, without the sign."""
    return bool(re.search(r"/(coverage_interval_\d+|skill_interval)/\d$", pointer))


def test_every_column_of_a_table_has_figures_somewhere(html: str) -> None:
    """A column of nothing but dashes reads the wrong place."""
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        rows = [re.findall(r"<td[^>]*>(.*?)</td>", r, re.DOTALL) for r in table.split("<tr>")[2:]]
        assert rows
        for column in zip(*rows, strict=True):
            assert set(column) != {"–"}, table[:400]


def test_every_plot_is_well_formed_and_described(html: str) -> None:
    sheets = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    described = [ET.fromstring(sheet) for sheet in sheets if "aria-label" in sheet]
    labels = [sheet.get("aria-label") for sheet in described]
    assert len(labels) > 20 and len(set(labels)) == len(labels)
    for sheet in described:
        _, _, width, height = map(float, str(sheet.get("viewBox")).split())
        assert width == WIDTH
        for circle in sheet.iter("circle"):
            assert 0 <= float(circle.get("cx", "nan")) <= width
            assert 0 <= float(circle.get("cy", "nan")) <= height
        assert "nan" not in ET.tostring(sheet, encoding="unicode")


def test_it_says_whether_the_gate_is_passed(report: dict[str, Any]) -> None:
    met = Check("a <limit>", True, 0.9, "at least 0.8", "g", "r", "s")
    missed = replace(met, name="another", passed=False, measured=(0.5, 0.6))
    passed = Page(report_html(report, Verdict((met,)))).text
    failed = Page(report_html(report, Verdict((met, missed)))).text
    assert "Not passed" not in passed and "Passed." in passed and "a <limit>" in passed
    assert "Not passed" in failed and "0.5 to 0.6" in failed
    assert 'id="gate"' in report_html(report, Verdict((met,)))
    assert "gate" not in report_html(report)


# ---- what it must not give away, or let in


HOSTILE = "<script>alert(1)</script>"
BREAKING = "\"><img src=x onerror='alert(2)'>&amp;{{ 7*7 }}"


def test_hostile_names_stay_text() -> None:
    def hostile(record: HeldOutAnswers) -> HeldOutAnswers:
        files = np.array([f"{BREAKING}{i}" for i in range(len(record))])
        sites = np.where(
            record.site == "milan", HOSTILE, np.where(record.site == "delhi", BREAKING, "a/b~c")
        )
        return replace(
            record, file=files, site=sites, session=np.char.add(record.session, BREAKING)
        )

    report = judged(changed(drawn_run(150), hostile), version=HOSTILE)
    html = report_html(report, judge(report))
    page = Page(html)
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert (
        HOSTILE in page.text
        and BREAKING in page.text
        and "49" not in re.findall(r"&amp;(\w+)", html)
    )
    for pointer, value, _ in page.figures:
        assert float(value) == resolved(report, pointer)
    for sheet in re.findall(r"<svg[^>]*aria-label.*?</svg>", html, re.DOTALL):
        ET.fromstring(sheet)


def test_it_holds_no_photo_and_no_exact_position(page: Page, html: str) -> None:
    assert "data:" not in html and "base64" not in html
    assert "45.47" not in html and "9.2356" not in html
    assert ("/sites/milan/lat", "45.5", "45.5") in page.figures


# ---- what may be missing


@pytest.mark.parametrize("missing", ["unseen_days", "unseen_months", "unseen_sites", "random"])
def test_one_split_may_be_missing(missing: str) -> None:
    run = drawn_run(150)
    del run[missing]
    report = judged(run)
    page = Page(report_html(report, judge(report)))
    assert len(page.figures) > 100
    assert not any(f"/splits/{missing}/" in pointer for pointer, _, _ in page.figures)


UNUSUAL: dict[str, Callable[[Run], Run]] = {
    "no weather": lambda run: {s: {"full": v["full"]} for s, v in run.items()},
    "nights alone": lambda run: changed(
        run, lambda a: replace(a, sun_elevation=np.full(len(a), -20.0))
    ),
    "no added haze": lambda run: changed(
        run, lambda a: replace(a, hazed=np.full_like(a.hazed, np.nan))
    ),
    "no places and no times": lambda run: changed(
        run,
        lambda a: replace(
            a,
            lat=np.full(len(a), np.nan),
            lon=np.full(len(a), np.nan),
            sun_elevation=np.full(len(a), np.nan),
            captured_at=(None,) * len(a),
        ),
    ),
    "one site": lambda run: changed(run, lambda a: a.of(a.site == "milan")),
    "one session": lambda run: changed(run, lambda a: a.of(a.visits() == 0)),
    "one photo": lambda run: changed(run, lambda a: a.of(np.arange(len(a)) < 1)),
    "no photo": lambda run: changed(run, lambda a: a.of(np.arange(len(a)) < 0)),
    "the weather alone": lambda run: {
        s: {"weather_and_sun_without_photo": v["weather_and_sun_without_photo"]}
        for s, v in run.items()
    },
    "the control alone": lambda run: {"random": run["random"]},
    "nothing": lambda run: {},
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_answers_still_give_a_page(name: str) -> None:
    report = judged(UNUSUAL[name](drawn_run(150)), version=None)
    html = report_html(report, judge(report))
    assert "of unknown version" in html and html.rstrip().endswith("</html>")
    assert not re.search(r"\b(nan|inf|None|undefined)\b", Page(html).text)


# ---- thumbnails


@pytest.fixture
def photos(tmp_path: Path, report: dict[str, Any]) -> Path:
    """A folder of data sets that holds some of the worst cases."""
    for i, name in enumerate(sorted(worst_files(report))[:5]):
        path = tmp_path / "sets" / f"set{i % 2}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((900, 1600, 3), 40 * i, dtype=np.uint8))
    return tmp_path / "sets"


def test_thumbnails_are_small_and_only_of_the_worst(
    report: dict[str, Any], photos: Path, html: str
) -> None:
    small = thumbnails(photos, worst_files(report))
    assert len(small) == 5
    with_photos = report_html(report, judge(report), small)
    shown = [a for tag, a in Page(with_photos).elements if tag == "img"]
    assert {a["src"] for a in shown} == set(small.values())
    assert all(len(uri) < 20_000 for uri in small.values())
    assert "local reading only" in with_photos and "local reading only" not in html


def test_names_do_not_lead_out_of_the_folder(photos: Path) -> None:
    secret = photos.parent / "secret.jpg"
    cv2.imwrite(str(secret), np.zeros((20, 20, 3), dtype=np.uint8))
    (photos / "link.jpg").symlink_to(secret)
    for name in ("../secret.jpg", str(secret), "link.jpg", "set0/../../secret.jpg"):
        with pytest.raises(DataSetError, match="worst cases"):
            thumbnails(photos, [name])


def test_what_is_no_picture_is_left_out(photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"no picture")
    (photos / "empty.jpg").touch()
    with pytest.raises(DataSetError, match="none of the 2"):
        thumbnails(photos, ["broken.jpg", "empty.jpg"])
