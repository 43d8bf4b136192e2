"""The demo's database on a PostgreSQL server: made at the start, dropped at the end. Nothing else
is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql

from gatewayproj.demo.world import Refused, World


@contextmanager
def own_database(world: World) -> Iterator[None]:
    """Have a database of the demo's own for as long as the block lasts; SQLite's lies in the folder anyway.

    Raises Refused when the server does not let us make one.
    """
    if not world.database:
        yield
        return
    try:
        _run(world, "CREATE DATABASE {}")
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        msg = f"The demo needs a database of its own on the server of DATABASE_URL: {reason}"
        raise Refused(msg) from error
    try:
        yield
    finally:
        _run(world, "DROP DATABASE IF EXISTS {} WITH (FORCE)")


def _run(world: World, statement: LiteralString) -> None:
    with psycopg.connect(world.server_url, autocommit=True, connect_timeout=5) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(world.database)))
