"""SAML 2.0 as a service provider, by pysaml2 and the program xmlsec1 (the extra `saml`).

The library checks signatures, schema, times, audience, recipient and what an assertion answers. Where it is content
with something that is left out, or looks at one of several, `_strict` is not.
"""

from __future__ import annotations

import calendar
import json
import logging
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from gatewayproj import saml_keys
from gatewayproj.provider import FRESH_SECONDS, SignInFailed, fetch
from proxy.jwks import MAX_DOCUMENT_BYTES
from proxy.tokens import MAX_SUBJECT_LENGTH, SignedClaims

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from approvals.config.schema import Issuer

MAX_RESPONSE_CHARACTERS = 512 * 1024
SKEW_SECONDS = 60
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_XMLDSIG = "http://www.w3.org/2001/04/xmldsig-more#"
SIGNATURES = frozenset(f"{_XMLDSIG}{kind}-sha{bits}" for kind in ("rsa", "ecdsa") for bits in (256, 384, 512))
DIGESTS = frozenset(
    {
        "http://www.w3.org/2001/04/xmlenc#sha256",
        f"{_XMLDSIG}sha384",
        "http://www.w3.org/2001/04/xmlenc#sha512",
    }
)
# What is told by the assertion itself, whatever an attribute is called.
_OWN = ("iss", "sub", "auth_time", "acr", "amr", "email_verified", "_claim_names")
# The library logs whole assertions, and one of its own tells of every schema. Why somebody was not signed in is told by
# our own line.
for _talker in ("saml2", "xmlschema"):
    logging.getLogger(_talker).setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the identity provider finds us: entity id and address of the metadata, and where its answers go."""

    metadata: str
    consumer: str
    logout: str


@dataclass(frozen=True, slots=True, repr=False)
class Accepted:
    """A sound assertion: of whom, under which id until when, what it answers, and how to end its session there."""

    claims: SignedClaims
    id: str
    until: float
    answers: str
    farewell: str


def begin(issuer: Issuer, place: Place, *, fresh: bool) -> tuple[str, str]:
    """Return the id of a new request to sign in and the address that carries it. Raises SignInFailed."""
    asked: dict[str, Any] = {"force_authn": "true"} if fresh else {}
    if fresh and issuer.factors.ask:
        asked["requested_authn_context"] = {"authn_context_class_ref": list(issuer.factors.ask), "comparison": "exact"}
    wanted = PERSISTENT if issuer.saml and issuer.saml.subject is None else ""
    client = _client(issuer, place, signs=True)
    try:
        request, sent = client.prepare_for_authenticate(
            issuer.issuer, binding=REDIRECT, response_binding=POST, nameid_format=wanted, **asked
        )
        return request, dict(sent["headers"])["Location"]
    except Exception as error:
        msg = f"the request could not be made: {type(error).__name__}"
        raise SignInFailed(msg) from error


def accept(issuer: Issuer, place: Place, response: str, waiting: Collection[str]) -> Accepted:
    """Check a response of the identity provider that was posted to us, base64 as it came.

    `waiting` are the ids of the requests that this browser was sent away with. Raises SignInFailed.
    """
    if len(response) > MAX_RESPONSE_CHARACTERS:
        raise SignInFailed("the response is too large")
    client = _client(issuer, place, signs=False)
    try:
        parsed = client.parse_authn_request_response(response, POST, outstanding=dict.fromkeys(waiting, "/"))
    except Exception as error:
        msg = f"the response is not sound: {type(error).__name__}"
        raise SignInFailed(msg) from error
    if parsed is None:
        raise SignInFailed("there is no response")
    return _strict(issuer, place, parsed, waiting)


def _strict(issuer: Issuer, place: Place, parsed: Any, waiting: Collection[str]) -> Accepted:
    """Take nothing for granted that the library leaves to chance. Raises SignInFailed."""
    assertions = parsed.response.assertion
    if len(assertions) != 1 or parsed.response.encrypted_assertion or assertions[0] is not parsed.assertion:
        raise SignInFailed("the response does not hold exactly one assertion")
    assertion = assertions[0]
    _require(assertion.issuer is not None and assertion.issuer.text == issuer.issuer, "it is of another issuer")
    _require(_is_signed_well(assertion), "the assertion is not signed in a way that is accepted here")
    conditions = assertion.conditions
    restrictions = conditions.audience_restriction if conditions is not None else []
    named = [{audience.text for audience in one.audience} for one in restrictions]
    _require(bool(named) and all(place.metadata in one for one in named), "it is not meant for us alone")
    confirmed = list(_confirmed_until(assertion, place))
    _require(len(confirmed) == 1, "its subject is not confirmed by exactly one bearer")
    until, answers = confirmed[0]
    asked_for = answers in waiting and parsed.in_response_to == answers
    unasked = not answers and not parsed.in_response_to and bool(issuer.saml and issuer.saml.unsolicited)
    _require(asked_for or unasked, "nobody in this browser asked for it")
    return Accepted(
        claims=_claims(issuer, parsed),
        id=str(assertion.id),
        until=until + SKEW_SECONDS,
        answers=answers,
        farewell=_farewell(assertion),
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SignInFailed(otherwise)


def _is_signed_well(assertion: Any) -> bool:
    if assertion.signature is None:
        return False
    info = assertion.signature.signed_info
    references = info.reference
    return (
        info.signature_method.algorithm in SIGNATURES
        and len(references) == 1
        and references[0].uri == f"#{assertion.id}"
        and references[0].digest_method.algorithm in DIGESTS
    )


def _confirmed_until(assertion: Any, place: Place) -> Iterator[tuple[float, str]]:
    """Yield until when, and in answer to what, each confirmation of the subject holds (saml-profiles §4.1.4.2)."""
    for confirmation in assertion.subject.subject_confirmation:
        data = confirmation.subject_confirmation_data
        if confirmation.method != BEARER or data is None or not data.not_on_or_after:
            raise SignInFailed("its subject is confirmed in another way")
        _require(data.recipient == place.consumer, "it was meant for another address")
        yield _seconds(data.not_on_or_after), data.in_response_to or ""


def _claims(issuer: Issuer, parsed: Any) -> SignedClaims:
    """Say of an assertion what an identity token would say, so that both give groups and names in one way."""
    saml, assertion = issuer.saml, parsed.assertion
    if saml is None:
        raise SignInFailed("the issuer does not speak SAML")
    said = _attributes(parsed)
    name = assertion.subject.name_id
    if saml.subject is not None:
        subject = _single(said.get(saml.subject))
    else:
        _require(name is not None and name.format == PERSISTENT, "its NameID is not persistent; name saml.subject")
        subject = (name.text or "").strip()
    _require(
        bool(subject) and len(subject) <= MAX_SUBJECT_LENGTH and subject.isprintable(), "it names no usable subject"
    )
    statement = assertion.authn_statement[0]
    context = statement.authn_context.authn_context_class_ref if statement.authn_context else None
    own = {
        "iss": issuer.issuer,
        "sub": subject,
        "email": _single(said.get(saml.email)),
        "name": _single(said.get(saml.display)),
        "auth_time": _seconds(statement.authn_instant),
        "acr": context.text if context is not None else "",
    }
    return SignedClaims({**{key: value for key, value in said.items() if key not in _OWN}, **own})


def _attributes(parsed: Any) -> dict[str, list[str]]:
    """Return the attributes under every name that they have: the library's, the friendly one, and the full one."""
    found: dict[str, list[str]] = {key: [str(text) for text in values] for key, values in parsed.get_identity().items()}
    for statement in parsed.assertion.attribute_statement:
        for attribute in statement.attribute:
            values = [value.text or "" for value in attribute.attribute_value]
            for key in (attribute.friendly_name, attribute.name):
                if key:
                    found[key] = values
    return found


