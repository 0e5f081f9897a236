"""The `pm25` command: one file per noun, no logic of its own."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import NoReturn

import typer

from commands.calibrate_camera import calibrate_camera
from commands.collect import collect
from commands.data import data
from commands.evaluate import evaluate
from commands.features import features
from commands.forget import forget
from commands.package import package
from commands.predict import predict
from commands.register import register
from commands.renew_keys import renew_keys
from commands.serve import serve, stop
from commands.train import train
from commands.validate import validate
from features.errors import PM25Error

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="PM2.5 from one outdoor photograph, with an interval that can be believed.",
)
for command in (
    *(train, evaluate, validate, calibrate_camera, package),
    *(predict, serve, stop, register, renew_keys, collect, forget),
):
    cli.command()(command)
cli.add_typer(data, name="data")
cli.add_typer(features, name="features")


def app() -> None:
    """Run `pm25`; an error of ours, or of the disk, is told on stderr and exits with status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without µ gets a question mark
            stream.reconfigure(errors="replace")
    try:
        cli()
    except PM25Error as error:
        _end(error.detail, error.how_to_fix)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(
            f"{where}{error.strerror or error}.",
            "Check the path, its permissions and the room on the disk.",
        )


def _end(detail: str, how_to_fix: str) -> NoReturn:
    print(f"error: {detail}\n  {how_to_fix}", file=sys.stderr)
    sys.exit(2)
