"""Keep the training libraries out of a process that serves.

XGBoost and LightGBM import scikit-learn and pandas when those are installed, for wrappers that
a server never uses; together they cost memory and start-up time. An entry point that serves
calls `leave_out_training_libraries` before its first import of `handlers.ensemble`:

    from handlers.serving_set import leave_out_training_libraries
    leave_out_training_libraries()
    from handlers.predictor import Predictor

A name bound to None in `sys.modules` makes every later import of it raise ModuleNotFoundError
(the import statement's documented behaviour), which both libraries take for 'not installed'.
"""

from __future__ import annotations

import sys
from typing import Any, cast

TRAINING_LIBRARIES = ("joblib", "pandas", "skimage", "sklearn")


def leave_out_training_libraries() -> None:
    """Make `TRAINING_LIBRARIES` unimportable in this process; one that is loaded already stays."""
    modules = cast(dict[str, Any], sys.modules)
    for name in TRAINING_LIBRARIES:
        modules.setdefault(name, None)
