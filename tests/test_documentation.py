"""What the pages say is so: their links lead somewhere, their examples work, no name is missing."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from features.metadata import RANGES
from handlers.predictor import Predictor
from training.dataset import DataSet, read_dataset
from training.scores import FIGURES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
HOW_TO = DOCS / "how-to"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def block(page: Path, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", text_of(page), re.DOTALL)
    assert found, f"{page.name} has no {language} example"
    return found[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_what_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text_of(page)):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_is_asked_for_targets_that_it_has(page: Path) -> None:
    defined = re.findall(r"^([a-z][a-z-]*):(?!=)", text_of(ROOT / "Makefile"), re.MULTILINE)
    for commands in re.findall(r"```sh\n(.*?)```", text_of(page), re.DOTALL):
        assert set(re.findall(r"^make ([a-z-]+)", commands, re.MULTILINE)) <= set(defined)


def test_the_data_set_of_the_how_to_can_be_read(tmp_path: Path, rendered: DataSet) -> None:
    page = HOW_TO / "label-your-own-photos.md"
    (tmp_path / "dataset.toml").write_text(block(page, "toml"), encoding="utf-8")
    (tmp_path / "labels.csv").write_text(block(page, "csv"), encoding="utf-8")
    (tmp_path / "images").mkdir()
    for number in (1, 2, 3):
        shutil.copyfile(rendered.rows[number].path, tmp_path / "images" / f"000{number}.jpg")
    rows = read_dataset(tmp_path).rows
    assert [row.pm25 for row in rows] == [18.5, 11.0, None]
    assert len({row.visit for row in rows}) == 2


def names_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(names_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(names_in, value))
    return set()


def test_every_field_of_an_answer_is_explained(predictor: Predictor, rendered: DataSet) -> None:
    row = rendered.rows[0]
    metadata = {"camera": row.camera}
    answer = predictor.answer(row.path.read_bytes(), metadata, include=["quantiles"], min_side=100)
    fields = names_in(answer) | {"processing_time", "request_id", "features"}
    assert {"camera_reference", "epistemic", "as_if_24h", "severity", "n"} <= fields
    page = text_of(HOW_TO / "read-an-answer.md")
    assert {name for name in fields if not re.search(rf"\b{name}\b", page)} == set()


FINDING = ("exposure", "framing", "integrity", "obstruction", "sharpness")


@pytest.mark.parametrize(
    "module", [*(f"features/{name}.py" for name in FINDING), "handlers/applicability.py"]
)
def test_every_code_of_an_issue_or_a_warning_is_explained(module: str) -> None:
    """Codes stand in the source as the first argument of `Finding` and of `warn`."""
    page = text_of(HOW_TO / "read-an-answer.md")
    calls = [n for n in ast.walk(ast.parse(text_of(ROOT / module))) if isinstance(n, ast.Call)]
    named = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id in ("Finding", "warn")]
    codes = [c.args[0].value for c in named if c.args and isinstance(c.args[0], ast.Constant)]
    assert codes
    for code in codes:
        assert f"`{code}`" in page, code


def test_the_nomenclature_has_the_names_of_metadata_and_scores() -> None:
    page = text_of(DOCS / "nomenclature.md")
    for name in (*RANGES, *FIGURES, "captured_at", "camera"):
        assert f"`{name}`" in page, name
