"""`pm25 data` as its user types it: what it prints, as text and as JSON, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from commands.main import cli
from features.errors import PM25Error
from tests.data_stores import *  # noqa: F403
from tests.data_stores import cells, objects_at, overwrite, write_set
from training.data_versions.store_address import SETTING


def run_pm25(*arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of `pm25`; an error of ours is status 2, as `app` makes it."""
    result: Result = CliRunner().invoke(cli, arguments)
    if isinstance(result.exception, PM25Error):
        return 2, result.stdout, result.exception.detail
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_version_from_its_folder_to_another(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SETTING, address)
    write_set(tmp_path / "set", [cells(number) for number in range(6)])
    status, out, err = run_pm25("data", "list")
    assert (status, "no version yet" in out) == (0, True), err
    status, out, _ = run_pm25("data", "register", "set", "hills@1.0.0")
    assert status == 0
    assert "hills@1.0.0 registered" in out and "8 of 8 objects uploaded" in out
    write_set(tmp_path / "set", [cells(n, pm25="7") if n == 2 else cells(n) for n in range(1, 7)])
    assert run_pm25("data", "register", "set", "hills@1.1.0")[0] == 0
    status, out, _ = run_pm25("data", "list", "--json")
    listed = json.loads(out)
    assert [(row["version"], row["parent"]) for row in listed] == [
        ("1.0.0", None),
        ("1.1.0", "hills@1.0.0"),
    ]
    table = run_pm25("data", "list")[1]
    assert "hills@1.0.0" in table and listed[0]["content_hash"][:12] in table
    shown = json.loads(run_pm25("data", "show", "hills@1.1.0", "--json")[1])
    assert shown["counts"]["photos"] == 6
    assert shown["content_hash"] == listed[1]["content_hash"]
    assert "by_quality {'A': 6}" in run_pm25("data", "show", "hills@1.1.0")[1]
    out = run_pm25("data", "diff", "hills@1.0.0", "hills@1.1.0")[1]
    assert out.splitlines() == [
        "+ images/6.jpg",
        "- images/0.jpg",
        "~ images/2.jpg: pm25 12.5 → 7",
        "1 added, 1 removed, 1 relabelled, 0 redescribed",
    ]
    found = json.loads(run_pm25("data", "diff", "hills@1.0.0", "hills@1.1.0", "--json")[1])
    assert found["relabelled"] == [{"file": "images/2.jpg", "cells": {"pm25": ["12.5", "7"]}}]
    assert run_pm25("data", "pull", "hills@1.0.0", "back")[0] == 0
    assert (tmp_path / "back" / "images" / "0.jpg").is_file()


def test_damage_is_told_by_the_exit_status(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "set", [cells(number) for number in range(3)])
    store = ["--store", address]
    run_pm25("data", "register", "set", "hills@1.0.0", *store)
    assert run_pm25("data", "verify", "hills@1.0.0", *store)[0] == 0
    key = min(key for key in objects_at(address) if key.startswith("objects/"))
    overwrite(address, key, b"rotten")
    status, out, _ = run_pm25("data", "verify", "hills@1.0.0", *store)
    assert (status, "1 damaged" in out) == (1, True)
    status, out, _ = run_pm25("data", "verify", "hills@1.0.0", "--json", *store)
    assert status == 1
    assert json.loads(out)["damaged"][0]["sha256"] == key.rpartition("/")[2]
    asked = ["verify", "hills@1.0.0", "--repair-from", "set", *store]
    assert run_pm25("data", *asked)[0] == 0


@pytest.mark.parametrize("version", ["hills", "hills@1.0", "Hills@1.0.0", "../x@1.0.0"])
def test_what_is_no_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = run_pm25("data", "show", version)
    assert (status, version in err) == (2, True)
