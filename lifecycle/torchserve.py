"""Start and stop TorchServe on this machine, and say what stands in the way.

One server is one port: the inference port. All others move with it, and so does its folder
build/torchserve/<port>, which holds its effective configuration, logs, keys, prediction log and
temporary files.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from features.errors import ServerError
from lifecycle.java import java_home
from lifecycle.management import Management
from lifecycle.ports import DEFAULT_PORT, JVM_CLASS, check_ports, ports_of
from training.package import MODEL, ROOT

__all__ = [
    "DEFAULT_PORT",
    "DEVELOPMENT",
    "PRODUCTION",
    "Server",
    "archive_version",
    "log_tail",
    "prediction_log",
    "running",
    "server_folder",
    "start",
    "stop",
    "wait_until_ready",
]

DEVELOPMENT = ROOT / "config.properties"
PRODUCTION = ROOT / "infra" / "torchserve" / "production.properties"
LOG_CONFIG = ROOT / "infra" / "torchserve" / "log4j2.xml"
_JAVA = "infra/torchserve/java"  # in vmargs, see ADR 0015
_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 108 bytes, macOS's 104
_DEATH = "Backend worker process died"
_KEYS_PATIENCE = 5.0  # [s]


@dataclass(frozen=True)
class Server:
    """A TorchServe that runs on this machine: its inference port, its folder, its JVM's pid."""

    port: int
    folder: Path
    pid: int

    @property
    def inference_url(self) -> str:
        """Where photos go."""
        return f"http://127.0.0.1:{self.port}/predictions/{MODEL}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus reads."""
        return f"http://127.0.0.1:{self.port + 2}/metrics"

    @property
    def management(self) -> Management:
        """Its management API, with the key if it asks for one."""
        return Management(self.port + 1, self.key("management"))

    @property
    def worker_log(self) -> Path:
        """What its workers print."""
        return self.folder / "logs" / "worker.log"

    @property
    def key_file(self) -> Path:
        """Where a server that asks for tokens has written them."""
        return self.folder / "key_file.json"

    def key(self, kind: str) -> str | None:
        """The `management` or `inference` token; None where the server asks for none.

        TorchServe writes the file in its place, and again when keys are renewed: what is read in
        between is no JSON, and is read once more. Raises ServerError keys_unreadable when it stays
        so for `_KEYS_PATIENCE` [s].
        """
        deadline = time.monotonic() + _KEYS_PATIENCE
        while True:
            try:
                keys = json.loads(self.key_file.read_text(encoding="utf-8"))
                return str(keys[kind]["key"])
            except FileNotFoundError:
                return None
            except (ValueError, KeyError, TypeError) as error:
                if time.monotonic() > deadline:
                    raise ServerError(
                        "keys_unreadable",
                        f"{self.key_file} does not hold the keys of a TorchServe.",
                        "Start the server anew: it writes them when it starts.",
                    ) from error
            time.sleep(0.02)


def server_folder(port: int) -> Path:
    """The folder of the server on `port`; it need not exist."""
    return ROOT / "build" / "torchserve" / str(port)


def prediction_log(folder: Path) -> Path | None:
    """Where the workers of the server in `folder` write their answers down; None for nowhere.

    As PM25_PREDICTION_LOG says, otherwise beside the server's logs. A restart leaves it alone.
    """
    from handlers.prediction_writer import OFF, SETTING

    named = os.environ.get(SETTING)
    return None if named == OFF else Path(named or folder / "predictions.db").resolve()


def running(port: int = DEFAULT_PORT) -> Server | None:
    """The server that `start` left on `port`, or None."""
    folder = server_folder(port)
    try:
        pid = int((folder / "tmp" / ".model_server.pid").read_text(encoding="ascii"))
        alive = JVM_CLASS in psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return Server(port, folder, pid) if alive else None


def start(
    archive: Path,
    port: int = DEFAULT_PORT,
    *,
    config: Path = DEVELOPMENT,
    workers: int = 1,
    patience: float = 60.0,
) -> Server:
    """Start TorchServe with `archive` in the background and wait until a worker is READY.

    The archive's folder becomes the model store. It waits `patience` [s] at most.
    Raises ServerError: no_archive, no_java, already_running, port_taken, port_out_of_range,
    path_too_long, server_died, archive_refused, not_ready.
    """
    archive = archive.resolve()
    version = archive_version(archive)
    home = java_home()
    server = running(port)
    if server is not None:
        raise ServerError(
            "already_running",
            f"This project's TorchServe already runs on port {port} (pid {server.pid}).",
            "Use it, stop it with `make stop`, or choose another port: `make serve PORT=9080`.",
        )
    check_ports(port)
    folder = _fresh_folder(port)
    settings = _effective_settings(config, port, archive, version, workers)
    properties = folder / "config.properties"
    properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), "utf-8")
    _launch(archive, properties, folder, home)
    server = running(port)
    if server is None:
        raise _failure("server_died", "TorchServe ended as soon as it was started.", folder)
    try:
        wait_until_ready(server, version, patience=patience)
    except BaseException:
        stop(port)
        raise
    return server


