"""A world of its own per run, made before Django reads its settings (`-p` in pyproject.toml).

Whatever the developer's shell says of Holdgate is left out, so that the suite means the same everywhere. Only
a PostgreSQL address in DATABASE_URL is kept, which is how the suite is run on PostgreSQL.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

KEPT = ("HOLDGATE_REQUIRE_",)  # how strict the run is; no setting of the product
CLEARED = ("REDIS_URL", "BROKER_URL", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET")


def _clear_settings() -> None:
    for name in list(os.environ):
        ours = name.startswith("HOLDGATE_") and not name.startswith(KEPT)
        if ours or name.removesuffix("_FILE") in CLEARED:
            del os.environ[name]
    for name in ("DATABASE_URL", "DATABASE_DIRECT_URL"):
        if not os.environ.get(name, "").startswith(("postgres://", "postgresql://")):
            os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)


def _make_state_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="holdgate-tests-"))
    owner = os.getpid()

    def remove() -> None:
        # A forked child also runs this at its end, while the folder is still the parent's.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


_clear_settings()
STATE_DIR = _make_state_folder()
os.environ["HOLDGATE_STATE_DIR"] = str(STATE_DIR)
