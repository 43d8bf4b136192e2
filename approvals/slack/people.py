"""Who clicked: the person to whom a Slack account is linked, and what somebody unknown can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from approvals import accounts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from approvals.config.schema import Config
    from approvals.models import Person
    from approvals.slack.client import Workspace
    from approvals.slack.payloads import By

_NOT_EVERYBODY = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger", "is_app_user")


def accounts_of(by: By) -> tuple[str, ...]:
    """Return how a user may be named as an account: by their organisation, by their workspace.

    In an organisation an id is the same in every workspace, and a workspace may go unnamed.
    """
    homes = dict.fromkeys(home for home in (by.enterprise, by.user_team or by.team) if home)
    return tuple(f"slack:{home}/{by.user}" for home in homes)


def who(by: By, config: Config, workspace: Workspace) -> Person | None:
    """Return the person whose account clicked, or None. With `match_email` Slack is asked for the address.

    Raises the errors of the client.
    """
    for account in accounts_of(by):
        person = accounts.person_of(account, config)
        if person is not None:
            return person
    if config.channels.slack is None or not config.channels.slack.match_email:
        return None
    if any(accounts.is_claimed(account, config) for account in accounts_of(by)):
        return None  # whose it is is known, or disputed: an address does not say better
    address = matching_email(workspace.user(by.user), by)
    return accounts.person_by_email(address, config) if address else None


def matching_email(user: Mapping[str, Any], by: By) -> str:
    """Return the address of a full member of our workspace; empty for guests, bots, strangers and who has left."""
    if any(user.get(flag) for flag in _NOT_EVERYBODY) or user.get("id") != by.user:
        return ""
    if user.get("team_id") not in (by.team, by.user_team) and not by.enterprise:
        return ""
    profile = user.get("profile")
    return str(profile.get("email") or "") if isinstance(profile, dict) else ""


def invitation(by: By) -> str:
    """Return what somebody unknown is told, for their eyes only: a page on which they link this account."""
    account = accounts_of(by)[0]
    link = accounts.offer_link(account, f"{by.name} ({by.user}) in Slack")
    return (
        "Holdgate does not know who you are in Slack, so nothing was decided. Link this account once, within 15 "
        f"minutes, then press the button again: {link}"
    )
