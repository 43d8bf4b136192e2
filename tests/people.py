"""The cast of the tests, and a gateway configuration in which they have their parts.

Alice and Bob approve (group dba), Carol is security, Dave is an engineer (platform), Grace audits, Eve
is nobody. `CI` is a GitHub job that Dave started, `AGENT` a program of the company. Dave's two accounts are
linked; a job with another `actor_id` was started by nobody we know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.issuer import FakeIssuer

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

AUDIENCE = "holdgate"
CONNECTION = "orders-db"


@dataclass(frozen=True)
class Human:
    """Somebody with an account at the company's identity provider."""

    sub: str
    name: str
    groups: tuple[str, ...] = ()

    @property
    def email(self) -> str:
        """The address that the provider has verified."""
        return f"{self.sub}@example.com"

    @property
    def claims(self) -> dict[str, Any]:
        """What an identity token says of this person beside the standard claims."""
        return {"name": self.name, "email": self.email, "email_verified": True, "groups": list(self.groups)}

    def token(self, issuer: FakeIssuer, **claims: Any) -> str:
        """Mint a bearer token; the arguments are those of `FakeIssuer.token`."""
        return issuer.token(self.sub, **{"aud": AUDIENCE, **self.claims, **claims})

    def bearer(self, issuer: FakeIssuer, **claims: Any) -> str:
        """Mint a token and return the value of an Authorization header."""
        return f"Bearer {self.token(issuer, **claims)}"

    def account(self, issuer: FakeIssuer) -> str:
        """Return `iss|sub`."""
        return f"{issuer.url}|{self.sub}"


@dataclass(frozen=True)
class Job:
    """A CI job with GitHub's identity token; who started it is told by `actor_id`."""

    repository: str = "acme/shop"
    ref: str = "refs/heads/main"
    actor_id: str = "4711"

    def token(self, issuer: FakeIssuer, **claims: Any) -> str:
        """Mint the job's token from the issuer's GitHub sibling."""
        shape = {"repository": self.repository, "ref": self.ref, "actor_id": self.actor_id}
        return issuer.github.github_token(**{"aud": AUDIENCE, **shape, **claims})

    def bearer(self, issuer: FakeIssuer, **claims: Any) -> str:
        """Mint a token and return the value of an Authorization header."""
        return f"Bearer {self.token(issuer, **claims)}"


@dataclass(frozen=True)
class Program:
    """An agent that the company's identity provider knows by its client id."""

    sub: str = "agent-planner"
    groups: tuple[str, ...] = ("engineering",)

    def token(self, issuer: FakeIssuer, **claims: Any) -> str:
        """Mint a bearer token."""
        known = {"aud": AUDIENCE, "client_id": self.sub, "groups": list(self.groups)}
        return issuer.token(self.sub, **{**known, **claims})

    def bearer(self, issuer: FakeIssuer, **claims: Any) -> str:
        """Mint a token and return the value of an Authorization header."""
        return f"Bearer {self.token(issuer, **claims)}"


ALICE = Human("alice", "Alice Ames", ("engineering",))
BOB = Human("bob", "Bob Byrne")
CAROL = Human("carol", "Carol Cruz")
DAVE = Human("dave", "Dave Doyle", ("engineering",))
EVE = Human("eve", "Eve Ekman")
GRACE = Human("grace", "Grace Gold", ("audit",))
PEOPLE = (ALICE, BOB, CAROL, DAVE, EVE, GRACE)
CI = Job()
AGENT = Program()


def register_people(issuer: FakeIssuer) -> None:
    """Make the whole cast known to the provider, so that each of them can sign in in a browser."""
    for person in PEOPLE:
        issuer.register(person.sub, **person.claims)


def config_yaml(issuer_url: str, upstream_url: str, *, orders: Mapping[str, Any] | None = None, **blocks: Any) -> str:
    """Return a whole holdgate.yaml for the cast.

    `orders` changes members of the connection orders-db (None removes one); every other argument replaces or
    adds the top-level block of its name, such as `rules=[...]`.
    """
    connection = {key: value for key, value in {**_orders(upstream_url), **(orders or {})}.items() if value is not None}
    document = {
        "version": 1,
        "issuers": [_corp(issuer_url), _github(f"{issuer_url}/github")],
        "groups": {
            "dba": {"members": [ALICE.email, BOB.email]},
            "security": {"members": [CAROL.email]},
            "platform": {"members": [DAVE.email]},
        },
        "people": [{"name": "Dave", "accounts": [f"{issuer_url}|{DAVE.sub}", f"{issuer_url}/github|{CI.actor_id}"]}],
        "roles": {"admin": ["platform"], "auditor": ["corp/audit"]},
        "connections": {CONNECTION: connection},
        "rules": [_never_drop(), _writes_need_a_dba()],
        "masking": _masking(),
    }
    return str(yaml.dump({**document, **blocks}, Dumper=DUMPER, sort_keys=False))


def _corp(url: str) -> dict[str, Any]:
    return {
        "name": "corp",
        "issuer": url,
        "audiences": [AUDIENCE],
        "kind": {"default": "person", "agent": {"client_id": "agent-*"}},
        "groups_claim": "groups",
        "login": True,
    }


def _github(url: str) -> dict[str, Any]:
    return {
        "name": "github",
        "issuer": url,
        "audiences": [AUDIENCE],
        "kind": {"default": "ci"},
        "groups": {"deployers": {"repository": "acme/*", "ref": "refs/heads/main"}},
        "run_claims": ["run_id", "run_attempt", "job_workflow_ref"],
        "person_claim": "actor_id",
        "owned_by": ["platform"],
    }


def _orders(url: str) -> dict[str, Any]:
    return {
        "description": "Orders, production",
        "url": url,
        "labels": {"env": "prod"},
        "access": [{"groups": ["corp/engineering", "github/deployers"], "tools": ["*"]}],
        "default": "allow",
    }


def _never_drop() -> dict[str, Any]:
    return {
        "name": "never-drop",
        "action": "deny",
        "match": {"arguments": [{"path": "sql", "matches": r"(?i)\b(drop|truncate)\b"}]},
        "message": "Changing the schema in production is not allowed here.",
    }


def _writes_need_a_dba() -> dict[str, Any]:
    return {
        "name": "writes-need-a-dba",
        "action": "hold",
        "match": {
            "connections": [CONNECTION],
            "arguments": [{"path": "sql", "matches": r"(?i)\b(delete|update)\b"}],
        },
        "approval": {"require": {"any_of": [{"groups": ["dba"], "count": 1}]}, "expires_after": "30m"},
    }


def _masking() -> list[dict[str, Any]]:
    secrets = ["api_key", "private_key", "password_assignment", "bearer_token"]
    personal = ["email", "phone", "us_ssn", "iban"]
    return [
        {"name": "secrets-everywhere", "detectors": secrets, "replace": "label"},
        {"name": "payment-cards", "detectors": ["credit_card"], "replace": "partial"},
        {"name": "people", "detectors": personal, "replace": "label", "except_groups": ["security"]},
        {"name": "columns", "connections": [CONNECTION], "fields": ["**.salary"], "replace": "remove"},
    ]
