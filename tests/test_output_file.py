"""A file that a command writes is the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from commands.output_file import check_place, write_whole
from features.errors import PM25Error


def test_the_text_is_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    for text in ("first", "second µ"):
        write_whole(file, text)
        assert file.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.json"
    file.write_text("whole")
    write_text = Path.write_text

    def until_full(path: Path, text: str, encoding: str) -> int:
        write_text(path, text[:3], encoding=encoding)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", until_full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, "another")
    assert file.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [file]


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "through")
    reader.join(timeout=60)
    assert read == ["through"]
    assert pipe.is_fifo()


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    check_place("--json", tmp_path / "report.json")
    for nowhere in (tmp_path, tmp_path / "missing" / "report.json"):
        with pytest.raises(PM25Error, match="--json"):
            check_place("--json", nowhere)
