"""Reads of HashiCorp Vault and OpenBao: `GET /v1/PATH` with a token that is obtained, renewed and replaced here.

One read at a time and within one deadline, the look-up of a name aside; no redirect is followed, and nothing is taken
from the environment. Synchronous, for threads; never called in an event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx

from approvals import known
from approvals.origins import LOOPBACK

SECONDS: Final = 5.0
LARGEST: Final = 1 << 20
# A server that refuses everything must not make us log in, renew or lease again with every call.
PAUSE: Final = 60.0
_SAID: Final = {
    400: "it does not take the request",
    403: "its token may not read that, or is no longer valid",
    404: "nothing is there",
    429: "it asks to slow down",
    503: "it is sealed, or down for maintenance",
}
Method = Literal["token", "approle", "kubernetes"]


class VaultError(Exception):
    """Vault did not give the secret. The message names path and cause, never a value, and reads well after a colon."""


@dataclass(frozen=True, slots=True)
class Login:
    """How the gateway shows itself to Vault: `files` names the file of each thing that the method shows.

    `token`: `token`. `approle`: `role_id` and, unless the role goes without, `secret_id`. `kubernetes`: `jwt`.
    """

    method: Method
    files: Mapping[str, str]
    mount: str = ""
    role: str = ""

    @property
    def path(self) -> str:
        """Where it logs in."""
        return f"auth/{self.mount or self.method}/login"

    def shown(self) -> dict[str, str]:
        """Read the files anew and return what they say. Raises VaultError."""
        return {name: _line_of(path) for name, path in self.files.items() if path}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Mapping[str, Any]

    def member(self, name: str) -> Mapping[str, Any]:
        value = self.body.get(name)
        return value if isinstance(value, dict) else {}

    def seconds(self, block: Mapping[str, Any], name: str) -> float:
        value = block.get(name)
        return float(value) if isinstance(value, int) and value > 0 else 0.0


@dataclass(slots=True)
class _Token:
    value: str = field(repr=False)
    life: float  # as it was granted at first; infinite for one that does not end
    since: float
    renewable: bool
    due: float  # from then on it is renewed, or replaced
    end: float


@dataclass(frozen=True, slots=True)
class _Lease:
    data: Mapping[str, Any] = field(repr=False)
    since: float
    until: float


class Vault:
    """One server. `address` as in HOLDGATE_VAULT_ADDR; raises ValueError for one that cannot be used."""

    def __init__(
        self,
        address: str,
        login: Login,
        *,
        namespace: str = "",
        ca_file: str = "",
        timeout: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = _checked(address)
        self._login = login
        self._ca_file = ca_file
        self._timeout = timeout
        self._clock = clock
        self._headers = {"X-Vault-Request": "true", "Accept-Encoding": "identity", "User-Agent": "Holdgate"}
        self._headers |= {"X-Vault-Namespace": namespace} if namespace else {}
        self._token: _Token | None = None
        self._leases: dict[str, _Lease] = {}
        self._lock = threading.Lock()

    def read(self, path: str, name: str) -> str:
        """Return one field of what is at this path of the HTTP API. Raises VaultError."""
        late = f"Vault did not answer within {self._timeout:g} s for {path}"
        if not self._lock.acquire(timeout=self._timeout):
            raise VaultError(late)
        try:
            data = asyncio.run(self._data(path))
        except TimeoutError:
            raise VaultError(late) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
            why = "its certificate is not trusted" if untrusted else f"it was not reached ({type(error).__name__})"
            raise VaultError(f"Vault could not be asked for {path}: {why}") from None
        finally:
            self._lock.release()
        value = data.get(name)
        if value is None:
            raise VaultError(f"Vault has no field {name} at {path}")
        if not isinstance(value, str):
            raise VaultError(f"the field {name} at {path} of Vault is not text")
        return value

    def forget(self, path: str) -> None:
        """Have a leased secret issued anew at the next read: it was refused. Not more often than once in a minute."""
        lease = self._leases.get(path)
        if lease is not None and self._clock() >= lease.since + PAUSE:
            self._leases.pop(path, None)

    async def _data(self, path: str) -> Mapping[str, Any]:
        lease = self._leases.get(path)
        async with asyncio.timeout(self._timeout), self._client() as http:
            token = await self._current(http)
            # A lease ends with the token that it was issued to, so a new token has dropped it by now.
            if lease is not None and self._leases.get(path) is lease and self._clock() < lease.until:
                return lease.data
            answer = await self._ask(http, "GET", path, token.value)
            if answer.status == 403 and (other := await self._replaced(http, token)):
                answer = await self._ask(http, "GET", path, other.value)
        if answer.status != 200:
            raise _refused(answer, path)
        data = answer.member("data")
        if answer.body.get("lease_id") and (life := answer.seconds(answer.body, "lease_duration")):
            self._leases[path] = _Lease(data, self._clock(), self._clock() + life / 2)
        versioned = isinstance(data.get("metadata"), dict) and "version" in data["metadata"]
        inner: Mapping[str, Any] = data["data"] if versioned and isinstance(data.get("data"), dict) else data
        return inner

    async def _current(self, http: httpx.AsyncClient) -> _Token:
        """Return a token that is good as far as we know: the one we have, renewed when half of its life is over."""
        token = await self._of_file(http) if self._login.method == "token" else self._token
        if token is None:
            return await self._logged_in(http)
        if self._clock() < token.due or (token.renewable and await self._renewed(http, token)):
            return token
        token.due = self._clock() + PAUSE
        if self._login.method == "token":
            return token
        try:
            return await self._logged_in(http)
        except VaultError:
            if self._clock() >= token.end:
                raise
            return token

    async def _of_file(self, http: httpx.AsyncClient) -> _Token:
        """Return the token that the file holds now. Vault is asked once for each how long it lives."""
        value = self._login.shown()["token"]
        if self._token is None or self._token.value != value:
            known.remember(value)
            answer = await self._ask(http, "GET", "auth/token/lookup-self", value)
            if answer.status not in (200, 403):  # 403: it may read secrets, but not look at itself; or nothing
                raise _refused(answer, "auth/token/lookup-self")
            found = answer.member("data")
            return self._take(value, answer.seconds(found, "ttl"), renewable=found.get("renewable") is True)
        return self._token

    async def _logged_in(self, http: httpx.AsyncClient) -> _Token:
        shown = self._login.shown() | ({"role": self._login.role} if self._login.role else {})
        for name in {"secret_id", "jwt"} & shown.keys():
            known.remember(shown[name])
        answer = await self._ask(http, "POST", self._login.path, None, shown)
        granted = answer.member("auth")
        value = granted.get("client_token")
        if answer.status != 200 or not isinstance(value, str):
            raise _refused(answer, self._login.path, "it does not know who we say we are")
        known.remember(value)
        return self._take(value, answer.seconds(granted, "lease_duration"), renewable=granted.get("renewable") is True)

    async def _renewed(self, http: httpx.AsyncClient, token: _Token) -> bool:
        """Renew the token and say whether that gave it a life worth having: near its greatest age it does not."""
        answer = await self._ask(http, "POST", "auth/token/renew-self", token.value, {})
        life = answer.seconds(answer.member("auth"), "lease_duration") if answer.status == 200 else 0.0
        if life < token.life / 2:
            return False
        token.due, token.end = self._clock() + life / 2, self._clock() + life
        return True

    async def _replaced(self, http: httpx.AsyncClient, refused: _Token) -> _Token | None:
        """Return another token in place of a refused one: it may have been revoked, or it may not read this path."""
        if self._login.method == "token":
            other = await self._of_file(http)
            return other if other is not refused else None
        if self._clock() < refused.since + PAUSE:
            return None
        return await self._logged_in(http)

    def _take(self, value: str, granted: float, *, renewable: bool) -> _Token:
        self._leases.clear()
        now, life = self._clock(), granted or math.inf
        self._token = _Token(value, life, now, renewable, due=now + life / 2, end=now + life)
        return self._token

    def _client(self) -> httpx.AsyncClient:
        verify = self._trusted if self._address.startswith("https:") else False
        return httpx.AsyncClient(
            timeout=None,  # noqa: S113 - one deadline is over all of it
            follow_redirects=False,
            trust_env=False,
            verify=verify,
            headers=self._headers,
        )

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_file or None)
        except OSError:
            raise VaultError("HOLDGATE_VAULT_CA_FILE holds no certificates that can be read") from None

    async def _ask(
        self, http: httpx.AsyncClient, method: str, path: str, token: str | None, shown: dict[str, str] | None = None
    ) -> _Answer:
        headers = {"X-Vault-Token": token} if token else {}
        read = bytearray()
        async with http.stream(method, f"{self._address}/v1/{path}", headers=headers, json=shown) as response:
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) > LARGEST:
                    raise VaultError(f"Vault answered more than {LARGEST >> 20} MiB for {path}")
        try:
            parsed = json.loads(read)
        except (ValueError, RecursionError):
            parsed = None
        if response.status_code == 200 and not isinstance(parsed, dict):
            raise VaultError(f"what answers for {path} is not Vault: no JSON object came")
        return _Answer(response.status_code, parsed if isinstance(parsed, dict) else {})


def _checked(address: str) -> str:
    """Return the address without a slash at its end. Raises ValueError."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        sound = parts.hostname and not (parts.query or parts.fragment or "@" in parts.netloc) and parts.port != 0
        if sound and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
            return address.rstrip("/")
    msg = "must be https://HOST:PORT, or http:// to this machine alone"
    raise ValueError(msg)


def _line_of(path: str) -> str:
    try:
        with Path(path).open(encoding="ascii") as file:
            text = file.read(LARGEST).strip()
    except (OSError, UnicodeDecodeError):
        raise VaultError(f"the file {path}, which the gateway shows to Vault, cannot be read") from None
    if not text or not text.isprintable():
        raise VaultError(f"the file {path}, which the gateway shows to Vault, is not one line of text")
    return text


def _refused(answer: _Answer, path: str, forbidden: str = "") -> VaultError:
    """Return the error for an answer. Vault's own words are not repeated, only known ones are looked for."""
    said = _SAID.get(answer.status, "")
    if 300 <= answer.status < 400:
        said = "redirects are not followed; HOLDGATE_VAULT_ADDR must name the active server, or what finds it"
    elif answer.status in (400, 403) and forbidden:
        said = forbidden
    elif answer.status == 404 and answer.member("data").get("metadata"):
        said = "the newest version there is deleted"
    elif answer.status == 404 and "versioned K/V" in str(answer.body.get("warnings")):
        said = "the path of a KV engine of version 2 has `data` after its mount, as in secret/data/orders"
    return VaultError(f"Vault answered {answer.status} for {path}{': ' if said else ''}{said}")
