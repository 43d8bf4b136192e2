"""Who is who in the demo: two issuers whose keys are made at the start, and the tokens of people and of the
job.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm

PEOPLE_ISSUER, CI_ISSUER = "https://people.demo.invalid", "https://ci.demo.invalid"
AUDIENCE = "holdgate"
LIFETIME = 12 * 3600


@dataclass(frozen=True, slots=True)
class Somebody:
    """A person of the demo."""

    sub: str
    name: str

    @property
    def email(self) -> str:
        """Return the address by which the configuration makes them a member of a group."""
        return f"{self.sub}@holdgate.example"


ALICE, BOB = Somebody("alice", "Alice Ames"), Somebody("bob", "Bob Byrne")
# Started the job, and is a database administrator, too: only the promise keeps him from deciding.
DAVE = Somebody("dave", "Dave Doyle")


class Issuer:
    """Signs tokens with a key of its own. Its public key lies in a file, as `jwks_uri: file:` wants it."""

    def __init__(self, iss: str, keys: Path) -> None:
        self._iss = iss
        self._key = generate_private_key(SECP256R1())
        public: dict[str, Any] = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        keys.write_text(json.dumps({"keys": [{**public, "kid": "demo", "alg": "ES256", "use": "sig"}]}))

    def token(self, sub: str, **claims: Any) -> str:
        """Return a token for this subject, good for as long as anybody watches a demo."""
        now = int(time.time())
        standard = {"iss": self._iss, "sub": sub, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME}
        return jwt.encode({**standard, **claims}, self._key, algorithm="ES256", headers={"kid": "demo"})


class Issuers:
    """Both issuers of the demo; `folder` holds their public keys."""

    def __init__(self, folder: Path) -> None:
        self.people_keys, self.ci_keys = folder / "people.json", folder / "ci.json"
        self._people = Issuer(PEOPLE_ISSUER, self.people_keys)
        self._ci = Issuer(CI_ISSUER, self.ci_keys)

    def person(self, somebody: Somebody) -> str:
        """Return a token of a person with a verified e-mail address."""
        return self._people.token(somebody.sub, name=somebody.name, email=somebody.email, email_verified=True)

    def job(self, run: str = "4711") -> str:
        """Return the identity token of a CI job that Dave started."""
        claims = {"repository": "acme/shop", "run_id": run, "started_by": DAVE.sub, "name": "deploy job"}
        return self._ci.token("repo:acme/shop:ref:refs/heads/main", **claims)
