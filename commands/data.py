"""`pm25 data`: make a data set."""

from __future__ import annotations

import typer

from commands.data_pair import pair

data = typer.Typer(no_args_is_help=True, help="Make a data set.")
data.command()(pair)
