"""Signing in by SAML 2.0 at a real identity provider, pysaml2's own, and everything that must not sign anybody in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client

from approvals.config.loader import ConfigError, load
from approvals.models import Person, UsedAssertion
from approvals.runtime import Runtime, runtime
from approvals.second_factor import SignIn
from approvals.standing import caller_of
from gatewayproj import saml
from tests.held import anonymous, bearer, house, policy_text, publish_policy
from tests.issuer import running_issuer
from tests.saml_attacks import WRAPPED, edited, parts
from tests.saml_partner import PERSON, START, Partner, answered, form, ours, posted, running_partner

__all__ = ["house"]
MFA = "https://refeds.org/profile/mfa"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partner]:
    """One identity provider for all tests of this file."""
    with running_partner(tmp_path_factory.mktemp("idp")) as running:
        yield running


def entry(partner: Partner, **more: Any) -> dict[str, Any]:
    """Return the provider as an issuer of the configuration; `more` are members of its `saml`."""
    spoken = {"metadata": partner.entity, **more}
    return {"name": "corp", "issuer": partner.entity, "login": True, "groups_claim": "groups", "saml": spoken}


def configure(issuer: dict[str, Any]) -> None:
    publish_policy(issuers=[issuer], people=[], roles={"auditor": ["corp/audit"]}, connections={}, rules=[])


@pytest.fixture
def corp(process: Partner, house: Runtime) -> Partner:
    """The provider, known to us and we to it, with Alice at the browser."""
    saml._metadata.clear()
    configure(entry(process))
    process.know(anonymous())
    process.present()
    return process


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def refused(client: Client, fields: dict[str, str]) -> None:
    answer = posted(client, fields)
    assert (answer.status_code, b"The sign-in did not work." in answer.content) == (403, True)
    assert not is_signed_in(client)
    assert not Person.objects.exists()


def test_a_person_is_the_entity_and_the_persistent_name(corp: Partner) -> None:
    client = anonymous()

    answer = posted(client, answered(client))

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    person = Person.objects.get()
    assert (person.iss, person.sub, person.display) == (corp.entity, PERSON, "Alice Ames")
    assert person.email == ""  # nobody said that it was verified
    assert person.issuer_groups == ["corp/audit", "corp/engineering"]
    assert "corp/audit" in caller_of(person, runtime().policies.current.policy).groups
    assert is_signed_in(client)
    assert corp.seen()[-1] == {
        "force": None,
        "ask": [],
        "format": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    }


def test_an_address_counts_where_the_provider_is_trusted_with_addresses(corp: Partner) -> None:
    configure({**entry(corp), "trust_email": True})
    client = anonymous()
    posted(client, answered(client))

    assert Person.objects.get().email == "alice@example.com"


def test_a_configured_attribute_may_be_the_person(corp: Partner) -> None:
    configure(entry(corp, subject="uid"))
    corp.present(tweak="transient", attributes={"uid": ["u-1"]})
    client = anonymous()
    posted(client, answered(client))

    assert Person.objects.get().sub == "u-1"


@pytest.mark.parametrize("values", [[], ["u-1", "u-2"], [" "]])
def test_no_single_subject_is_nobody(values: list[str], corp: Partner) -> None:
    configure(entry(corp, subject="uid"))
    corp.present(attributes={"uid": values})
    client = anonymous()

    refused(client, answered(client))


TWEAKS = [
    "unsigned", "sha1", "audience", "no_conditions", "no_audience", "expired", "expired_confirmation", "endless",
    "early", "recipient", "answers_another", "another_issuer", "vouched", "vouched_beside", "transient", "by_address",
    "nameless",
]  # fmt: skip


@pytest.mark.parametrize("tweak", TWEAKS)
def test_what_is_wrong_in_an_assertion_signs_nobody_in_though_the_provider_signed_it(tweak: str, corp: Partner) -> None:
    corp.present(tweak=tweak)
    client = anonymous()

    refused(client, answered(client))


@pytest.mark.parametrize("how", WRAPPED)
def test_what_was_changed_on_the_way_signs_nobody_in(how: str, corp: Partner) -> None:
    client = anonymous()
    fields = answered(client)

    refused(client, edited(fields, lambda xml: WRAPPED[how](*parts(xml))))


def test_a_comment_that_no_signature_covers_cuts_no_name_short(corp: Partner) -> None:
    corp.present(name=f"{PERSON}.evil")
    client = anonymous()
    fields = edited(answered(client), lambda xml: xml.replace(f"{PERSON}.evil", f"{PERSON}<!---->.evil"))

    posted(client, fields)

    assert not Person.objects.filter(sub=PERSON).exists()


@pytest.mark.parametrize("response", ["", "%%%", "A" * 600_000])
def test_a_response_that_is_none_is_a_page(response: str, corp: Partner) -> None:
    client = anonymous()
    fields = answered(client)

    refused(client, {**fields, "SAMLResponse": response})


def test_an_assertion_serves_once_and_only_in_the_browser_that_asked(corp: Partner) -> None:
    mine, theirs = anonymous(), anonymous()
    fields = answered(mine)
    theirs.get(START)

    assert posted(theirs, fields).status_code == 403
    assert posted(mine, fields).status_code == 302
    assert posted(mine, fields).status_code == 403
    mine.post("/sign-out/")
    assert posted(mine, fields).status_code == 403


def test_a_response_that_nobody_asked_for_is_taken_only_where_that_is_configured_and_once(corp: Partner) -> None:
    fields = form(requests.get(f"{corp.url}/unasked", timeout=20).text)
    refused(anonymous(), fields)
    configure(entry(corp, unsolicited=True))
    client = anonymous()

    assert posted(client, fields).status_code == 302
    assert UsedAssertion.objects.count() == 1
    assert posted(anonymous(), fields).status_code == 403


def test_where_unasked_ones_are_taken_one_that_somebody_else_asked_for_is_not(corp: Partner) -> None:
    configure(entry(corp, unsolicited=True))
    theirs = answered(anonymous())

    refused(anonymous(), theirs)


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ("/sessions/", "/sessions/"),
        ("https://evil.example.com/", "/"),
        ("//evil.example.com/", "/"),
        ("/\\evil.example.com/", "/"),
        ("javascript:alert(1)", "/"),
        ("sessions", "/"),
        ("", "/"),
    ],
)
def test_the_relay_state_leads_to_our_own_paths_only(state: str, where: str, corp: Partner) -> None:
    configure(entry(corp, unsolicited=True))
    corp.present(state=state)
    fields = form(requests.get(f"{corp.url}/unasked", timeout=20).text)

    assert posted(anonymous(), fields).headers["Location"] == where


def test_one_goes_where_one_wanted_to_but_never_to_another_site(corp: Partner) -> None:
    one, other = anonymous(), anonymous()
    corp.present(state="/elsewhere/")

    assert posted(one, answered(one, f"{START}?next=/sessions/")).headers["Location"] == "/sessions/"
    assert posted(other, answered(other, f"{START}?next=//evil.example.com/")).headers["Location"] == "/"


def test_a_fresh_sign_in_asks_for_all_factors_and_keeps_what_was_shown(corp: Partner) -> None:
    configure({**entry(corp), "second_factor": {"ask": [MFA]}})
    corp.present(acr=MFA)
    client = anonymous()

    posted(client, answered(client, f"{START}?fresh=1"))

    assert (corp.seen()[-1]["force"], corp.seen()[-1]["ask"]) == ("true", [MFA])
    kept = SignIn.kept(client.session)
    assert kept is not None
    assert (kept.iss, kept.sub, kept.acr) == (corp.entity, PERSON, MFA)
    assert kept.at > 0


def test_signing_in_gives_the_session_a_new_key(corp: Partner) -> None:
    client = anonymous()
    fields = answered(client)
    before = client.session.session_key

    posted(client, fields)

    assert client.session.session_key != before


def test_a_deactivated_person_stays_outside(corp: Partner) -> None:
    Person.objects.create(iss=corp.entity, sub=PERSON, is_active=False)
    client = anonymous()

    assert posted(client, answered(client)).status_code == 403


def test_signing_out_goes_on_to_the_provider_and_comes_back(corp: Partner) -> None:
    client = anonymous()
    posted(client, answered(client))

    page = client.post("/sign-out/")

    assert not is_signed_in(client)
    back = requests.get(page.headers["Refresh"].removeprefix("0; url="), allow_redirects=False, timeout=20)
    assert corp.seen()[-1] == {"logout": PERSON}
    assert client.get(ours(back.headers["Location"])).headers["Location"] == "/sign-in/"


def test_the_provider_ends_all_sessions_of_a_person(corp: Partner) -> None:
    one, other = anonymous(), anonymous()
    for client in (one, other):
        posted(client, answered(client))

    back = anonymous().get(corp.end())

    assert back.status_code == 302
    assert urlsplit(back.headers["Location"]).path == "/slo"
    assert all(client.get("/").status_code == 302 for client in (one, other))


@pytest.mark.parametrize("change", ["unsigned", "altered"])
def test_nobody_else_ends_sessions(change: str, corp: Partner) -> None:
    client = anonymous()
    posted(client, answered(client))
    path = corp.end(sign=change != "unsigned")
    if change == "altered":
        at = path.index("SAMLRequest=") + 60
        path = path[:at] + ("B" if path[at] == "A" else "A") + path[at + 1 :]

    assert anonymous().get(path).status_code == 400
    assert client.get("/").status_code == 200


def test_where_people_are_known_by_an_attribute_no_name_ends_a_session(corp: Partner) -> None:
    configure(entry(corp, subject="uid"))

    assert anonymous().get(corp.end()).status_code == 400


def test_our_metadata_is_for_everybody_and_holds_no_secret(corp: Partner) -> None:
    page = anonymous().get(f"{START}metadata/")

    assert page.headers["Content-Type"] == "application/samlmetadata+xml"
    assert b'entityID="http://localhost/sign-in/saml/corp/metadata/"' in page.content
    assert b'WantAssertionsSigned="true"' in page.content
    assert b"PRIVATE KEY" not in page.content


def test_what_we_ask_is_signed_by_a_strong_algorithm(corp: Partner) -> None:
    query = parse_qs(urlsplit(anonymous().get(START).headers["Location"]).query)

    assert query["SigAlg"] == ["http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"]
    assert query.keys() >= {"SAMLRequest", "Signature"}


def test_the_button_leads_to_the_provider(corp: Partner) -> None:
    assert f'href="{START}"' in anonymous().get("/sign-in/").content.decode()


@pytest.mark.parametrize("text", ["", "<html>", "<EntitiesDescriptor/>", None])
def test_metadata_that_cannot_be_used_are_a_page_and_no_fault(text: str | None, corp: Partner, tmp_path: Path) -> None:
    file = tmp_path / "corp.xml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    configure(entry(corp, metadata=f"file:{file}"))

    assert anonymous().get(START).status_code == 503


def test_without_xmlsec_it_is_a_page_and_no_fault(
    corp: Partner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert anonymous().get(START).status_code == 503


def test_an_answer_from_another_site_reaches_no_other_page(corp: Partner) -> None:
    foreign = Client(headers={"host": "localhost", "origin": "https://idp.example.com"})

    assert foreign.post(f"{START}acs/", {"SAMLResponse": "x"}).status_code == 200
    assert foreign.post("/sign-out/").status_code == 403
    assert foreign.get(START).status_code == 403


def test_a_bearer_token_of_a_saml_issuer_is_none(house: Runtime) -> None:
    with running_issuer() as issuer:
        metadata = {"metadata": "file:/etc/holdgate/corp.xml"}
        configure({"name": "corp", "issuer": issuer.url, "login": True, "saml": metadata})

        assert bearer(f"Bearer {issuer.token('alice')}").get("/api/v1/approvals/").status_code == 401
        assert issuer.counts.total() == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"login": False}, "needs login: true"),
        ({"audiences": ["holdgate"]}, "belongs to issuers of tokens"),
        ({"saml": {"metadata": "https://idp.example.com/", "subject": "mail"}}, "must not be the e-mail address"),
        ({"saml": {"metadata": "file:corp.xml"}}, "must name a file by its absolute path"),
        ({"saml": {}}, "metadata"),
        ({"issuer": "urn:corp", "saml": None}, "absolute http or https address"),
    ],
    ids=str,
)
def test_the_configuration_says_what_is_wrong(change: dict[str, Any], problem: str) -> None:
    whole = {"name": "corp", "issuer": "urn:corp", "login": True, "saml": {"metadata": "https://idp.example.com/"}}
    issuer = {key: value for key, value in {**whole, **change}.items() if value is not None}
    blocks: dict[str, Any] = {"people": [], "roles": {}, "connections": {}, "rules": []}

    load(policy_text(issuers=[whole], **blocks))
    with pytest.raises(ConfigError, match=problem):
        load(policy_text(issuers=[issuer], **blocks))
