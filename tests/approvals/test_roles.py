"""What the roles see and may do, each by itself: the table *Who sees what* of docs/approving.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from approvals.database import database_now
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime, runtime
from approvals.seen import view_digest
from approvals.standing import caller_of, roles_of
from tests.held import browser, held, house, publish_policy, signed_in
from tests.people import ALICE, DAVE, EVE, GRACE, Human

__all__ = ["house"]
OLGA = Human("olga", "Olga Orr", ("operations",))
ROLES = {"admin": ["platform"], "auditor": ["corp/audit"], "operator": ["corp/operations"]}
BY_ROLE = {"approver": ALICE, "admin": DAVE, "auditor": GRACE, "operator": OLGA, "nobody": EVE}
PAGES: dict[str, dict[str, int]] = {
    "/": dict.fromkeys(BY_ROLE, 200),
    "/approvals/{id}/": {"approver": 200, "admin": 200, "auditor": 200, "operator": 404, "nobody": 404},
    "/api/v1/approvals/{id}/": {"approver": 200, "admin": 200, "auditor": 200, "operator": 404, "nobody": 404},
    "/routes/": {"approver": 403, "admin": 200, "auditor": 200, "operator": 200, "nobody": 403},
    "/load/": {"approver": 200, "admin": 200, "auditor": 200, "operator": 200, "nobody": 404},
    "/api/v1/policy/": {"approver": 403, "admin": 200, "auditor": 200, "operator": 403, "nobody": 403},
    "/api/v1/policy/revisions/": {"approver": 403, "admin": 200, "auditor": 200, "operator": 403, "nobody": 403},
    "/admin/": {"approver": 302, "admin": 200, "auditor": 302, "operator": 302, "nobody": 302},
}


@pytest.fixture
def open_request(house: Runtime) -> ApprovalRequest:
    """A request that waits, in a house with every role."""
    publish_policy(roles=ROLES)
    return held(sql="DELETE FROM sesame")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("role", BY_ROLE)
def test_each_page_opens_for_whom_it_is(role: str, path: str, open_request: ApprovalRequest) -> None:
    client = browser(BY_ROLE[role])

    assert client.get(path.format(id=open_request.pk)).status_code == PAGES[path][role]


@pytest.mark.parametrize("role", ["approver", "admin", "auditor", "operator"])
def test_a_role_comes_from_its_groups_alone(role: str, house: Runtime) -> None:
    publish_policy(roles=ROLES)
    policy = runtime().policies.current.policy

    assert roles_of(caller_of(signed_in(BY_ROLE[role]), policy), policy) == {role}


def payload_on(client: Client, path: str) -> bool:
    return b"sesame" in client.get(path).content


def test_an_operator_sees_no_call_anywhere(open_request: ApprovalRequest) -> None:
    olga = browser(OLGA)

    for path in ("/", "/?show=all", "/routes/", "/load/", "/grants/", "/sessions/", "/api/v1/approvals/"):
        page = olga.get(path)
        assert page.status_code == 200, path
        assert open_request.pk.encode() not in page.content, path
        assert not payload_on(olga, path), path
    assert payload_on(browser(ALICE), f"/approvals/{open_request.pk}/")


@pytest.mark.parametrize("role", ["admin", "auditor", "operator", "nobody"])
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_no_role_decides(role: str, decision: str, open_request: ApprovalRequest) -> None:
    client = browser(BY_ROLE[role])
    sent: dict[str, Any] = {"decision": decision, "comment": "x", "view": view_digest(open_request)}

    assert client.post(f"/approvals/{open_request.pk}/decide/", sent).status_code in (403, 404)
    open_request.refresh_from_db()
    assert open_request.status == "pending"


@pytest.mark.parametrize("role", ["auditor", "operator", "approver", "nobody"])
def test_only_admins_change_the_policy(role: str, open_request: ApprovalRequest) -> None:
    client = browser(BY_ROLE[role])

    answer = client.put("/api/v1/policy/", data="version: 1", content_type="application/yaml")

    assert answer.status_code == 403
    assert runtime().policies.reload().revision == 2


def test_an_operator_hears_of_holds_that_nobody_could_decide(house: Runtime) -> None:
    publish_policy(roles=ROLES, groups={"dba": {}, "security": {}, "platform": {}})

    assert b"writes-need-a-dba" in browser(OLGA).get("/").content
    assert b"writes-need-a-dba" not in browser(EVE).get("/").content


def test_groups_of_the_issuer_count_for_a_while_and_local_ones_for_good(house: Runtime) -> None:
    publish_policy(roles=ROLES)
    policy = runtime().policies.current.policy
    grace, alice = signed_in(GRACE), signed_in(ALICE)
    issuer = next(known for known in policy.config.issuers if known.name == "corp")
    long_ago = database_now() - timedelta(seconds=issuer.groups_max_age + 1)
    assert roles_of(caller_of(grace, policy), policy) == {"auditor"}
    assert caller_of(alice, policy).groups == {"dba", "corp/engineering"}

    for person in (grace, alice):
        person.issuer_groups_at = long_ago

    assert roles_of(caller_of(grace, policy), policy) == frozenset()
    assert caller_of(alice, policy).groups == {"dba"}
