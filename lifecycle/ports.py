"""The ports of one TorchServe: they move together, and a taken one is named with its holder."""

from __future__ import annotations

import socket

import psutil

from features.errors import ServerError

DEFAULT_PORT = 8080
JVM_CLASS = "org.pytorch.serve.ModelServer"  # what the command line of a TorchServe names
_USUAL = {
    "inference_address": DEFAULT_PORT,
    "management_address": 8081,
    "metrics_address": 8082,
    "grpc_inference_port": 7070,
    "grpc_management_port": 7071,
    "initial_worker_port": 9000,
}


def ports_of(port: int) -> dict[str, int]:
    """Every port of the server whose inference port is `port`, by its key in config.properties.

    Their distances are those of TorchServe's own defaults: 8080, 8081, 8082, 7070, 7071, 9000.
    """
    return {key: usual + port - DEFAULT_PORT for key, usual in _USUAL.items()}


def check_ports(port: int) -> None:
    """Raises ServerError port_out_of_range or port_taken, the latter with the holder's name."""
    ports = ports_of(port)
    low, high = min(ports.values()), max(ports.values())
    if low < 1024 or high > 65535:
        raise ServerError(
            "port_out_of_range",
            f"Port {port} would put TorchServe's other ports at {low} to {high}.",
            f"Choose a port from {1024 - low + port} to {65535 - high + port}.",
        )
    ports.pop("initial_worker_port")  # on Linux, workers listen on sockets in the server's folder
    for number in ports.values():
        check_port(number)


def check_port(number: int) -> None:
    """Raises ServerError port_taken, with the holder's name."""
    if _is_taken(number):
        raise ServerError(
            "port_taken",
            f"Port {number} is taken by {_holder(number)}.",
            "Stop it, or choose another port: `make serve PORT=9080`.",
        )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # As TorchServe itself binds: connections that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _holder(port: int) -> str:
    """Who listens on `port`, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            here = connection.laddr and connection.laddr.port == port
            if here and connection.status == psutil.CONN_LISTEN and connection.pid:
                process = psutil.Process(connection.pid)
                other = "another TorchServe" if JVM_CLASS in process.cmdline() else process.name()
                return f"{other} (pid {process.pid}, in {process.cwd()})"
    except (psutil.Error, OSError):
        pass
    return "another process"
