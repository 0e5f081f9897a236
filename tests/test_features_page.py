"""The page of features says what the code computes."""

from __future__ import annotations

from pathlib import Path

from training.features_page import COSTS, FAMILIES, PAGE, feature_costs, features_page

NAMES = [name for family in FAMILIES for name in family.names]


def cells_of(page: str) -> list[list[str]]:
    rows = [line.replace("\\|", "") for line in page.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_page_in_the_documentation_is_what_the_code_says() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == features_page(feature_costs()), "run: python -m training.features_page"


def test_every_feature_is_listed_once_with_all_its_cells() -> None:
    rows = cells_of(features_page({}))
    assert [row[0].strip("`") for row in rows] == NAMES
    assert len(set(NAMES)) == len(NAMES)
    for _, unit, limits, meaning, sign, cost, reference in rows:
        assert unit != "[]" and meaning and reference
        low, high = limits.split(" … ")
        assert low and high and low != high
        assert sign in ("+", "−", "")
        assert cost == ""


def test_a_measured_cost_stands_beside_its_feature_and_in_its_family(tmp_path: Path) -> None:
    first, second = FAMILIES[0].names[:2]
    path = tmp_path / "feature_costs.csv"
    path.write_text(
        f"feature,family,group,cost_us\n{first},visibility,a,12.34\n"
        f"{second},visibility,a,7.66\nnot_a_feature,visibility,a,1000\n",
        encoding="utf-8",
    )
    page = features_page(feature_costs(path))
    costs = {row[0].strip("`"): row[5] for row in cells_of(page)}
    assert (costs.pop(first), costs.pop(second)) == ("12.3", "7.7")
    assert set(costs.values()) == {""}
    family = next(line for line in page.splitlines() if line.startswith("| [visibility]"))
    assert family.split("|")[4].strip() == "20"


def test_features_that_were_never_measured_have_no_cost(tmp_path: Path) -> None:
    assert feature_costs(tmp_path / "absent.csv") == {}


def test_every_cost_is_that_of_a_feature() -> None:
    costs = feature_costs(COSTS)
    assert set(costs) <= set(NAMES)
    assert all(cost >= 0 for cost in costs.values())


def test_each_family_stands_in_the_file_of_its_name() -> None:
    for family in FAMILIES:
        assert (PAGE.parent.parent / "features" / f"{family.name}.py").is_file()
        assert f"(#{family.name})" in features_page({})
