"""A SAML 2.0 identity provider: pysaml2's own server as a process of its own on loopback, told by tests what to say.

`python -m tests.saml_idp FOLDER` prints its address and serves until its standard input ends. What it signs may be
wrong on purpose (`tweak`), never by accident: `create_authn_response` makes the sound one.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

warnings.simplefilter("ignore")  # a library of its dependencies moves ciphers about

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, class_name, saml  # noqa: E402
from saml2.config import IdPConfig  # noqa: E402
from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID, SubjectConfirmation  # noqa: E402
from saml2.server import Server  # noqa: E402
from saml2.sigver import pre_signature_part  # noqa: E402

from gatewayproj import saml_keys  # noqa: E402

PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
RSA_SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


def moment(minutes: float) -> str:
    """Return the time in so many minutes as SAML writes it."""
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def data(assertion: Any) -> Any:
    """Return what confirms the subject of an assertion."""
    return assertion.subject.subject_confirmation[0].subject_confirmation_data


def audience(assertion: Any) -> None:
    assertion.conditions.audience_restriction[0].audience[0].text = "https://elsewhere.example.com"


def no_conditions(assertion: Any) -> None:
    assertion.conditions = None


def no_audience(assertion: Any) -> None:
    assertion.conditions.audience_restriction = []


def expired(assertion: Any) -> None:
    assertion.conditions.not_before = moment(-20)
    data(assertion).not_on_or_after = assertion.conditions.not_on_or_after = moment(-5)


def expired_confirmation(assertion: Any) -> None:
    data(assertion).not_on_or_after = moment(-5)


def endless(assertion: Any) -> None:
    data(assertion).not_on_or_after = None


def early(assertion: Any) -> None:
    assertion.conditions.not_before, assertion.conditions.not_on_or_after = moment(20), moment(40)


def recipient(assertion: Any) -> None:
    data(assertion).recipient = "https://elsewhere.example.com/acs"


def answers_another(assertion: Any) -> None:
    data(assertion).in_response_to = "id-of-another-request"


def another_issuer(assertion: Any) -> None:
    assertion.issuer.text = "https://evil.example.com"


def vouched(assertion: Any) -> None:
    assertion.subject.subject_confirmation[0].method = "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"


def vouched_beside(assertion: Any) -> None:
    extra = SubjectConfirmation(method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches")
    assertion.subject.subject_confirmation = [*assertion.subject.subject_confirmation, extra]


def transient(assertion: Any) -> None:
    assertion.subject.name_id.format = saml.NAMEID_FORMAT_TRANSIENT


def by_address(assertion: Any) -> None:
    assertion.subject.name_id.format = saml.NAMEID_FORMAT_EMAILADDRESS


def nameless(assertion: Any) -> None:
    assertion.subject.name_id.text = ""


TWEAKS: dict[str, Callable[[Any], None]] = {
    made.__name__: made
    for made in (
        audience,
        no_conditions,
        no_audience,
        expired,
        expired_confirmation,
        endless,
        early,
        recipient,
        answers_another,
        another_issuer,
        vouched,
        vouched_beside,
        transient,
        by_address,
        nameless,
    )
}


class Provider:
    """The server, the service providers that it knows, and who sits at the browser."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address, self.entity = folder, address, f"{address}/metadata"
        self.partners: list[str] = []
        self.present: dict[str, Any] | None = None
        self.seen: list[dict[str, Any]] = []
        self.server = self._server()

    def _server(self) -> Any:
        key, certificate = saml_keys.files(self.folder)
        endpoints = {
            "single_sign_on_service": [(f"{self.address}/sso", BINDING_HTTP_REDIRECT)],
            "single_logout_service": [(f"{self.address}/slo", BINDING_HTTP_REDIRECT)],
        }
        document = {
            "entityid": self.entity,
            "xmlsec_binary": shutil.which("xmlsec1"),
            "key_file": str(key),
            "cert_file": str(certificate),
            "metadata": {"inline": list(self.partners)},
            "service": {
                "idp": {
                    "endpoints": endpoints,
                    "signing_algorithm": RSA_SHA256,
                    "digest_algorithm": SHA256,
                    "name_id_format": [NAMEID_FORMAT_PERSISTENT],
                    "want_authn_requests_signed": True,
                    "policy": {"default": {"lifetime": {"minutes": 10}, "attribute_restrictions": None}},
                }
            },
        }
        return Server(config=IdPConfig().load(document))

    def know(self, metadata: str) -> None:
        """Take up a service provider."""
        self.partners = [metadata]
        self.server = self._server()

    def sso(self, query: dict[str, str]) -> tuple[str, dict[str, str]]:
        """Answer a request to sign in; return where the browser posts which fields."""
        parsed = self.server.parse_authn_request(
            query["SAMLRequest"],
            BINDING_HTTP_REDIRECT,
            relay_state=query.get("RelayState"),
            sigalg=query["SigAlg"],
            signature=query["Signature"],
        )
        message = parsed.message
        context = message.requested_authn_context
        self.seen.append(
            {
                "force": message.force_authn,
                "ask": [one.text for one in context.authn_context_class_ref] if context else [],
                "format": message.name_id_policy.format if message.name_id_policy else None,
            }
        )
        back = self.server.response_args(message)
        return back["destination"], self.posted(back["in_response_to"], back["destination"], back["sp_entity_id"])

    def unasked(self) -> tuple[str, dict[str, str]]:
        """Return a response that nobody asked for."""
        partner = next(iter(self.server.metadata.service_providers()))
        address = self.server.metadata.assertion_consumer_service(partner, BINDING_HTTP_POST)[0]["location"]
        return address, self.posted(None, address, partner)

    def posted(self, asked: str | None, address: str, partner: str) -> dict[str, str]:
        """Return the fields of the form for whoever is present."""
        import base64

        said = self.present or {}
        response = self.server.create_authn_response(
            said.get("attributes", {}),
            asked,
            address,
            partner,
            name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text=said["name"], sp_name_qualifier=partner),
            authn={"class_ref": said.get("acr", PASSWORD), "authn_auth": self.entity},
            sign_assertion=False,
            sign_response=False,
        )
        if not asked:
            response.in_response_to = data(response.assertion).in_response_to = None
        xml = self.signed(response, said.get("tweak", ""))
        return {"SAMLResponse": base64.b64encode(xml.encode()).decode(), "RelayState": said.get("state", "")}

    def signed(self, response: Any, tweak: str) -> str:
        """Return the response with its assertion signed, after making it wrong in the way that is wanted."""
        assertion = response.assertion if not isinstance(response.assertion, list) else response.assertion[0]
        if tweak in TWEAKS:
            TWEAKS[tweak](assertion)
        if tweak == "unsigned":
            return str(response)
        algorithm = RSA_SHA1 if tweak == "sha1" else RSA_SHA256
        assertion.signature = pre_signature_part(
            assertion.id, self.server.sec.my_cert, 1, sign_alg=algorithm, digest_alg=SHA256
        )
        return str(self.server.sec.sign_statement(str(response), class_name(assertion), node_id=assertion.id))

    def slo(self, query: dict[str, str]) -> str:
        """Answer a request to sign out; return where the browser goes on to."""
        request = self.server.parse_logout_request(
            query["SAMLRequest"], BINDING_HTTP_REDIRECT, sigalg=query["SigAlg"], signature=query["Signature"]
        )
        self.seen.append({"logout": request.message.name_id.text})
        response = self.server.create_logout_response(request.message, [BINDING_HTTP_REDIRECT], sign=False)
        address = self.server.pick_binding("single_logout_service", [BINDING_HTTP_REDIRECT], request=request.message)[1]
        sent = self.server.apply_binding(BINDING_HTTP_REDIRECT, str(response), address, response=True, sign=True)
        return str(dict(sent["headers"])["Location"])

    def end(self, name: str, *, sign: bool = True) -> str:
        """Return the address by which the browser tells the service provider that a session has ended here."""
        partner = next(iter(self.server.metadata.service_providers()))
        service = self.server.metadata.single_logout_service(partner, BINDING_HTTP_REDIRECT, "spsso")[0]["location"]
        subject = NameID(format=NAMEID_FORMAT_PERSISTENT, text=name, sp_name_qualifier=partner)
        _, request = self.server.create_logout_request(service, partner, name_id=subject, sign=False)
        sent = self.server.apply_binding(BINDING_HTTP_REDIRECT, str(request), service, sign=sign)
        return str(dict(sent["headers"])["Location"])

    def metadata(self) -> bytes:
        """Return who we are."""
        from saml2.metadata import entity_descriptor

        return bytes(entity_descriptor(self.server.config).to_string())