def wait_until_ready(
    server: Server, version: str, *, patience: float = 60.0, log_offset: int = 0
) -> None:
    """Wait until a worker of `version` takes requests, `patience` [s] at most.

    log_offset  where in the workers' log the wait begins [bytes]; what stands before is old
    Raises ServerError: server_died, archive_refused, not_ready.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if running(server.port) is None:
            raise _failure("server_died", "TorchServe ended while it was starting.", server.folder)
        try:
            if server.management.is_ready(version):
                return
        except ServerError as error:
            if error.code != "not_running":  # not yet
                raise
        if _worker_gave_up(server.worker_log, version, log_offset):
            raise _failure("archive_refused", f"Version {version} does not load.", server.folder)
        time.sleep(0.1)
    raise _failure("not_ready", f"No worker was READY within {patience:g} s.", server.folder)


def stop(port: int = DEFAULT_PORT) -> bool:
    """Stop the server on `port` and wait until it is gone; False when none ran.

    TorchServe does not drain: requests in flight are cut off. Logs stay, keys and temporary files
    do not.
    """
    server = running(port)
    if server is not None:
        _end(server.pid)
    folder = server_folder(port)
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    (folder / "key_file.json").unlink(missing_ok=True)
    return server is not None


def archive_version(archive: Path) -> str:
    """The version in the archive's own manifest. Raises ServerError no_archive."""
    try:
        with zipfile.ZipFile(archive) as mar:
            manifest = json.loads(mar.read("MAR-INF/MANIFEST.json"))
        return str(manifest["model"]["modelVersion"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ServerError(
            "no_archive",
            f"{archive} is no model archive ({error}).",
            "Build one with `make package`, or name another.",
        ) from None


def log_tail(folder: Path, lines: int = 12) -> str:
    """The last lines of every log of a server, for a person who wants to know what went wrong."""
    parts = []
    for log in (folder / "console.log", folder / "logs" / "server.log", folder / "logs/worker.log"):
        if log.is_file() and log.stat().st_size:
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
            parts.append("\n".join([f"{log}:", *tail]))
    return "\n".join(parts) or f"no logs in {folder}"


def _fresh_folder(port: int) -> Path:
    """The server's folder with empty logs and an empty temporary folder of its own."""
    folder = server_folder(port)
    for name in ("tmp", "logs"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True, mode=0o700)
    if len(os.fsencode(folder / "tmp" / ".ts.sock.99999")) > _LONGEST_SOCKET_PATH:
        raise ServerError(
            "path_too_long",
            f"{folder} is too long a path for the sockets of TorchServe's workers.",
            "Move the project to a folder with a shorter path.",
        )
    return folder


def _effective_settings(
    config: Path, port: int, archive: Path, version: str, workers: int
) -> dict[str, str]:
    """`config` with this server's ports, absolute paths, and the archive to start with.

    batchSize 1: photos are answered one after the other anyway, so a batch would save nothing,
    and one that is not full would wait out maxBatchDelay.
    """
    lines = (line.strip() for line in config.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings = {key.strip(): value.strip() for key, value in pairs}
    for key, number in ports_of(port).items():
        settings[key] = f"http://127.0.0.1:{number}" if key.endswith("address") else str(number)
    settings["model_store"] = str(archive.parent)
    settings["metrics_config"] = str(ROOT / settings["metrics_config"])
    # From where the JVM runs: an argument ends at a space, which the path of the project may hold.
    java = os.path.relpath(ROOT / _JAVA, server_folder(port))
    settings["vmargs"] = settings["vmargs"].replace(_JAVA, java)
    settings["load_models"] = f"{MODEL}={archive.name}"
    of_the_model = {
        "defaultVersion": True,
        "marName": archive.name,
        "minWorkers": workers,
        "maxWorkers": workers,
        "batchSize": 1,
        "maxBatchDelay": 1,
        "responseTimeout": int(settings["default_response_timeout"]),
    }
    settings["models"] = json.dumps({MODEL: {version: of_the_model}})
    return settings


def _launch(archive: Path, properties: Path, folder: Path, home: Path) -> None:
    """Run the `torchserve` command; it returns once the JVM has been started."""
    # Here: they bring OpenCV, which few commands need.
    from handlers.camera_folder import FOLDER
    from handlers.prediction_writer import OFF, SETTING

    # PYTHONPATH would come before the archive's own code, and TS_CONFIG_FILE before ours.
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "TS_CONFIG_FILE")
    }
    tmp, logs = str(folder / "tmp"), str(folder / "logs")
    own = {
        "JAVA_HOME": str(home),
        "TEMP": tmp,
        "TMPDIR": tmp,
        "LOG_LOCATION": logs,
        "METRICS_LOCATION": logs,
        "OMP_NUM_THREADS": "1",
        # Workers run in folders of their own.
        FOLDER: str(Path(inherited.get(FOLDER) or ROOT / "cameras").resolve()),
        SETTING: str(prediction_log(folder) or OFF),
    }
    command = [sys.executable, "-m", "ts.model_server", "--start", "--ncs"]
    command += ["--ts-config", str(properties), "--model-store", str(archive.parent)]
    command += ["--log-config", str(LOG_CONFIG)]
    with (folder / "console.log").open("w", encoding="utf-8") as console:
        subprocess.run(
            command,
            cwd=folder,  # where key_file.json appears
            env=inherited | own,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that it outlives the terminal
            check=False,
        )


def _worker_gave_up(worker_log: Path, version: str, offset: int) -> bool:
    """Whether a worker of `version` died while it loaded: TorchServe would try for minutes."""
    if not worker_log.is_file():
        return False
    lines = worker_log.read_bytes()[offset:].decode(errors="replace").splitlines()
    return any(f"-{MODEL}_{version}-" in line and _DEATH in line for line in lines)


def _end(pid: int) -> None:
    """Ask the JVM to end, give it and its workers ten seconds, then end what is left."""
    try:
        jvm = psutil.Process(pid)
        family = [jvm, *jvm.children(recursive=True)]
        jvm.send_signal(signal.SIGTERM)
    except psutil.NoSuchProcess:
        return
    _, alive = psutil.wait_procs(family, timeout=10)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def _failure(code: str, what: str, folder: Path) -> ServerError:
    return ServerError(code, f"{what} The logs end with\n{log_tail(folder)}\n", "Mend that first.")
