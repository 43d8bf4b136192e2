"""Signing in at a SAML identity provider of another make than our library, npm's `samlify`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from approvals.models import Person
from approvals.runtime import Runtime
from approvals.second_factor import SignIn
from gatewayproj import saml, saml_keys
from tests import services
from tests.held import anonymous, house, publish_policy
from tests.saml_attacks import EVIL, edited
from tests.saml_partner import PERSON, START, answered, posted, program_needed

__all__ = ["house"]
pytestmark = pytest.mark.needs_node


@pytest.fixture
def provider(house: Runtime, tmp_path: Path) -> Iterator[str]:
    """The entity id of the running provider, which is the issuer of the policy in force and knows us."""
    program_needed()
    node = services.node()
    if node is None or not (services.NODE_PROJECT / "node_modules" / "samlify").is_dir():
        services.missing("Node.js with samlify", "HOLDGATE_REQUIRE_NODE")
    saml._metadata.clear()
    command = [node, "saml_provider.mjs", *map(str, saml_keys.files(tmp_path))]
    with subprocess.Popen(
        command, cwd=services.NODE_PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            entity = f"{address}/metadata"
            issuer = {"name": "corp", "issuer": entity, "login": True, "groups_claim": "groups"}
            publish_policy(
                issuers=[{**issuer, "saml": {"metadata": entity}}], people=[], roles={}, connections={}, rules=[]
            )
            ours = anonymous().get(f"{START}metadata/").content
            requests.post(f"{address}/partner", data=ours, timeout=20).raise_for_status()
            yield entity
        finally:
            process.communicate()


def test_a_person_signs_in(provider: str) -> None:
    client = anonymous()

    answer = posted(client, answered(client))

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    person = Person.objects.get()
    assert (person.iss, person.sub, person.display) == (provider, PERSON, "Alice Ames")
    assert person.issuer_groups == ["corp/engineering"]
    kept = SignIn.kept(client.session)
    assert kept is not None
    assert kept.acr == "https://refeds.org/profile/mfa"


def test_nobody_signs_in_by_what_was_altered(provider: str) -> None:
    client = anonymous()

    assert posted(client, edited(answered(client), lambda xml: xml.replace(PERSON, EVIL))).status_code == 403
    assert not Person.objects.exists()
