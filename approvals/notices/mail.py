"""Mail about a request: what waits, and a link to the page. No link in it decides anything.

All mails about a request name the first one, so that mail programs keep them together; the identifier of a mail is
that of its message, so that one sent twice is recognised.
"""

from __future__ import annotations

import smtplib
from contextlib import closing
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string

from approvals.notices.notice import line
from approvals.outbox import Dead, Delivery, Retry, Sent

if TYPE_CHECKING:
    from approvals.notices.notice import Notice

LONGEST_SUBJECT: Final = 150
NOT_CONFIGURED: Final = "no mail server is configured; set HOLDGATE_EMAIL_URL"
_FOOT: Final = "Sent by Holdgate. Nobody reads answers to this mail, and no link in it decides anything."


def compose(notice: Notice, *, sender: str, recipient: str) -> EmailMultiAlternatives:
    """Return the mail: plain text, and the same as simple HTML."""
    domain = sender.rpartition("@")[2]
    first = f"<{notice.approval}.requested@{domain}>"
    begins = notice.event == "requested"
    headers = {
        "Message-ID": first if begins else f"<{notice.id}@{domain}>",
        # RFC 3834: nobody's out-of-office note shall answer.
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    if notice.approval and not begins:
        headers |= {"In-Reply-To": first, "References": first}
    mail = EmailMultiAlternatives(line(notice.title, LONGEST_SUBJECT), _plain(notice), sender, [recipient])
    mail.extra_headers = headers
    mail.attach_alternative(render_to_string("notices/mail.html", {"notice": notice, "foot": _FOOT}), "text/html")
    return mail


def _plain(notice: Notice) -> str:
    said = [notice.title, "", f"{notice.invitation}:", notice.url, ""]
    said += [f"{name}: {value}" for name, value in notice.facts]
    if notice.asks:
        # Marked at the edge, so that nothing the call carries looks like words of ours.
        said += ["", "The call, masked:", *(f"  | {part}" for part in notice.shown_arguments.split("\n"))]
    return "\n".join([*said, "", "-- ", _FOOT, ""])


def deliver(mail: EmailMultiAlternatives) -> Delivery:
    """Hand the mail to the configured server. A 5xx of the server about the mail is for good, all else may pass."""
    if not settings.EMAIL_HOST:
        return Dead(NOT_CONFIGURED)
    try:
        # Closed by us: Django leaves a connection open whose encryption could not be begun.
        with closing(get_connection()) as mail.connection:
            mail.send()
    except (smtplib.SMTPException, OSError) as error:
        return _failed(error)
    return Sent({"message_id": mail.extra_headers["Message-ID"]})


def _failed(error: smtplib.SMTPException | OSError) -> Delivery:
    match error:
        case smtplib.SMTPRecipientsRefused():
            return _refused(*next(iter(error.recipients.values())))
        case smtplib.SMTPAuthenticationError():
            return Retry(f"the mail server refused the sign-in ({error.smtp_code})")
        case smtplib.SMTPResponseException():
            return _refused(error.smtp_code, error.smtp_error)
        case smtplib.SMTPNotSupportedError():
            return Retry("the mail server offers no encryption")
    return Retry(f"the mail server was not reached ({type(error).__name__})")


def _refused(code: int, said: bytes | str) -> Retry | Dead:
    words = said.decode("ascii", "replace") if isinstance(said, bytes) else said
    reason = line(f"the mail server answered {code} {words}", 150)
    return Dead(reason) if 500 <= code < 600 else Retry(reason)
