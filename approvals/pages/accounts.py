"""The pages "My accounts" and the one of a link: which accounts are one's own, and how they come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_http_methods, require_POST

from approvals import accounts, services
from approvals.database import database_now
from approvals.models import AccountLink, Person
from approvals.runtime import runtime
from approvals.ties import STANDING, linked
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from approvals.accounts import Linked, Refused
    from approvals.config.schema import Config

MOST_FORMER = 20


@dataclass(frozen=True, slots=True)
class Account:
    """One account as its owner sees it; without a link it is theirs by sign-in or by the configuration."""

    text: str
    place: str
    link: AccountLink | None = None

    @property
    def display(self) -> str:
        return self.link.display if self.link else ""

    @property
    def by_claim(self) -> bool:
        return self.link is not None and self.link.method == AccountLink.Method.CLAIM


def place_of(account: str, config: Config) -> str:
    """Return where an account lives: Slack, or the configured name of its issuer."""
    if account.startswith("slack:"):
        return "Slack"
    issuer, _, _ = account.partition("|")
    return next((known.name for known in config.issuers if known.issuer == issuer), issuer)


def accounts_of(person: Person, config: Config) -> list[Account]:
    """Return the accounts that are this person's now, their own sign-in first."""
    mine = linked({person.key}, config)
    links: dict[str, AccountLink] = {}
    for link in AccountLink.objects.filter(STANDING, holder__in=mine).order_by("made_at"):
        # Seen from the account that was invited, the other end of the link is the one to show.
        links[link.holder if link.account == person.key else link.account] = link
    rest = sorted(mine - links.keys() - {person.key})
    found = [Account(text, place_of(text, config)) for text in [person.key, *rest]]
    return found + [Account(text, place_of(text, config), link) for text, link in links.items()]


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def mine(request: HttpRequest) -> HttpResponse:
    """List the viewer's accounts; a POST makes a code by which another one is linked, and shows it this once."""
    person, config = cast("Person", request.user), runtime().policies.current.policy.config
    code = accounts.invite_account(person) if request.method == "POST" else ""
    former = AccountLink.objects.filter(holder=person.key, refuses_until__gt=database_now()).order_by("-ended_at")
    context: dict[str, Any] = {
        "accounts": accounts_of(person, config),
        "claims": [(claim, place_of(claim.account, config)) for claim in accounts.claims_of(person)],
        "former": [(link, place_of(link.account, config)) for link in former[:MOST_FORMER]],
        "jobs": [issuer.name for issuer in config.issuers if issuer.person_claim],
        "code": code,
        "page": accounts.link_page(code) if code else "",
        "minutes": int(accounts.CODE_LIVES.total_seconds() // 60),
    }
    return _unkept(render(request, "approvals/accounts.html", context))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def link(request: HttpRequest, code: str) -> HttpResponse:
    """Show which account would be linked to whom; only the button links them."""
    if request.method == "POST":
        return _done(request, lambda: accounts.accept_link(runtime(), code, cast("Person", request.user)))
    found = accounts.peek(code)
    context: dict[str, Any] = {"found": found, "person": request.user, "unknown": accounts.UNKNOWN_CODE}
    if found is not None:
        config = runtime().policies.current.policy.config
        other = found.holder or found.account
        context |= {"other": other, "place": place_of(other, config)}
    return _unkept(render(request, "approvals/account_link.html", context, status=200 if found else 404))


@require_POST
@login_required
def agree(request: HttpRequest) -> HttpResponse:
    """Link the account of a job that showed a code of the viewer's, or throw the code away."""
    claim = request.POST.get("claim", "")
    if request.POST.get("answer") != "yes":
        accounts.decline(claim, cast("Person", request.user))
        messages.success(request, "Nothing was linked, and the code is void.")
        return redirect("accounts")
    return _done(request, lambda: accounts.agree(runtime(), claim, cast("Person", request.user)))


@require_POST
@login_required
def unlink(request: HttpRequest, link_id: str) -> HttpResponse:
    """End a link of the viewer's."""
    done = "It is not linked to you any more."
    return _done(request, lambda: accounts.unlink(runtime(), link_id, cast("Person", request.user)), done)


def _done(
    request: HttpRequest, work: Callable[[], Linked | Refused], done: str = "It is linked to you now."
) -> HttpResponse:
    try:
        outcome = work()
    except RecordUnavailable as error:
        messages.warning(request, services.unrecorded(error))
    else:
        if isinstance(outcome, accounts.Refused):
            messages.warning(request, outcome.reason)
        else:
            messages.success(request, done)
    return redirect("accounts")


def _unkept(response: HttpResponse) -> HttpResponse:
    """A page that shows a code is not to be found in a cache later."""
    add_never_cache_headers(response)
    return response
