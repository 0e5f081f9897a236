"""`pm25 data`: make data sets, and keep versions of them."""

from __future__ import annotations

import typer

from commands.data_import import import_dataset
from commands.data_pair import pair
from commands.data_validate import validate
from commands.data_versions import diff, list_versions, pull, register, show, verify

data = typer.Typer(no_args_is_help=True, help="Make data sets, and keep versions of them.")
data.command("import")(import_dataset)
data.command()(pair)
data.command("list")(list_versions)
for command in (validate, register, show, diff, verify, pull):
    data.command()(command)
