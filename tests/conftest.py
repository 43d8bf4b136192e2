"""Fixtures of every test: a test database of this run alone, and the services that happen to be there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import hypothesis
import pytest
from django.core.management.commands import flush as flush_command
from django.db import connection
from pytest_django import DjangoDbBlocker

from sessions import guards
from tests import environment, services

# No test asserts a time: on a machine with other work an example may take any.
hypothesis.settings.register_profile("holdgate", deadline=None)
# The long form of tests/fuzz: `make fuzz`.
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=10_000)
hypothesis.settings.load_profile("holdgate")


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Name the test database after this process, so that runs beside each other do not meet."""
    if connection.vendor == "sqlite":
        name = str(environment.STATE_DIR / "test.sqlite3")
    else:
        name = f"test_holdgate_{os.getpid()}"
    connection.settings_dict["TEST"]["NAME"] = name


# What migrating fills from the models alone. Made anew after each flush, it took most of the time of a test.
LASTING = {"django_content_type", "auth_permission"}


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let the flush after a transactional test empty the record, whose tables refuse every deletion.

    It leaves alone what only depends on the models. At the end the connections that threads of the product keep are
    cut: PostgreSQL drops no database in use.
    """
    flush = connection.ops.execute_sql_flush
    names = connection.introspection.django_table_names

    def names_to_flush(**which: bool) -> list[str]:
        return [name for name in names(**which) if name not in LASTING]

    def flush_unguarded(sql_list: Iterable[str]) -> None:
        guards.drop(connection)
        flush(sql_list)
        guards.create(connection)

    def nothing(*_: object, **__: object) -> None:
        """Stand in for the signal after migrating, which would fill the lasting tables."""

    with django_db_blocker.unblock():
        # Django has no other place between the test and its flush.
        connection.ops.execute_sql_flush = flush_unguarded  # type: ignore[method-assign]
        connection.introspection.django_table_names = names_to_flush  # type: ignore[assignment, method-assign]
        flush_command.emit_post_migrate_signal = nothing  # type: ignore[attr-defined]
    yield
    if connection.vendor == "postgresql":
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend(pid) {others}")


@pytest.fixture(scope="session")
def postgresql_url() -> str:
    """Return the address of a PostgreSQL server's maintenance database; skip when none answers here."""
    if not services.answers(services.POSTGRESQL):
        services.missing("PostgreSQL on 127.0.0.1:5432", "HOLDGATE_REQUIRE_SERVICES")
    return "postgresql://postgres@127.0.0.1:5432/postgres"


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Return the address of a Redis server; skip when none answers here.

    Tests keep to keys of their own and never flush.
    """
    if not services.answers(services.REDIS):
        services.missing("Redis on 127.0.0.1:6379", "HOLDGATE_REQUIRE_SERVICES")
    return "redis://127.0.0.1:6379/15"