def _single(values: list[str] | None) -> str:
    return values[0].strip() if values and len(values) == 1 else ""


def _seconds(moment: str) -> float:
    from saml2.time_util import str_to_time

    return float(calendar.timegm(str_to_time(moment)))


def _farewell(assertion: Any) -> str:
    name, statement = assertion.subject.name_id, assertion.authn_statement[0]
    if name is None:
        return ""
    return json.dumps({"name": name.to_string().decode(), "session": statement.session_index or ""})


def end_session_address(issuer: Issuer, place: Place, farewell: str) -> str:
    """Return where the browser goes to end its session at the identity provider, by redirect (saml-profiles §4.4).

    Empty when the provider has no such place, or did not name the session. Raises SignInFailed.
    """
    from saml2.saml import name_id_from_string

    client, kept = _client(issuer, place, signs=True), json.loads(farewell or "{}")
    services = client.metadata.single_logout_service(issuer.issuer, REDIRECT, "idpsso") if kept else None
    if not services:
        return ""
    address = services[0]["location"]
    _, request = client.create_logout_request(
        address,
        issuer.issuer,
        name_id=name_id_from_string(kept["name"]),
        session_indexes=[kept["session"]] if kept["session"] else None,
        sign=False,  # of a redirect the address is signed, not the XML
    )
    sent = client.apply_binding(REDIRECT, str(request), address, sign=True)
    return str(dict(sent["headers"])["Location"])


