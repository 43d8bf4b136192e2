"""The card of a request in Slack: what is asked, by whom, why, until when, what came of it. Pure: facts in, JSON out.

A card carries two buttons exactly when it shows the whole call: nobody approves in Slack what Slack does not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from approvals.legible import whole
from approvals.slack import blocks
from approvals.slack.blocks import Block, Element, said

APPROVE: Final = "holdgate_approve"
DENY: Final = "holdgate_deny"
REMEMBER: Final = "holdgate_approve_for"
OPEN: Final = "holdgate_open"

ARGUMENTS: Final = 6_000
# Longer documents are not laid out: it would take long, and no card could show them.
LAID_OUT: Final = 60_000
VOTES: Final = 3
CLAIMS: Final = 6


@dataclass(frozen=True, slots=True)
class Message:
    """What Slack is sent: the text of the notification, and the blocks of the message."""

    text: str
    blocks: list[Block]


@dataclass(frozen=True, slots=True)
class Said:
    """One person's vote."""

    by: str
    decision: str
    comment: str
    via: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a card may show. All text is masked already; none of it is trusted."""

    approval: str
    version: int
    url: str
    """Empty where the gateway does not know its own address: Slack refuses a message with half a link."""
    status: str
    title: str
    standing: str
    is_open: bool
    decides: bool
    """Whether people may decide it in Slack."""
    tool: str
    connection: str
    asker: str
    kind: str
    person: str = ""
    run: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    rule: str = ""
    message: str = ""
    needs: tuple[str, ...] = ()
    votes: tuple[Said, ...] = ()
    arguments: str
    hides_more: bool = False
    """Whether its page shows approvers of the arguments what no message may carry."""
    code: str
    expires: int = 0
    """Seconds since the epoch."""
    until: str = ""
    """The same for who cannot be told their own time."""
    remembers: bool = False
    view: str = ""
    """The digest of what is shown, for the vote."""


def value_of(approval: str, version: int) -> str:
    """Return what a button carries: which request, and which state of it was on the screen."""
    return f"{approval}:{version}"


def card(facts: Facts, made_by: str = "") -> Message:
    """Return the card. It is within all of Slack's limits, whatever the facts are.

    `made_by` is the message of the outbox that the card is. A click says it, so that a card is known also when the
    process that posted it died before it could write down where.
    """
    shown = laid_out(facts.arguments)
    longest = min(len(shown), ARGUMENTS)
    made = _blocks(facts, shown, longest, made_by)
    while (over := blocks.size(made) - blocks.MESSAGE) > 0 and longest > 0:
        # A character takes six at most, so a sixth of what is too much goes at least.
        longest = max(0, longest - max(over // 6, 64))
        made = _blocks(facts, shown, longest, made_by)
    return Message(_notification(facts), made if blocks.size(made) <= blocks.MESSAGE else bare(facts).blocks)


def bare(facts: Facts) -> Message:
    """Return the smallest card, with a link and nothing to decide: for what Slack refuses in full."""
    told = blocks.lines([[said(facts.standing)], [said("It cannot be shown here. Please open it in the gateway.")]])
    links = [blocks.actions(_link(facts))] if facts.url else []
    return Message(_notification(facts), [blocks.header(_heading(facts)), told, *links])


def laid_out(document: str) -> str:
    """Return arguments over several lines, with nothing in them that the eye would miss."""
    if len(document) > LAID_OUT:
        return blocks.visible(document[:LAID_OUT])
    return "".join(blocks.shown(piece) for piece in whole(document))


def _blocks(facts: Facts, shown: str, longest: int, made_by: str) -> list[Block]:
    is_whole = longest == len(shown) and len(facts.arguments) <= LAID_OUT
    is_all = is_whole and not facts.hides_more
    made = [blocks.header(_heading(facts)), blocks.lines(_rows(facts))]
    if facts.reason:
        made += [
            blocks.lines([[said("Reason given by the caller, not verified", bold=True)]]),
            blocks.quote(facts.reason),
        ]
    made += blocks.preformatted(shown[:longest]) if longest else []
    if not is_whole:
        made.append(blocks.lines([[said(_left_out(facts, len(shown) - longest), bold=True)]]))
    elif facts.hides_more:
        made.append(blocks.lines([[said(_held_back(facts), bold=True)]]))
    if facts.votes:
        made.append(blocks.lines(_votes(facts)))
    made.append(blocks.context(f"Code {facts.code} · request {facts.approval}"))
    buttons = _buttons(facts, is_all)
    return [*made, blocks.actions(buttons, made_by)] if buttons else made


def _heading(facts: Facts) -> str:
    return f"{facts.title}: {blocks.one_line(facts.tool, 80)} on {facts.connection}"


def _left_out(facts: Facts, count: int) -> str:
    told = f"{count:,} more characters are not shown here" if count else "The rest is not shown here"
    return f"{told}, so it cannot be approved here. Open it to see all of it." if facts.decides else f"{told}."


def _held_back(facts: Facts) -> str:
    told = "Parts are hidden in messages that its page shows"
    return f"{told}, so it cannot be approved here. Open it to see them." if facts.decides else f"{told}."


def _rows(facts: Facts) -> list[list[Element]]:
    rows = [
        [said(facts.standing)],
        [said("Asked by ", bold=True), said(f"{blocks.one_line(facts.asker)}, {facts.kind}")],
    ]
    if facts.person:
        rows.append([said("On behalf of ", bold=True), said(blocks.one_line(facts.person))])
    if facts.run:
        claims = ", ".join(f"{name} {value}" for name, value in facts.run[:CLAIMS])
        rows.append([said("Run ", bold=True), said(blocks.one_line(claims))])
    why = f"rule {facts.rule}" if facts.rule else "no rule allows it without a person"
    rows.append([said("Why ", bold=True), said(blocks.one_line(f"{why}. {facts.message}" if facts.message else why))])
    if facts.needs:
        rows.append([said("Needs ", bold=True), said(blocks.one_line("; ".join(facts.needs)))])
    if facts.is_open:
        until = blocks.moment(facts.expires, "{date_short_pretty} {time}", facts.until)
        rows.append([said("Expires ", bold=True), until])
    return rows


def _votes(facts: Facts) -> list[list[Element]]:
    rows = []
    for vote in facts.votes[-VOTES:]:
        row = [said(f"{_DID.get(vote.decision, vote.decision)} by ", bold=True), said(blocks.one_line(vote.by, 100))]
        row.append(said(f" ({vote.via})"))
        rows.append([*row, said(f": {blocks.one_line(vote.comment)}")] if vote.comment else row)
    if len(facts.votes) > VOTES:
        rows.insert(0, [said(f"{len(facts.votes) - VOTES} earlier votes are on its page.")])
    return rows


_DID: Final = {"approve": "Approved", "deny": "Denied", "resolve": "Resolved"}


def _buttons(facts: Facts, is_all: bool) -> list[Element]:
    value = value_of(facts.approval, facts.version)
    about = f"{blocks.one_line(facts.tool, 40)}"
    made = []
    if facts.is_open and facts.decides and is_all:
        made.append(blocks.button("Approve", APPROVE, value, style="primary", reads=f"Approve {about}"))
        if facts.remembers:
            made.append(blocks.button("Approve for…", REMEMBER, value, reads=f"Approve {about} for some time"))
    if facts.is_open and facts.decides:
        made.append(blocks.button("Deny…", DENY, value, style="danger", reads=f"Deny {about}"))
    return [*made, *_link(facts)]


def _link(facts: Facts) -> list[Element]:
    return [blocks.link_button("Open in Holdgate", OPEN, facts.url)] if facts.url else []


def _notification(facts: Facts) -> str:
    """Return what stands on a lock screen and what a screen reader says: no argument, and no markup in force."""
    told = f"{_heading(facts)}, asked by {blocks.one_line(facts.asker, 100)}. Code {facts.code}."
    return f"{blocks.cut(blocks.escaped(told), blocks.NOTIFICATION)} {facts.url}".strip()
