"""Reading what a server tells Prometheus."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import NamedTuple

from lifecycle.torchserve import Server

_LINE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)\{(?P<labels>.*)\} (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Series(NamedTuple):
    """One line of /metrics."""

    name: str
    labels: Mapping[str, str]
    value: float


def series_of(server: Server) -> list[Series]:
    """Every series of ours on the metrics port; one of TorchServe's own has another name."""
    with urllib.request.urlopen(server.metrics_url, timeout=10) as reply:
        lines = [line for line in reply.read().decode().splitlines() if line.startswith("pm25_")]
    matches = [_LINE.fullmatch(line.replace(",}", "}")) for line in lines]
    assert all(matches), lines
    return [
        Series(m["name"], dict(_LABEL.findall(m["labels"])), float(m["value"]))
        for m in matches
        if m
    ]


def value(server: Server, name: str, **labels: str) -> float:
    """The sum of the series of this name with these labels."""
    return sum(
        one.value
        for one in series_of(server)
        if one.name == name and labels.items() <= one.labels.items()
    )


def wait_for(told: Callable[[], float], least: float, patience: float = 60.0) -> float:
    """What `told` says once it is at least `least`; counters come within a second or two."""
    deadline = time.monotonic() + patience
    while (seen := told()) < least and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen
