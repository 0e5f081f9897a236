"""The TOML file of a collection: the example holds, and what is wrong is named with its key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from training.collection.configuration import Collection, CollectionError, read_configuration
from training.ground_truth.siata import Siata
from training.ground_truth.sources import open_source
from training.pairing import PairingRule

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "collect-medellin.toml"


@pytest.fixture
def text() -> str:
    return EXAMPLE.read_text(encoding="utf-8")


def read(tmp_path: Path, text: str) -> Collection:
    file = tmp_path / "collect.toml"
    file.write_text(text, encoding="utf-8")
    return read_configuration(file)


def test_the_example_is_medellin() -> None:
    found = read_configuration(EXAMPLE)
    assert found.folder == EXAMPLE.parent / "balcony"
    assert (found.site, found.country, found.camera) == ("laureles", "CO", "balcony-east")
    assert 6.1 < found.lat < 6.4 and -75.7 < found.lon < -75.5
    assert datetime(2026, 9, 28, tzinfo=UTC).astimezone(found.timezone).utcoffset() == timedelta(
        hours=-5
    )
    assert found.every == timedelta(minutes=15)
    assert (found.rule, found.patience) == (PairingRule("nearest", 3.0), timedelta(hours=6))
    source = open_source(found.source, address=found.source_address, correction=found.correction)
    assert isinstance(source, Siata)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("radius_km = 3.0", "radius = 3.0", r"\[labels\] radius is unknown"),
        ("[labels]", "[label]", r"\[label\] is unknown"),
        ('site = "laureles"', "", r"\[place\] site is missing"),
        ('site = "laureles"', 'site = " "', r"\[place\] site is ' '"),
        ("lat = 6.2447", "lat = 96.2", "lat is 96.2"),
        ("lat = 6.2447", 'lat = "6.2447"', r"\[place\] lat is '6.2447'"),
        ("every_minutes = 15", "every_minutes = 0", "every_minutes 0"),
        ("every_minutes = 15", "every_minutes = 1.5", r"\[camera\] every_minutes is 1.5"),
        ('"nearest"', '"best"', "method best"),
        ('"America/Bogota"', '"Medellín"', "timezone is 'Medellín'"),
        ('"balcony-east"', '"balcony east"', "camera is 'balcony east'"),
        ('url = "http', '# url = "http', "both url and folder, or neither"),
        ('# folder = "/home', 'folder = "/home', "both url and folder, or neither"),
        ("[place]", "[place", "line"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, old: str, new: str, what: str) -> None:
    assert old in text
    with pytest.raises(CollectionError, match=what) as caught:
        read(tmp_path, text.replace(old, new, 1))
    assert caught.value.code == "invalid_configuration"
    assert caught.value.how_to_fix


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="No such file"):
        read_configuration(tmp_path / "absent.toml")


def test_a_table_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="camera is no table"):
        read(
            tmp_path,
            "camera = 1\n[place]\nsite = 'a'\nlat = 1\nlon = 1\ntimezone = 'UTC'\n"
            "[dataset]\nfolder = 'a'\nname = 'a'\nlicence = 'a'\n[labels]\nsource = 'siata'\n",
        )


def test_a_password_comes_from_the_environment(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = text.replace("http://192", "http://me:${CAMERA_PASSWORD}@192", 1)
    monkeypatch.setenv("CAMERA_PASSWORD", "pa55word")
    assert read(tmp_path, secret).address.startswith("http://me:pa55word@192")
    monkeypatch.delenv("CAMERA_PASSWORD")
    with pytest.raises(CollectionError, match="CAMERA_PASSWORD is empty"):
        read(tmp_path, secret)