def logged_out(issuer: Issuer, place: Place, query: dict[str, str]) -> tuple[str, str]:
    """Check a request of the identity provider to end a session here; return the subject's NameID and our answer.

    The answer is an address for the browser, empty when the provider wants none. Raises SignInFailed.
    """
    client = _client(issuer, place, signs=True)
    try:
        request = client.parse_logout_request(
            query["SAMLRequest"],
            REDIRECT,
            relay_state=query.get("RelayState"),
            sigalg=query["SigAlg"],
            signature=query["Signature"],
        )
        message = request.message
        _require(message.issuer.text == issuer.issuer, "it is of another issuer")
        _require(query["SigAlg"] in SIGNATURES, "it is not signed in a way that is accepted here")
        response = client.create_logout_response(message, [REDIRECT], sign=False)
        address = client.pick_binding("single_logout_service", [REDIRECT], request=message)[1]
        sent = client.apply_binding(
            REDIRECT, str(response), address, query.get("RelayState", ""), response=True, sign=True
        )
    except SignInFailed:
        raise
    except Exception as error:
        msg = f"the request to sign out is not sound: {type(error).__name__}"
        raise SignInFailed(msg) from error
    return str(message.name_id.text), str(dict(sent["headers"])["Location"])


def metadata(issuer: Issuer, place: Place) -> bytes:
    """Return our own metadata for the administrator of the identity provider. Raises SignInFailed."""
    from saml2.metadata import entity_descriptor

    return bytes(entity_descriptor(_configuration(issuer, place, known=False)).to_string())


def _client(issuer: Issuer, place: Place, *, signs: bool) -> Any:
    """Make a client for one request; the library's own cache of people would grow for ever."""
    configuration = _configuration(issuer, place, known=True, signs=signs)
    from saml2.client import Saml2Client

    return Saml2Client(config=configuration)


def _configuration(issuer: Issuer, place: Place, *, known: bool, signs: bool = False) -> Any:
    program = shutil.which("xmlsec1")
    if program is None:
        raise SignInFailed("the program xmlsec1 is not installed")
    try:
        from saml2.config import SPConfig
    except ImportError as error:
        raise SignInFailed("pysaml2 is not installed; it comes with requirements/saml.txt") from error
    key, certificate = saml_keys.files(Path(settings.STATE_DIR))
    document: dict[str, Any] = {
        "entityid": place.metadata,
        "xmlsec_binary": program,
        # Reading it costs more than all the rest: the library does it twice for each client, with all checks.
        **({"key_file": str(key)} if signs else {}),
        "cert_file": str(certificate),
        "accepted_time_diff": SKEW_SECONDS,
        "allow_unknown_attributes": True,
        "metadata": {"inline": [_metadata_of(issuer)]} if known else {},
        "service": {
            "sp": {
                "name": "Holdgate",
                "endpoints": {
                    "assertion_consumer_service": [(place.consumer, POST)],
                    "single_logout_service": [(place.logout, REDIRECT)],
                },
                "signing_algorithm": f"{_XMLDSIG}rsa-sha256",
                "digest_algorithm": "http://www.w3.org/2001/04/xmlenc#sha256",
                "authn_requests_signed": True,
                "logout_requests_signed": True,
                "want_assertions_signed": True,
                "want_response_signed": False,
                "allow_unsolicited": bool(issuer.saml and issuer.saml.unsolicited),
            }
        },
    }
    try:
        return SPConfig().load(document)
    except Exception as error:
        msg = f"the metadata of the provider cannot be used: {type(error).__name__}"
        raise SignInFailed(msg) from error


_metadata: dict[str, tuple[float, str]] = {}
_metadata_lock = threading.Lock()


def _metadata_of(issuer: Issuer) -> str:
    """Return the provider's metadata, read again after ten minutes. Raises SignInFailed."""
    address = issuer.saml.metadata if issuer.saml else ""
    with _metadata_lock:
        until, text = _metadata.get(address, (0.0, ""))
        if time.monotonic() < until:
            return text
    text = _read(address)
    with _metadata_lock:
        _metadata[address] = (time.monotonic() + FRESH_SECONDS, text)
    return text


def _read(address: str) -> str:
    try:
        if address.startswith("file:"):
            with Path(address[5:]).open("rb") as file:
                body = file.read(MAX_DOCUMENT_BYTES + 1)
        else:
            body = fetch("GET", address)
        if len(body) > MAX_DOCUMENT_BYTES:
            raise SignInFailed("the metadata of the provider are too large")
        return body.decode()
    except (OSError, ValueError) as error:
        msg = f"the metadata of the provider cannot be read: {type(error).__name__}"
        raise SignInFailed(msg) from error