class Handler(BaseHTTPRequestHandler):
    """The provider's pages, and under `/test/` what tests want of it."""

    provider: Provider

    def do_GET(self) -> None:
        """Answer a browser."""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if parts.path == "/metadata":
            return self._send(200, self.provider.metadata())
        if parts.path == "/sso":
            return self._form(*self.provider.sso(query))
        if parts.path == "/unasked":
            return self._form(*self.provider.unasked())
        if parts.path == "/slo":
            return self._send(302, b"", location=self.provider.slo(query))
        return self._send(404, b"")

    def do_POST(self) -> None:
        """Do what a test wants."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/test/partner":
            self.provider.know(body.decode())
        elif self.path == "/test/present":
            self.provider.present = json.loads(body)
        elif self.path == "/test/seen":
            return self._send(200, json.dumps(self.provider.seen).encode())
        elif self.path == "/test/end":
            return self._send(200, self.provider.end(**json.loads(body)).encode())
        return self._send(200, b"")

    def _form(self, address: str, fields: dict[str, str]) -> None:
        inputs = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
        button = '<button id="go">Continue</button>'
        self._send(200, f'<form method="post" action="{address}">{inputs}{button}</form>'.encode())

    def _send(self, status: int, body: bytes, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until nobody holds our standard input any more."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    Handler.provider = Provider(Path(sys.argv[1]), address)
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
