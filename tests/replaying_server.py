"""A local server that replays what a source or a camera sends, misbehaviour included.

Payload shapes are those that the sources document or were seen to send (PurpleAir API v1, the
SIATA geoportal of September 2026 and its files of 2024, OpenAQ API v3); values are made up.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from training.ground_truth.clock import Clock

HTML = b"<!DOCTYPE html><html><body>Mantenimiento</body></html>"


@dataclass
class Reply:
    """One answer. `promised`: the Content-Length, where it lies. `pause`: before each tenth [s]."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    pause: float = 0.0

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Asked:
    """One request as it came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


Answer = Callable[[Asked], Reply]


class ReplayingServer:
    """Answers each path with the function, or with the list of replies, that was put there.

    Of a list the last reply is repeated. A path that nobody put there is a 404, and one that is
    `broken` gives that reply instead.
    """

    def __init__(self) -> None:
        self.routes: dict[str, Answer | list[Reply]] = {}
        self.broken: dict[str, Reply] = {}
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                asked = Asked(parts.path, dict(parse_qsl(parts.query)), dict(self.headers))
                outer.asked.append(asked)
                self.reply(outer.answer(asked))

            def reply(self, reply: Reply) -> None:
                content = reply.content
                self.send_response(reply.status)
                length = len(content) if reply.promised is None else reply.promised
                for name, value in ({"Content-Length": str(length)} | reply.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                step = max(1, len(content) // 10) if reply.pause else max(1, len(content))
                try:
                    for start in range(0, len(content), step):
                        if reply.pause:
                            time.sleep(reply.pause)
                        self.wfile.write(content[start : start + step])
                        self.wfile.flush()
                except OSError:  # the client had enough
                    pass

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, asked: Asked) -> Reply:
        if asked.path in self.broken:
            return self.broken[asked.path]
        route = self.routes.get(asked.path)
        if route is None:
            return Reply({"detail": "Not Found"}, 404)
        if callable(route):
            return route(asked)
        return route.pop(0) if len(route) > 1 else route[0]

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked.path == path for asked in self.asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class FakeClock(Clock):
    """Time that passes only when somebody waits, or when a test says so."""

    def __init__(self, now: datetime) -> None:
        self._start, self._passed = now, 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._passed += seconds

    def pass_by(self, **time: float) -> None:
        self._passed += timedelta(**time).total_seconds()


MEDELLIN = (6.2518, -75.5636)
NOW = datetime(2026, 9, 28, 22, 10, tzinfo=UTC)  # 17:10 in Medellín


def siata_station(code: int, lat: float, lon: float, name: str = "Estación Tráfico Centro") -> Any:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
        "properties": {
            "nombreEstacion": name,
            "estacion": "CEN-TRAF",
            "Municipio": "Medellin ",
            "codigo": code,
            "PM25_24H_prom": 24.0,
            "ICA_24H_prom": 74,
            "fechaInicio": "2026-09-27 18:00",
            "fechaFin": "2026-09-28 17:00",
            "color": "#FCE65E",
        },
    }


def siata_hours(code: int, last: str, values: list[Any]) -> dict[str, Any]:
    """`last` is local time; `values` end with that hour."""
    end = datetime.fromisoformat(last)
    hours = [(end - timedelta(hours=back)).hour for back in range(len(values) - 1, -1, -1)]
    return {
        "info": {
            "NombreEstacion": "Estación X",
            "Codigo": code,
            "Hora_fin": last,
            "Horas": hours,
            "PM25_72H": values,
        }
    }


def openaq_hour(ends_at: datetime, value: Any, **changes: Any) -> dict[str, Any]:
    def times(moment: datetime) -> dict[str, str]:
        return {"utc": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "local": "ignored"}

    return {
        "value": value,
        "flagInfo": {"hasFlags": False},
        "parameter": {"id": 2, "name": "pm25", "units": "µg/m³", "displayName": None},
        "period": {
            "label": "1hour",
            "interval": "01:00:00",
            "datetimeFrom": times(ends_at - timedelta(hours=1)),
            "datetimeTo": times(ends_at),
        },
        "coverage": {"expectedCount": 1, "observedCount": 1, "percentCoverage": 100.0},
    } | changes
