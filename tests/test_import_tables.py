"""A table of one's own becomes a data set: CSV with a column map, and rows of a SQL query."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commands.main import cli
from features.errors import DataSetError
from tests.published import write_lines, write_photo
from tests.serving import run_pm25
from training.dataset import read_dataset
from training.importers.table import ADDRESS, rows_of_query

CARD = ("--licence", "own", "--origin", "my balcony")
QUERY = "SELECT photo AS file, stop AS site, pm AS pm25, 'A' AS pm25_quality, taken AS captured_at"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "sub/c.jpg"):
        write_photo(tmp_path / "photos" / name)
    return tmp_path / "photos"


def run(*arguments: str) -> tuple[int, str, BaseException | None]:
    ran = CliRunner().invoke(cli, ["data", "import", *arguments])
    return ran.exit_code, ran.stdout, ran.exception


def test_columns_are_mapped_and_constants_filled_in(photos: Path, tmp_path: Path) -> None:
    table = write_lines(
        tmp_path / "labels.txt",
        "photo,value,when,humidity",
        *("a.jpg,12.5,2026-03-01T08:00:00-05:00,80", "sub/c.jpg,14,2026-03-01T09:00:00-05:00,"),
        *("missing.jpg,1,,", "../labels.txt,1,,", "b.jpg,-4,,", ",5,,"),
    )
    maps = ("file=photo", "pm25=value", "captured_at=when", "relative_humidity_pct=humidity")
    constants = ("site=balcony", "pm25_quality=B", "camera=balcony_west")
    out = tmp_path / "out"
    code, stdout, _ = run(
        *("csv", str(photos), "--table", str(table), "--out", str(out), "--json", *CARD),
        *(part for pair in maps for part in ("--map", pair)),
        *(part for pair in constants for part in ("--set", pair)),
    )
    assert code == 0
    said = json.loads(stdout)
    assert (said["photos"], said["labelled"]) == (2, 2)
    reasons = {"photo_missing": 2, "photo_outside": 1, "invalid_label": 1}
    assert said["left_out"] == reasons
    rows = read_dataset(out).rows
    assert [(row.pm25, row.camera) for row in rows] == [
        (12.5, "balcony_west"),
        (14, "balcony_west"),
    ]
    assert {row.session for row in rows} == {"balcony_balcony_west_20260301"}
    assert len((out / "left_out.csv").read_text().splitlines()) == 1 + sum(reasons.values())


def test_a_query_to_sqlite(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(tmp_path / "air.db") as air:
        air.execute("CREATE TABLE seen (photo TEXT, stop TEXT, pm REAL, taken TEXT)")
        air.execute("INSERT INTO seen VALUES ('a.jpg', 'centro', 20.5, '2026-03-01T08:00-05:00')")
        air.execute("INSERT INTO seen VALUES ('b.jpg', 'centro', NULL, NULL)")
    air.close()
    monkeypatch.setenv(ADDRESS, f"sqlite:///{tmp_path / 'air.db'}")
    out = tmp_path / "out"
    code, _, _ = run("sql", str(photos), "--query", f"{QUERY} FROM seen", "--out", str(out), *CARD)
    assert code == 0
    assert [row.pm25 for row in read_dataset(out).rows] == [20.5, None]
    with pytest.raises(DataSetError) as caught:
        list(rows_of_query("DELETE FROM seen"))
    assert caught.value.code == "query_failed"


@pytest.mark.parametrize(
    ("address", "code"),
    [("", "address_missing"), ("mysql://u:secret@h/d", "unknown_database")],
)
def test_an_address_that_cannot_be_used(
    address: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, address)
    with pytest.raises(DataSetError) as caught:
        list(rows_of_query("SELECT 1"))
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


def test_a_database_that_does_not_answer_keeps_the_password_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ADDRESS, "postgresql://user:secret@127.0.0.1:1/air?connect_timeout=2")
    with pytest.raises(DataSetError) as caught:
        list(rows_of_query("SELECT 1"))
    assert caught.value.code == "query_failed"
    assert "secret" not in str(caught.value) and "user" not in str(caught.value)


def test_a_table_without_the_mapped_column_is_named(photos: Path, tmp_path: Path) -> None:
    table = write_lines(tmp_path / "t.csv", "photo,value", "a.jpg,1")
    out = str(tmp_path / "out")
    ran = run_pm25("data", "import", "csv", str(photos), "--table", str(table), "--out", out, *CARD)
    assert ran.returncode == 2
    assert "no column file" in ran.stderr and "--map file=NAME" in ran.stderr


def postgres_programs() -> Path | None:
    """Where PostgreSQL's own programs lie: Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    beside = shutil.which("initdb")
    return found[-1].parent if found else Path(beside).parent if beside else None


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL of this test's own, on a socket and no port.

    It refuses to run as root: root runs it as nobody.
    """
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    # Not below pytest's own folder, which nobody else may enter.
    folder = Path(tempfile.mkdtemp(prefix="pm25-postgres-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    control = [str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w"]

    def run(*command: str) -> None:
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run(str(programs / "initdb"), "-A", "trust", "-U", "pm25", str(folder / "data"))
        run(*control, "-l", str(folder / "log"), "-o", f"-h '' -k {folder}", "start")
        try:
            yield f"postgresql:///postgres?host={folder}&user=pm25"
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def test_a_query_to_postgresql(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, postgres)
    query = "SELECT n AS file, now() AS captured_at, NULL AS pm25 FROM generate_series(1, 3) n"
    rows = [row for _, row in rows_of_query(query)]
    assert [row["file"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["pm25"] == "" and "+" in rows[0]["captured_at"]
    with pytest.raises(DataSetError, match="The query failed"):
        list(rows_of_query("CREATE TABLE t (a int)"))
