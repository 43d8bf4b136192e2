"""An identity desk for tests: real tokens and keys, the cast's configuration; nothing leaves the process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from approvals.config.loader import load
from approvals.config.schema import Config
from approvals.policy import Policy
from approvals.verdicts import Caller
from proxy.identity import Identity, TokenRejected
from proxy.jwks import KeySets
from tests.issuer import FakeIssuer
from tests.issuer_app import IssuerApp
from tests.people import CONNECTION, config_yaml

PUBLIC = "https://gw.example.com"
NOW = 1_790_000_000.0


@dataclass
class Desk:
    """One identity desk with its issuers, and a clock that a test moves on. Nothing leaves the process."""

    corp: FakeIssuer = field(default_factory=lambda: FakeIssuer("https://id.example.com"))
    seconds: float = 0.0
    now: float = NOW
    capacity: int = 100

    def __post_init__(self) -> None:
        issuers = [self.corp, self.corp.github, self.corp.gitlab, self.corp.kubernetes]
        transport = httpx.ASGITransport(app=IssuerApp(issuers))
        self.key_sets = KeySets(transport, clock=lambda: self.seconds)
        self.identity = Identity(self.key_sets, public_url=PUBLIC, capacity=self.capacity)
        self.policy = self.publish()

    def publish(self, revision: int = 1, **blocks: Any) -> Policy:
        """Put another configuration in force."""
        text = config_yaml(self.corp.url, "http://127.0.0.1:9/mcp", **blocks)
        self.policy = Policy.compile(load(text), revision=revision, digest=f"digest-{revision}")
        return self.policy

    def change_issuer(self, name: str = "corp", revision: int = 2, **changes: Any) -> None:
        """Put a configuration in force in which one issuer differs."""
        issuers = [
            issuer.model_copy(update=changes) if issuer.name == name else issuer
            for issuer in self.policy.config.issuers
        ]
        # Made anew: a copy would bring along what was worked out of the former issuers.
        written = {name: getattr(self.policy.config, name) for name in Config.model_fields}
        config = Config.model_validate({**written, "issuers": tuple(issuers)})
        self.policy = Policy.compile(config, revision=revision, digest=f"digest-{revision}")

    def admit(self, authorization: str | None, connection: str | None = CONNECTION) -> Caller:
        """Authenticate one header value now."""
        return asyncio.run(self.ask(authorization, connection))

    async def ask(self, authorization: str | None, connection: str | None = CONNECTION) -> Caller:
        return await self.identity.authenticate(authorization, connection=connection, policy=self.policy, now=self.now)

    def token(self, sub: Any = "alice", **claims: Any) -> str:
        return self.corp.token(sub, **{"now": self.now, **claims})

    def rejection(self, token: str) -> TokenRejected:
        with pytest.raises(TokenRejected) as caught:
            self.admit(f"Bearer {token}")
        return caught.value
