"""The page 'your own balcony camera' is followed: its commands run, and end in a model.

The camera shows rendered scenes whose haze is that of the hour's PM2.5; time passes by a fake
clock, everything else is real.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from commands.main import cli
from features.errors import PM25Error
from features.extractor import ScientificFeatureExtractor
from tests.balcony import *  # noqa: F403
from tests.balcony import CAMERA, World, true_pm25
from tests.replaying_server import Asked, Reply
from training.dataset import DataSet, LabelledPhoto, read_dataset
from training.extraction import extract_features
from training.feature_store import FeatureStore
from training.ground_truth import clock
from training.ground_truth.measurement import hour_end
from training.rendering.renderer import draw_moment, draw_place, render
from training.run import train
from training.table import training_table

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "how-to" / "balcony-camera.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "docs" / "examples" / "collect-medellin.toml").read_text(encoding="utf-8")
ARCHIVE = ROOT / "model_store" / (ROOT / "model_store" / "production").read_text().strip()
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith(".venv/bin/pm25")
]
FRAMES_A_DAY = 2


def view(moment: datetime) -> bytes:
    """One valley through the air of the hour that `moment` lies in."""
    place = draw_place(np.random.default_rng(7), "valley_city")
    rng = np.random.default_rng(int(moment.timestamp()))
    drawn = draw_moment(rng, place, pm25=true_pm25(hour_end(moment)))
    pixels = render(place, drawn, 640, 480)
    return cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def pm25(arguments: list[str]) -> str:
    result = CliRunner().invoke(cli, arguments)
    if isinstance(result.exception, PM25Error):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def medellin(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A folder with what the page copies there, edited as it says."""

    def shown(_: Asked) -> Reply:
        return Reply(view(world.clock.now()))

    world.server.routes[CAMERA] = shown
    monkeypatch.setattr(clock, "Clock", lambda: world.clock)
    monkeypatch.chdir(tmp_path)
    lat, lon = world.place
    edited = re.sub(r'url = "[^"]+"', f'url = "{world.server.url}{CAMERA}"', EXAMPLE, count=1)
    edited = edited.replace("lat = 6.2447", f"lat = {lat}").replace(
        "lon = -75.5916", f"lon = {lon}"
    )
    edited = edited.replace("[labels]\n", f'[labels]\naddress = "{world.server.url}"\n')
    Path("collect.toml").write_text(edited, encoding="utf-8")
    return world


def test_the_keys_of_the_page_are_those_of_the_example() -> None:
    block = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    example = tomllib.loads(EXAMPLE)
    for table, keys in tomllib.loads(block[1]).items():
        for key, value in keys.items():
            assert example[table][key] == value, f"[{table}] {key}"


def collect_days(world: World, once: list[str], days: int) -> list[LabelledPhoto]:
    """What cron leaves after so many days: two frames on each, and one an hour after the last."""
    for _ in range(days):
        for _ in range(FRAMES_A_DAY):
            pm25(once)
            world.clock.pass_by(hours=3)
        world.clock.pass_by(hours=24 - 3 * FRAMES_A_DAY)
    world.clock.pass_by(hours=1)
    pm25(once)
    rows = read_dataset(Path("balcony")).rows
    assert len({row.visit for row in rows}) == days + 1
    for row in rows[:-1]:
        assert row.metadata.captured_at
        assert row.pm25 == true_pm25(hour_end(row.metadata.captured_at))
    return list(rows)


def test_the_page_is_followed_from_nothing_to_a_table_of_features(medellin: World) -> None:
    once, status, _, _, pair = COMMANDS
    rows = collect_days(medellin, once, 2)
    assert "5 frames, 4 with a label, 1 waiting" in pm25(status)
    state = json.loads(pm25([*status, "--json"]))
    assert (state["frames"], state["labelled"], state["waiting"]) == (5, 4, 1)

    with FeatureStore(Path("features.db")) as store:
        labelled = rows[:-1]
        extractor = ScientificFeatureExtractor()
        read = extract_features(labelled, store, extractor, jobs=1, progress=False)
    assert len(read.kept) == 4
    table = training_table(labelled, read.matrix, read.names)
    assert table.pm25.tolist() == [row.pm25 for row in labelled]

    Path("photos").mkdir()
    for row in rows[-3:]:
        shutil.copy(row.path, f"photos/{row.path.name}")
    times = "".join(f"{row.path.name},{row.metadata.captured_at}\n" for row in rows[-3:])
    Path("times.csv").write_text(f"file,captured_at\n{times}", encoding="utf-8")
    lat, lon = medellin.place
    pair[pair.index("--lat") + 1], pair[pair.index("--lon") + 1] = str(lat), str(lon)
    said = pm25([*pair, "--times", "times.csv", "--address", medellin.server.url])
    assert "paired: 2 photos with a label" in said
    assert "(no_hour)" in said


@pytest.mark.long
def test_the_page_is_followed_to_a_calibrated_camera_and_a_trained_version(
    medellin: World, rendered: DataSet, rendered_store: Path
) -> None:
    once, status, evaluate, calibrate, _ = COMMANDS
    collect_days(medellin, once, 11)
    assert "23 frames, 22 with a label, 1 waiting" in pm25(status)
    assert "22" in pm25([*evaluate, "--archive", str(ARCHIVE)])
    said = pm25([*calibrate, "--archive", str(ARCHIVE)])
    assert "camera 'balcony-east', 22 photos of 11 sessions" in said
    assert Path("cameras/balcony-east.json").is_file()

    datasets = [read_dataset(Path("balcony")), rendered]
    trained = train(
        datasets, "0.0.1", jobs=1, store=rendered_store, runs=Path("runs"), rendered_places=0
    )
    card = (trained.folder / "model_card.md").read_text(encoding="utf-8")
    assert "Balcony in Laureles, Medellín" in card
