"""What an attacker does to a signed SAML response on its way: altered, stripped, wrapped, with entities."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

from tests.saml_partner import PERSON

EVIL = "p-evil"


def edited(fields: dict[str, str], edit: Callable[[str], str]) -> dict[str, str]:
    """Return the form with its response changed."""
    before = base64.b64decode(fields["SAMLResponse"]).decode()
    after = edit(before)
    assert after != before
    return {**fields, "SAMLResponse": base64.b64encode(after.encode()).decode()}


def parts(xml: str) -> tuple[str, str, str]:
    """Return what stands before the assertion, the assertion, and what stands after it."""
    found = re.search(r"<(\w+):Assertion\b.*</\1:Assertion>", xml, re.DOTALL)
    assert found is not None
    return xml[: found.start()], found.group(), xml[found.end() :]


def forged(assertion: str, *, same_id: bool = False) -> str:
    """Return an unsigned assertion about somebody else, made of a sound one."""
    unsigned = re.sub(r"<(\w+):Signature\b.*?</\1:Signature>", "", assertion, flags=re.DOTALL)
    other = unsigned.replace(PERSON, EVIL)
    return other if same_id else re.sub(r' ID="[^"]+"', ' ID="id-evil"', other, count=1)


def in_signature(assertion: str, inside: str) -> str:
    """Return a forged assertion that carries the sound one inside of a signature of its own."""
    prefix = re.match(r"<(\w+):", assertion)
    assert prefix is not None
    signature = re.search(r"<(\w+):Signature\b.*?</\1:Signature>", inside, re.DOTALL)
    assert signature is not None
    dsig = signature.group(1)
    carried = signature.group().replace(
        f"</{dsig}:Signature>", f"<{dsig}:Object>{inside}</{dsig}:Object></{dsig}:Signature>"
    )
    place = assertion.index(f"</{prefix.group(1)}:Issuer>") + len(f"</{prefix.group(1)}:Issuer>")
    return assertion[:place] + carried + assertion[place:]


def extensions(before: str, sound: str) -> str:
    """Return the head of a response that carries the sound assertion among its extensions."""
    end = re.search(r"</(\w+):Issuer>", before)
    protocol = re.search(r"<(\w+):Response\b", before)
    assert end is not None
    assert protocol is not None
    extra = f"<{protocol.group(1)}:Extensions>{sound}</{protocol.group(1)}:Extensions>"
    return before[: end.end()] + extra + before[end.end() :]


def inside_of(outer: str, inner: str) -> str:
    """Return an assertion with another one at its end."""
    end = outer[outer.rindex("</") :]
    return outer.removesuffix(end) + inner + end


def declared(before: str, declarations: str) -> str:
    """Return the head of a response with a document type before it."""
    begin = re.search(r"<\w+:Response\b", before)
    assert begin is not None
    return f"<!DOCTYPE r [{declarations}]>{before[begin.start() :]}"


FILE = '<!ENTITY e SYSTEM "file:///etc/hostname">'
BOMB = '<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">'
# What stands before the assertion, the sound assertion, and what stands after it.
WRAPPED: dict[str, Callable[[str, str, str], str]] = {
    "altered": lambda head, sound, tail: head + sound.replace(PERSON, EVIL) + tail,
    "groups altered": lambda head, sound, tail: head + sound.replace("engineering", "dba") + tail,
    "signature gone": lambda head, sound, tail: head + forged(sound, same_id=True) + tail,
    "forged before": lambda head, sound, tail: head + forged(sound) + sound + tail,
    "forged after": lambda head, sound, tail: head + sound + forged(sound) + tail,
    "same id before": lambda head, sound, tail: head + forged(sound, same_id=True) + sound + tail,
    "same id after": lambda head, sound, tail: head + sound + forged(sound, same_id=True) + tail,
    "in the signature": lambda head, sound, tail: head + in_signature(forged(sound), sound) + tail,
    "in the signature, same id": lambda head, sound, tail: (
        head + in_signature(forged(sound, same_id=True), sound) + tail
    ),
    "in extensions": lambda head, sound, tail: extensions(head, sound) + forged(sound) + tail,
    "in extensions, same id": lambda head, sound, tail: extensions(head, sound) + forged(sound, same_id=True) + tail,
    "in the other": lambda head, sound, tail: head + inside_of(forged(sound), sound) + tail,
    "comment in the name": lambda head, sound, tail: head + sound.replace(PERSON, f"{EVIL}<!---->{PERSON}") + tail,
    "entity": lambda head, sound, tail: declared(head, FILE) + sound.replace(PERSON, "&e;") + tail,
    "many entities": lambda head, sound, tail: declared(head, BOMB) + sound + tail,
    "cut": lambda head, sound, tail: head + sound[:-40],
    "no xml": lambda head, sound, tail: "not xml at all",
}
