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

# How strict the run is, and where the benchmarks install peers; no settings of the product.
KEPT = ("HOLDGATE_REQUIRE_", "HOLDGATE_BENCH_ENVS")
CLEARED = ("DATABASE_DIRECT_URL", "REDIS_URL", "BROKER_URL", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET")


def _clear_settings() -> None:
    for name in list(os.environ):
        ours = name.startswith("HOLDGATE_") and not name.startswith(KEPT)
        if ours or name.removesuffix("_FILE") in CLEARED:
            del os.environ[name]
    if not os.environ.get("DATABASE_URL", "").startswith(("postgres://", "postgresql://")):
        os.environ.pop("DATABASE_URL", None)
    os.environ.pop("DATABASE_URL_FILE", None)


def _make_state_folder() -> Path:
    # In memory where there is such a folder: the test database is committed to thousands of times.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - mkdtemp makes it safe
    folder = Path(tempfile.mkdtemp(prefix="holdgate-tests-", dir=memory))
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
# The same few people deny the same few tools all the time here; tests of the limit set it.
os.environ["HOLDGATE_MAX_DENIALS"] = "0"
# Upstreams here count what reaches them; tests of the looking set it.
os.environ["HOLDGATE_CATALOGUE_SECONDS"] = "0"
