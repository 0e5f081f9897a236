"""The `pm25` command: what it lists, what it takes, and how it says what is wrong."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from commands.main import app, cli
from training import archive, dataset, evaluate, quarantine, run

COMMANDS = [
    *("train", "evaluate", "validate", "calibrate-camera", "package"),
    *("predict", "serve", "stop", "register", "renew-keys", "collect", "forget"),
    *("data", "features"),
]
Pm25 = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pm25(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Pm25:
    """Run the command in an empty folder; its exit status, output and error output."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pm25", *map(str, arguments)])
        try:
            app()
            status: Any = 0
        except SystemExit as end:
            status = end.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_help_lists_the_commands_that_there_are() -> None:
    group: Any = get_command(cli)
    assert list(group.commands) == COMMANDS
    shown = CliRunner().invoke(cli, ["--help"]).stdout
    listed = shown[shown.index("Commands") :]
    assert re.findall(r"^\W*([a-z-]+) {2,}\S", listed, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_explained(command: str) -> None:
    group: Any = get_command(cli)
    found = group.commands[command]
    for each in (found, *getattr(found, "commands", {}).values()):
        assert each.help, each.name
        for parameter in each.params:
            assert parameter.name == "help" or parameter.help, parameter.name
    assert CliRunner().invoke(cli, [command, "--help"]).exit_code == 0


def test_without_a_command_it_shows_its_help(pm25: Pm25) -> None:
    status, out, err = pm25()
    assert status == 2
    assert "Commands" in out + err


BAD: dict[str, tuple[list[str], str, str]] = {
    "no data set": (["train", "--data", "nowhere", "--version", "1.0.0"], "nowhere", "Correct"),
    "no archive": (["evaluate", "--data", "data", "--archive", "no.mar"], "no.mar", "make package"),
    "no production": (["evaluate", "--data", "data"], "production", "name an archive"),
    "unknown group": (
        ["evaluate", "--data", "data", "--without", "weather,luck"], "luck", "weather, camera"),
    "no run": (["validate", "--run", "nowhere"], "nowhere", "make train"),
    "no photo": (["predict", "no.jpg"], "no.jpg", "JPEG"),
    "broken metadata": (["predict", "photo.jpg", "--metadata", "{lat: 1"], "not JSON", "lat"),
    "no artefact": (["package", "--version", "1.0.0"], "artifact", "make train"),
    "broken source": (
        ["package", "--version", "1.0.0", "--from", "photo.jpg"], "photo.jpg", "archive"),
    "no server": (["register", "--version", "1.0.0", "--port", "59999"], "59999", "make serve"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_exits_2_and_says_what_to_do(
    pm25: Pm25, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    arguments, detail, how_to_fix = BAD[name]
    (tmp_path / "photo.jpg").write_text("no photo")
    (tmp_path / "data").mkdir()
    if "data" in arguments:
        empty = SimpleNamespace(name="a", rows=(), duplicates=())
        one = SimpleNamespace(dataset=empty, quarantined=())
        monkeypatch.setattr(dataset, "read_dataset", lambda folder: empty)
        monkeypatch.setattr(quarantine, "validated_sets", lambda folders, **options: [one])
    status, out, err = pm25(*arguments)
    assert status == 2
    assert out == ""
    first, second = err.strip().splitlines()[0], err.strip().splitlines()[-1]
    assert first.startswith("error: ")
    assert detail in err
    assert second.startswith("  ") and how_to_fix in second
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "--version", "1.0.0", "--jobs", "0"],
        ["evaluate", "--data", "x", "--min-side", "0"],
        ["fly"],
    ],
)
def test_a_wrong_option_exits_2(pm25: Pm25, arguments: list[str]) -> None:
    status, _, err = pm25(*arguments)
    assert status == 2
    assert "Usage" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "a", "b", "c"],
        ["--data", "a", "--data", "b", "--data", "c"],
        ["--data", "a", "--data", "b", "c"],
    ],
)
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_data_takes_several_folders(
    pm25: Pm25, monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str]
) -> None:
    got: list[str] = []

    def read(folder: Path) -> SimpleNamespace:
        got.append(str(folder))
        return SimpleNamespace(name=str(folder), rows=(), duplicates=())

    def validated(folders: Sequence[Path], **options: Any) -> list[SimpleNamespace]:
        return [SimpleNamespace(dataset=read(folder), quarantined=()) for folder in folders]

    def trained(datasets: Sequence[Any], version: str, **options: Any) -> SimpleNamespace:
        assert [one.name for one in datasets] == ["a", "b", "c"]
        return SimpleNamespace(scores={}, folder=Path("runs"))

    def scored(file: Path, datasets: Sequence[Any], **options: Any) -> dict[str, object]:
        assert [one.name for one in datasets] == ["a", "b", "c"]
        return {"n_seen_in_training": 0}

    monkeypatch.setattr(dataset, "read_dataset", read)
    monkeypatch.setattr(quarantine, "validated_sets", validated)
    monkeypatch.setattr(run, "train", trained)
    monkeypatch.setattr(evaluate, "evaluate", scored)
    end = ["--version", "1.0.0"] if command == "train" else ["--archive", "a.mar"]
    status, _, err = pm25(command, *arguments, *end)
    assert status == 0, err
    assert got == ["a", "b", "c"]


