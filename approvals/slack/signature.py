"""Whether a request comes from Slack: its signature over the raw body, and its age."""

from __future__ import annotations

from slack_sdk.signature import SignatureVerifier


def is_from_slack(secret: str, body: bytes, timestamp: str, signature: str) -> bool:
    """Say whether Slack signed these bytes within the last five minutes.

    The official verifier raises for a time that is no number and for bytes that are no text; from an unknown client
    these are answers like any other.
    """
    if not (timestamp.isascii() and timestamp.isdigit() and signature.isascii()):
        return False
    try:
        return bool(SignatureVerifier(secret).is_valid(body, timestamp, signature))
    except (ValueError, OverflowError, UnicodeError):
        return False
