"""An installation with the roles of `manage.py harden`, on a PostgreSQL that its tests did not bring along."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg

from tests.gateway import Gateway


@dataclass(frozen=True)
class Roles:
    """Roles of this test run alone: they belong to the whole server. `admin` is the address of its superuser."""

    admin: str
    owner: str
    web: str
    sequencer: str
    retention: str

    def address(self, role: str) -> str:
        """Return the address under which a role reaches the database."""
        parts = urlsplit(self.admin)
        return parts._replace(netloc=f"{role}@{parts.hostname}:{parts.port}").geturl()

    @property
    def options(self) -> list[str]:
        """What `harden` is told."""
        return ["--web", self.web, "--sequencer", self.sequencer, "--retention", self.retention]


@contextlib.contextmanager
def owned(gateway: Gateway) -> Iterator[Roles]:
    """Give the fresh database of an installation to an owner who is no superuser; drop all roles in the end."""
    names = [f"hg{os.getpid()}_{uuid.uuid4().hex[:8]}_{part}" for part in ("owner", "web", "sequencer", "retention")]
    roles = Roles(gateway.database_url, *names)
    database = urlsplit(roles.admin).path[1:]
    with psycopg.connect(roles.admin, autocommit=True) as admin:
        for name in names:
            admin.execute(f"CREATE ROLE {name} LOGIN")
        admin.execute(f'ALTER DATABASE "{database}" OWNER TO {roles.owner}')
        admin.execute(f"ALTER SCHEMA public OWNER TO {roles.owner}")
    try:
        yield roles
    finally:
        with psycopg.connect(roles.admin, autocommit=True) as admin:
            admin.execute(f"REASSIGN OWNED BY {roles.owner} TO CURRENT_USER")
            admin.execute(f"DROP OWNED BY {', '.join(names)}")
            admin.execute(f"DROP ROLE {', '.join(names)}")