def test_evaluate_prints_json_and_marks_a_score_that_is_no_honest_one(
    pm25: Pm25, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}
    scores = {"n_photos": 4, "n_seen_in_training": 3, "overall": {"n": 4, "r2": None}}

    def scored(file: Path, datasets: Sequence[Any], **options: Any) -> dict[str, object]:
        asked.update(options, archive=file)
        return scores

    monkeypatch.setattr(
        dataset, "read_dataset", lambda folder: SimpleNamespace(rows=(), name="a", duplicates=())
    )
    monkeypatch.setattr(evaluate, "evaluate", scored)
    arguments = ["--data", "a", "--archive", "a.mar", "--json", "out.json"]
    arguments += ["--min-side", "200", "--without", "weather,camera"]
    status, out, err = pm25("evaluate", *arguments)
    assert status == 0
    assert json.loads(out) == scores == json.loads((tmp_path / "out.json").read_text())
    assert "no honest scores" in err and "3 of 4" in err
    assert asked["min_side"] == 200
    assert asked["without"] == ["weather", "camera"]
    assert asked["archive"] == Path("a.mar")


NOON = '{"captured_at": "2025-03-01T12:00:00-05:00", "lat": 6.25, "lon": -75.57}'


def test_predict_asks_an_archive(
    pm25: Pm25, fitted_archive: Path, rendered: Any, tmp_path: Path
) -> None:
    larger = tmp_path / "photo.jpg"
    small = cv2.imread(str(rendered.rows[0].path))
    cv2.imwrite(str(larger), cv2.resize(small, (800, 600)))
    asked = ["predict", larger, "--archive", fitted_archive, "--metadata", NOON, "--json"]
    status, out, err = pm25(*asked)
    assert status == 0, err
    answer = json.loads(out)
    assert answer["interval"]["lower"] <= answer["pm25_estimate"] <= answer["interval"]["upper"]
    assert answer["model_version"] == "0.0.1"


class Scripted:
    """In the place of an archive: one reply, whatever is asked."""

    def __init__(self, reply: dict[str, Any]) -> None:
        self.reply = reply
        self.asked: list[dict[str, Any]] = []

    def __call__(self, file: Path) -> Scripted:
        return self

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *error: object) -> None: ...

    def answers(self, requests: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        self.asked = requests
        return iter([self.reply])


def test_predict_prints_a_line_and_what_there_is_to_know(
    pm25: Pm25, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    note = {"code": "night", "severity": "warning", "detail": "The sun was down.", "how_to_fix": ""}
    answer = {
        "pm25_estimate": 17.4,
        "interval": {"level": 0.9, "lower": 9.6, "upper": 31.2},
        "quality": {"issues": []},
        "applicability": {"warnings": [note]},
    }
    scripted = Scripted({"answer": answer})
    monkeypatch.setattr(archive, "RunningArchive", scripted)
    (tmp_path / "photo.jpg").write_text("a photo")
    status, out, _ = pm25("predict", "photo.jpg", "--archive", "a.mar", "--metadata", NOON)
    assert status == 0
    assert out.splitlines() == [
        "PM2.5 17 µg/m³, 90% interval 10 to 31",
        "  night: The sun was down.",
    ]
    assert scripted.asked[0]["metadata"] == json.loads(NOON)
    assert scripted.asked[0]["photo"] == str((tmp_path / "photo.jpg").resolve())


def test_a_photo_that_is_refused_is_bad_input(
    pm25: Pm25, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    problem = {"code": "blurred", "detail": "It is blurred.", "how_to_fix": "Hold still."}
    monkeypatch.setattr(archive, "RunningArchive", Scripted({"problem": problem}))
    (tmp_path / "photo.jpg").write_text("a photo")
    status, out, err = pm25("predict", "photo.jpg", "--archive", "a.mar")
    assert (status, out) == (2, "")
    assert err == "error: It is blurred.\n  Hold still.\n"


def test_an_archive_that_refuses_to_load_is_an_error(
    pm25: Pm25, fitted_archive: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.mar"
    with zipfile.ZipFile(fitted_archive) as whole, zipfile.ZipFile(damaged, "w") as part:
        for name in whole.namelist():
            content = whole.read(name)
            part.writestr(name, b"{}" if name.endswith("cameras.json") else content)
    (tmp_path / "photo.jpg").write_text("no photo")
    status, _, err = pm25("predict", "photo.jpg", "--archive", damaged)
    assert status == 2
    assert "cameras.json was changed" in err
