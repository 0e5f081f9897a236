"""The repository of the Milan webcam, in its layout of November 2026.

The figures of PM2.5, weather and humidity are the published ones of those hours (CC BY 4.0,
github.com/gisgeolab/aqpictures); the labels that they must give are those that pm25-1.2.0 learned.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from features.errors import DataSetError
from tests.published import write_lines
from training.dataset import LabelledPhoto, read_dataset
from training.importers.aqpictures import AQPICTURES, without_overlays
from training.importers.imported_folder import import_photos


def frame(width: int = 1920, height: int = 1080) -> bytes:
    """Grey, with what is burnt in: white rows above 30 and below 942."""
    pixels = np.full((height, width, 3), 100, np.uint8)
    pixels[:30] = pixels[942:] = 255
    return bytes(cv2.imencode(".jpg", pixels)[1])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "aqpictures"
    inputs = folder / "code" / "model input"
    write_lines(
        inputs / "PM25_MI Marche_ARPA.csv",
        *("Datetime,PM25", "29/01/2025 16:00,19", "29/01/2025 17:00,13", "29/01/2025 18:00,"),
        *("30/04/2025 13:00,25", "30/04/2025 14:00,18"),
    )
    write_lines(
        inputs / "era5.csv",
        "date,hour,u10,v10,blh,sp,tp,t2m",
        "2025-01-29,16:00,-1.5430756,-0.6984329,87.10187,99729.19,4.77E-06,283.37158",
    )
    write_lines(
        folder / "data" / "interim" / "arpa_merged.csv",
        "Data-Ora,temperature_mean,relative_humidity_mean",
        *("2025-01-29 15:00:00+00:00,11.5,67.6", "2025-01-29 16:00:00+00:00,10.8,70.2"),
    )
    names = ("20250129-1600", "20250129-1700", "20250129-1800", "20250430-1400", "20251399-2500")
    for name in names:
        path = folder / "code" / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(frame())
    return folder


@pytest.fixture
def rows(repository: Path, tmp_path: Path) -> dict[str, LabelledPhoto]:
    made = import_photos(AQPICTURES, repository, tmp_path / "milan", progress=False)
    assert (made.photos, made.left_out) == (3, {"no_hour": 1, "time_unknown": 1})
    return {Path(row.file).stem: row for row in read_dataset(made.folder).rows}


def test_in_winter_the_clocks_agree(rows: dict[str, LabelledPhoto]) -> None:
    row = rows["milan_20250129-1600"]
    assert (row.pm25, row.pm25_quality, row.pm25_as_published) == (19.0, "A", "19.0")
    assert row.metadata.relative_humidity_pct == 67.6
    assert (row.site, row.camera, row.session) == ("milan", "milan_south", "milan_20250129")


def test_in_summer_the_label_is_of_the_true_hour(rows: dict[str, LabelledPhoto]) -> None:
    row = rows["milan_20250430-1400"]
    assert (row.pm25, row.pm25_as_published) == (25.0, "18.0")
    assert str(row.metadata.captured_at) == "2025-04-30 14:00:00+02:00"


def test_the_weather_is_of_the_hour_in_utc(rows: dict[str, LabelledPhoto]) -> None:
    known = rows["milan_20250129-1700"].metadata
    assert (known.temperature_c, known.pressure_hpa, known.boundary_layer_height_m) == (
        *(10.22, 997.3, 87.1),
    )
    assert (known.wind_speed_ms, known.wind_direction_deg) == (1.69, 65.6)
    assert (known.rain_mm, known.relative_humidity_pct) == (0.005, 70.2)
    assert rows["milan_20250129-1600"].metadata.temperature_c is None


def test_what_is_burnt_into_a_frame_is_cut_off(rows: dict[str, LabelledPhoto]) -> None:
    pixels = cv2.imread(str(rows["milan_20250129-1600"].path))
    assert pixels is not None and pixels.shape == (684, 1440, 3)
    assert pixels.min() > 90 and pixels.max() < 110


def test_a_frame_of_another_size_is_left_as_it_is() -> None:
    small = frame(960, 540)
    assert without_overlays(small) == small
    assert without_overlays(b"no photo") == b"no photo"


def test_a_time_of_another_form_is_named(repository: Path, tmp_path: Path) -> None:
    table = repository / "code" / "model input" / "PM25_MI Marche_ARPA.csv"
    write_lines(table, "Datetime,PM25", "2025-01-29 16:00,19")
    with pytest.raises(DataSetError, match="line 2 has '2025-01-29 16:00'") as caught:
        import_photos(AQPICTURES, repository, tmp_path / "out", progress=False)
    assert caught.value.code == "layout_changed"


def test_a_folder_of_another_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataSetError) as caught:
        import_photos(AQPICTURES, tmp_path, tmp_path / "out", progress=False)
    assert caught.value.code == "layout_changed"
    assert not (tmp_path / "out").exists()
