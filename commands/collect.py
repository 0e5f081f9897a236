"""`pm25 collect`: make a data set of one camera and the sensors around it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def collect(
    configuration: Annotated[Path, typer.Argument(help="A TOML file; see docs/examples.")],
    once: Annotated[bool, typer.Option(help="One round, for cron; otherwise a loop.")] = False,
    status: Annotated[bool, typer.Option(help="Only say what was collected so far.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The status as JSON.")] = False,
) -> None:
    """Take a camera's frames and, once their hour has closed, their PM2.5; survive any outage."""
    from datetime import datetime

    from training.collection import collector
    from training.collection.configuration import read_configuration
    from training.collection.frame import REASONS
    from training.ground_truth.clock import Clock
    from training.ground_truth.sources import open_source

    collection = read_configuration(configuration)
    if status or as_json:
        state = collector.state_of(collection)
        if as_json:
            print(json.dumps(state.as_json(), indent=2))
            return
        print(
            f"{state.folder}: {state.frames} frames, {state.labelled} with a label, "
            f"{state.waiting} waiting for one, {state.given_up} without."
        )
        for reason, count in state.refused.items():
            print(f"  {count} frames were not kept: {REASONS[reason]} ({reason}).")
        return

    def report(done: collector.Round) -> None:
        at = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
        for file in done.taken:
            print(f"{at} {file}", flush=True)
        if done.labelled or done.given_up:
            print(f"{at} {done.labelled} labelled, {done.given_up} given up", flush=True)
        for refused in done.refused:
            print(f"{at} {refused.reason}: {refused.detail}", file=sys.stderr, flush=True)
        for problem in done.problems:
            print(f"{at} {problem}", file=sys.stderr, flush=True)

    clock = Clock()
    source = open_source(
        collection.source, address=collection.source_address, correction=collection.correction
    )
    try:
        if not once:
            collector.collect(collection, source, clock, report)
        done = collector.collect_once(collection, source, clock)
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return
    finally:
        source.close()
    report(done)
    if done.problems:
        raise typer.Exit(1)
