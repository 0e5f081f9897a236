"""Full decodes of photos in a process of their own: the yardstick that no allocator may bend.

    python -m benchmarks.full_decode    # a path a line in, CPU time [ms] a line out

A third of a full decode is the first touch of its output's memory, so how memory is allocated
decides what is measured: malloc keeps its defaults, and the previous picture is still referenced.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np


class FullDecoder:
    """Such a process, as a context manager."""

    def __enter__(self) -> Self:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env={**environment, "GLIBC_TUNABLES": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def milliseconds(self, photo: Path) -> float:
        """CPU time of one full decode of `photo`, read beforehand [ms]."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{photo}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()


def main() -> None:
    """Decode what standard input names until it ends."""
    cv2.setNumThreads(1)
    previous = None
    for line in sys.stdin:
        data = np.frombuffer(Path(line.strip()).read_bytes(), np.uint8)
        start = time.thread_time()
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        print((time.thread_time() - start) * 1e3, flush=True)
        previous = picture  # frees the one before it, after this one was made
    del previous


if __name__ == "__main__":
    main()
