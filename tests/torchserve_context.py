"""What the archive's entry uses of ts.context.Context, for tests that call it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Context:
    """The context of one batch, whose requests have these `headers`."""

    def __init__(self, *headers: Mapping[str, Any], model_dir: str = "anywhere") -> None:
        self.headers = headers
        self.system_properties: Mapping[str, Any] = {"model_dir": model_dir}
        self.metrics: Any = None
        self.status: dict[int, int] = {}
        self.media_type: dict[int, str] = {}

    def get_request_id(self, idx: int) -> str:
        return f"r-{idx}"

    def get_all_request_header(self, idx: int) -> Mapping[str, Any]:
        return self.headers[idx]

    def set_response_status(self, code: int, idx: int) -> None:
        self.status[idx] = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.media_type[idx] = value
