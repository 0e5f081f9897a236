"""Frames of hand-held videos in the layout that users of the Kaggle set describe (2024, 2025)."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.published import write_lines, write_photo
from training.dataset import read_dataset
from training.importers.imported_folder import import_photos
from training.importers.india_nepal import INDIA_NEPAL, MOST_FRAMES

HEADER = "Location,Filename,Year,Month,Day,Hour,AQI,PM2.5,PM10,O3,CO,SO2,NO2,AQI_Class"


def line(location: str, name: str, pm25: str) -> str:
    return f'"{location}",{name},2023,2,3,08:30,1,{pm25},80,1,1,1,1,b_Moderate'


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    combined = tmp_path / "kaggle" / "Air Pollution Image Dataset" / "Combined_Dataset"
    bengaluru = [f"BENGR_Mod_2023-02-03-08.30-1-{n}.jpg" for n in range(1, 31)]
    lines = [line("Bengaluru", name, "54") for name in bengaluru]
    lines += [
        line("Bengaluru", "BENGR_Mod_2023-02-03-08.30-2-1.jpg", "76"),
        line("ITO, Delhi", "DEL_Sev_2023-02-22-10.00-1-1.jpg", "500"),
        line("Biratnagar, Nepal", "BIR_Good_2023-02-22-10.00-1-1.jpg", "20"),
        line("Atlantis", "ATL_Good_2023-02-22-10.00-1-1.jpg", "20"),
        line("ITO, Delhi", "DEL_Sev_2023-02-23-10.00-1-1.jpg", "999"),
        line("ITO, Delhi", "DEL_Sev_without_a_time.jpg", "100"),
        line("Bengaluru", "BENGR_Mod_2023-02-04-08.30-1-1.jpg", ""),
        line("Bengaluru", "BENGR_Mod_2023-02-05-08.30-1-1.jpg", "30"),
    ]
    write_lines(combined / "IND_and_Nep_AQI_Dataset.csv", HEADER, *lines)
    for number, text in enumerate(lines[:-1]):
        write_photo(combined / "All_img" / text.split('",')[1].split(",")[0], 10.0 + number % 3)
    return tmp_path / "kaggle"


def test_visits_labels_and_what_is_left_out(kaggle: Path, tmp_path: Path) -> None:
    made = import_photos(INDIA_NEPAL, kaggle, tmp_path / "out", progress=False)
    rows = read_dataset(made.folder).rows
    assert made.left_out == {
        **dict.fromkeys(("place_unknown", "index_out_of_range", "time_unknown"), 1),
        "label_missing": 1,
        "photo_missing": 1,
        "near_copy": 30 - MOST_FRAMES,
    }
    visits = {row.session: (row.pm25, row.pm25_quality, row.pm10) for row in rows}
    assert visits == {
        "bengaluru_20230203_0830_0": (54.0, "B", 80.0),
        "bengaluru_20230203_0830_1": (76.0, "B", 80.0),
        "delhi_20230222_1000": (380.0, "C", None),
        "biratnagar_20230222_1000": (20.0, "B", 80.0),
    }
    nepal = next(row for row in rows if row.site == "biratnagar")
    assert str(nepal.metadata.captured_at) == "2023-02-22 10:00:00+05:45"


def test_a_long_visit_is_thinned_evenly_and_in_order(kaggle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    import_photos(INDIA_NEPAL, kaggle, out, progress=False, sites=["bengaluru"])
    names = [row.file for row in read_dataset(out).rows if row.pm25 == 54.0]
    assert names[0] == "images/bengaluru_20230203_0830_0_00.jpg"
    assert len(names) == MOST_FRAMES
    left = [text for text in (out / "left_out.csv").read_text().splitlines() if "near_copy" in text]
    numbers = sorted(int(text.split("-1-")[1].split(".")[0]) for text in left)
    assert numbers[0] > 1 and numbers[-1] < 30
    assert max(b - a for a, b in itertools.pairwise(numbers)) <= 6
