"""The page of features says what the code computes."""

from __future__ import annotations

from training.features_page import FAMILIES, PAGE, features_page


def test_the_page_in_the_documentation_is_what_the_code_says() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == features_page(), "run: python -m training.features_page"


def test_every_feature_is_listed_once_with_all_its_cells() -> None:
    rows = [line for line in features_page().splitlines() if line.startswith("| `")]
    names = [name for family in FAMILIES for name in family.names]
    assert [row.split("`")[1] for row in rows] == names
    assert len(set(names)) == len(names)
    for row in rows:
        cells = [cell.strip() for cell in row.replace("\\|", "").strip("|").split("|")]
        name, unit, meaning, sign, reference = cells
        assert name and unit != "[]" and meaning and reference
        assert sign in ("+", "−", "")


def test_each_family_stands_in_the_file_of_its_name() -> None:
    for family in FAMILIES:
        assert (PAGE.parent.parent / "features" / f"{family.name}.py").is_file()
        assert f"(#{family.name})" in features_page()
