"""The little shop behind the demo's MCP server: customers, cards that pass the checksum, and orders."""

from __future__ import annotations

import sqlite3
from typing import Any

# Test numbers that the card networks publish; no bank has issued them.
CUSTOMERS = (
    (1, "Ada Lovelace", "ada.lovelace@customers.example", "4111 1111 1111 1111"),
    (2, "Grace Hopper", "grace.hopper@customers.example", "5555 5555 5555 4444"),
    (3, "Alan Turing", "alan.turing@customers.example", "3782 822463 10005"),
)
ORDERS = ((101, 1, "analytical engine", 1842), (102, 2, "compiler", 1952), (103, 2, "nanoseconds", 1985),
          (104, 3, "bombe", 1940))  # fmt: skip
# What must never be seen outside the shop, in every spelling that the data has.
RAW_VALUES = tuple(value for row in CUSTOMERS for value in (row[2], row[3], row[3].replace(" ", "")))

_SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, card TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, item TEXT, year INTEGER);
"""


class Shop:
    """The shop's database, for one thread. `executed` counts the statements that were run."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.executescript(_SCHEMA)
        self._database.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", CUSTOMERS)
        self._database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ORDERS)
        self.executed: list[str] = []

    def run(self, sql: str, *values: Any) -> tuple[list[dict[str, Any]], int]:
        """Run one statement; return its rows and how many it changed. Raises sqlite3.Error."""
        self.executed.append(sql)
        cursor = self._database.execute(sql, values)
        return [dict(row) for row in cursor.fetchall()], max(cursor.rowcount, 0)
