"""An OpenID provider for tests: a real HTTP server on loopback whose keys, people and health a test decides.

    with running_issuer() as corp:
        corp.token("alice", groups=["engineering"])          # iss = corp.url
        corp.github.github_token(repository="acme/shop")     # iss = corp.url + "/github", keys of its own

Sign-in is the authorization code flow with PKCE (RFC 7636, S256 only): whoever was chosen with `login_as` is
signed in without a question.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any

import uvicorn

from tests.issuer_app import Accounts, IssuerApp
from tests.signing import Key, key, signed

CLIENT_ID = "holdgate"
CLIENT_SECRET = "the-secret-of-the-login-client"


class FakeIssuer:
    """One issuer: its keys, its people, what was asked of it, and the tokens it mints, sound and broken."""

    def __init__(self, url: str, path: str = "") -> None:
        self.url = url + path
        self.path = path
        self.counts: Counter[str] = Counter()
        self.accounts = Accounts(CLIENT_ID, CLIENT_SECRET)
        self.is_down = False
        self.trickling: set[str] = set()  # endpoints that never end their answer
        self.instead: dict[str, bytes] = {}  # what endpoints answer instead of something sensible
        self.discovery: dict[str, Any] = {}
        self._root = url
        self._generation = 0
        self._published: list[Key] = []
        self.rotate(keep_old=False)

    @cached_property
    def github(self) -> FakeIssuer:
        """The issuer of CI jobs on the same server: `<url>/github`."""
        return FakeIssuer(self._root, "/github")

    @cached_property
    def gitlab(self) -> FakeIssuer:
        """Another issuer of CI jobs: `<url>/gitlab`."""
        return FakeIssuer(self._root, "/gitlab")

    @cached_property
    def kubernetes(self) -> FakeIssuer:
        """The issuer of a cluster's service accounts: `<url>/kubernetes`."""
        return FakeIssuer(self._root, "/kubernetes")

    def rotate(self, *, keep_old: bool = True) -> None:
        """Sign with new keys from now on; the old ones stay published unless told otherwise."""
        self._generation += 1
        serial = f"{self.path.strip('/') or 'corp'}-{self._generation}"
        old = self._published if keep_old else []
        self._published = [*(key(algorithm, serial) for algorithm in ("RS256", "ES256", "EdDSA")), *old]

    def outage(self, down: bool = True) -> None:
        """Answer 503 to everything, or stop doing so."""
        self.is_down = down

    def key(self, algorithm: str = "RS256") -> Key:
        """The key that signs now."""
        return next(held for held in self._published if held.algorithm == algorithm)

    def jwks(self) -> dict[str, Any]:
        """The published key set."""
        return {"keys": [held.jwk for held in self._published]}

    def configuration(self) -> dict[str, Any]:
        """The discovery document; `discovery` overrides what a test wants to be wrong, None leaves it out."""
        endpoints = {name: f"{self.url}/{name}" for name in ("authorize", "token", "userinfo", "jwks", "logout")}
        found = {
            "issuer": self.url,
            "authorization_endpoint": endpoints["authorize"],
            "token_endpoint": endpoints["token"],
            "userinfo_endpoint": endpoints["userinfo"],
            "end_session_endpoint": endpoints["logout"],
            "jwks_uri": endpoints["jwks"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "email", "profile", "groups"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            **self.discovery,
        }
        return {name: value for name, value in found.items() if value is not None}

    # Sign-in

    def register(self, sub: str, **claims: Any) -> None:
        """Make a person known, with the claims that their identity tokens carry."""
        self.accounts.people[sub] = claims

    def login_as(self, sub: str | None, **claims: Any) -> None:
        """Choose who sits at the browser from now on; claims such as `amr` are of this sign-in alone."""
        self.accounts.sign_in(sub, claims)

    # Tokens

    def claims(
        self,
        sub: Any = "somebody",
        aud: Any = "holdgate",
        *,
        now: float | None = None,
        lifetime: float = 300,
        drop: Collection[str] = (),
        **claims: Any,
    ) -> dict[str, Any]:
        """The claims of a sound token, changed by `claims`, without those in `drop`, issued at `now`."""
        issued = int(time.time() if now is None else now)
        standard = {
            "iss": self.url,
            "sub": sub,
            "aud": aud,
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(lifetime),
            "jti": secrets.token_hex(8),
        }
        return {name: value for name, value in {**standard, **claims}.items() if name not in drop}

    def token(
        self,
        sub: Any = "somebody",
        aud: Any = "holdgate",
        *,
        algorithm: str = "RS256",
        by: Key | None = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Mint a token signed by our key of this algorithm, or by another key.

        `header` overrides header fields (None removes one); the rest is as in `claims`.
        """
        signer = by or self.key(algorithm)
        fields = {"alg": signer.algorithm, "typ": "JWT", "kid": signer.kid, **(header or {})}
        given = {name: value for name, value in fields.items() if value is not None}
        return signed(given, self.claims(sub, aud, **claims), signer)

    def github_token(
        self,
        *,
        repository: str = "acme/shop",
        ref: str = "refs/heads/main",
        actor_id: str = "4711",
        **claims: Any,
    ) -> str:
        """Mint what GitHub Actions gives a job with the permission `id-token: write`."""
        owner = repository.partition("/")[0]
        workflow = f"{repository}/.github/workflows/deploy.yml@{ref}"
        shaped = {
            "sub": f"repo:{repository}:ref:{ref}",
            "repository": repository,
            "repository_id": "74",
            "repository_owner": owner,
            "repository_owner_id": "65",
            "repository_visibility": "private",
            "ref": ref,
            "ref_type": "branch",
            "ref_protected": "true",
            "sha": "bf5e8e5a2f4c7f4a4b7d2f0d3c6a1e9b8d7c6f50",
            "run_id": "1658821493",
            "run_number": "10",
            "run_attempt": "1",
            "actor": "dave",
            "actor_id": actor_id,
            "workflow": "deploy",
            "workflow_ref": workflow,
            "job_workflow_ref": workflow,
            "event_name": "push",
            "base_ref": "",
            "head_ref": "",
            "runner_environment": "github-hosted",
        }
        return self.token(**{**shaped, **claims})

    def gitlab_token(self, *, project_path: str = "acme/shop", ref: str = "main", **claims: Any) -> str:
        """Mint what GitLab gives a job through `id_tokens`."""
        shaped = {
            "sub": f"project_path:{project_path}:ref_type:branch:ref:{ref}",
            "project_id": "22",
            "project_path": project_path,
            "namespace_id": "72",
            "namespace_path": project_path.rpartition("/")[0],
            "user_id": "42",
            "user_login": "dave",
            "user_email": "dave@example.com",
            "pipeline_id": "1212",
            "pipeline_source": "push",
            "job_id": "1311",
            "ref": ref,
            "ref_type": "branch",
            "ref_path": f"refs/heads/{ref}",
            "ref_protected": "true",
            "environment": "production",
            "environment_protected": "true",
            "runner_environment": "self-hosted",
        }
        return self.token(**{**shaped, **claims})

    def kubernetes_token(self, *, namespace: str = "shop", account: str = "agent", **claims: Any) -> str:
        """Mint what a cluster projects into a pod: a list of audiences, no `typ`, nested claims."""
        shaped = {
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "aud": ["holdgate"],
            "header": {"typ": None},
            "kubernetes.io": {
                "namespace": namespace,
                "pod": {"name": "agent-7d4b9", "uid": "5e8a6b2c-4f7e-4d57-9c0a-0a3cf4f0a001"},
                "serviceaccount": {"name": account, "uid": "0d1f3a52-7a77-4c7d-8d2e-5f1f7a3b9002"},
            },
        }
        return self.token(**{**shaped, **claims})


@contextlib.contextmanager
def running_issuer() -> Iterator[FakeIssuer]:
    """Serve an issuer and its siblings on a free loopback port for as long as the block lasts."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # From here on connections queue up, so that nobody has to wait for the thread to come up.
    listener.listen(128)
    corp = FakeIssuer(f"http://127.0.0.1:{listener.getsockname()[1]}")
    app = IssuerApp([corp, corp.github, corp.gitlab, corp.kubernetes])
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="issuer", daemon=True)
    thread.start()
    try:
        yield corp
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
