"""The running SAML identity provider of `tests.saml_idp`, and a browser between it and us."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from django.http import HttpResponse
from django.test import Client

from tests import services

START = "/sign-in/saml/corp/"
PERSON = "p-4711"
ATTRIBUTES = {"mail": ["alice@example.com"], "displayName": ["Alice Ames"], "groups": ["engineering", "audit"]}


@dataclass
class Partner:
    """The provider as tests see it."""

    url: str
    is_introduced: bool = False

    @property
    def entity(self) -> str:
        """Its entity id, which is where its metadata are."""
        return f"{self.url}/metadata"

    def present(self, name: str = PERSON, **said: Any) -> None:
        """Choose who sits at the browser and what is said of them; `tweak` makes that wrong."""
        self._tell("present", json.dumps({"name": name, "attributes": ATTRIBUTES, **said}))

    def know(self, client: Client) -> None:
        """Give it our metadata, which are the same in every test."""
        if not self.is_introduced:
            self.introduce(client.get(f"{START}metadata/").content.decode())

    def introduce(self, metadata: str) -> None:
        """Give it the metadata of its one service provider."""
        self._tell("partner", metadata)
        self.is_introduced = True

    def seen(self) -> list[dict[str, Any]]:
        """Return what it was asked for."""
        found: list[dict[str, Any]] = json.loads(self._tell("seen", ""))
        return found

    def end(self, name: str = PERSON, *, sign: bool = True) -> str:
        """Return the path by which a browser tells us that the session at the provider has ended."""
        return ours(self._tell("end", json.dumps({"name": name, "sign": sign})))

    def _tell(self, what: str, body: str) -> str:
        answer = requests.post(f"{self.url}/test/{what}", data=body.encode(), timeout=20)
        answer.raise_for_status()
        return answer.text


def ours(address: str) -> str:
    """Return an address of the gateway under test as the path that Django's client wants."""
    assert address.startswith("http://localhost/"), address
    return address.removeprefix("http://localhost")


def program_needed() -> None:
    """Skip, or fail under HOLDGATE_REQUIRE_XMLSEC=1, where xmlsec1 is missing."""
    if shutil.which("xmlsec1") is None:
        services.missing("xmlsec1", "HOLDGATE_REQUIRE_XMLSEC")


@contextmanager
def running_partner(folder: Path) -> Iterator[Partner]:
    """Run the provider; skips where xmlsec1 is missing."""
    program_needed()
    command = [sys.executable, "-m", "tests.saml_idp", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Partner(process.stdout.readline().strip())
        finally:
            process.communicate()


def form(page: str) -> dict[str, str]:
    """Return the hidden fields of a page."""
    return {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)"\s+value="([^"]*)"', page)}


def answered(client: Client, path: str = START) -> dict[str, str]:
    """Go to the provider and return the form that it has the browser post to us."""
    sent = client.get(path)
    assert sent.status_code == 302, sent.content
    page = requests.get(sent.headers["Location"], timeout=20)
    page.raise_for_status()
    return form(page.text)


def posted(client: Client, fields: dict[str, str]) -> HttpResponse:
    """Post the provider's form as browsers do: first from another site and without our cookie, then from our page."""
    elsewhere = Client(headers={"host": "localhost", "origin": "https://idp.example.com"})
    page = elsewhere.post(f"{START}acs/", fields)
    assert page.status_code == 200, page.content
    again: Any = client.post(f"{START}acs/", form(page.content.decode()))
    response: HttpResponse = again
    return response
