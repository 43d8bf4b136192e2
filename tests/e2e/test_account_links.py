"""A person links the account with which they start CI jobs, by a code that a job of theirs shows: from then on it is
known who asks, under the policy that was in force before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests import people
from tests.blocks import connection
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer
from tests.people import ALICE, BOB, CONNECTION, EVE, Human, Job
from tests.upstream import running
from tests.world import World, marker, world

MINE = "/me/accounts/"
NIGHTLY = Job(actor_id="5555")  # started by Bob, which nobody knows yet
OTHER = Job(actor_id="6666")


@pytest.fixture(scope="module")
def unowned(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose configuration says of nobody that they answer for CI jobs."""
    folder: Path = tmp_path_factory.mktemp("unowned")
    login = {"HOLDGATE_LOGIN_CORP_CLIENT_ID": CLIENT_ID, "HOLDGATE_LOGIN_CORP_CLIENT_SECRET": CLIENT_SECRET}
    with running() as upstream:
        document = yaml.safe_load(people.config_yaml(issuer.url, upstream.url))
        document["connections"][CONNECTION] = connection(upstream.url)
        for entry in document["issuers"]:
            entry.pop("owned_by", None)
        with world(folder, issuer, {CONNECTION: upstream}, yaml.safe_dump(document), **login) as made:
            made.start()
            yield made
            made.gateway.stop()


def ask(here: World, job: Job) -> tuple[str, str]:
    """Let a job ask for a held call; return why it got no answer, and the approval that it waits for."""
    asked = here.caller(job).call("query", {"sql": "delete", "marker": marker()}, prefer="wait=0")
    return str(asked.outcome[0]), str(asked.approval["id"]) if asked.outcome[0] == "pending" else asked.text


def press(browser: httpx.Client, path: str, **fields: str) -> str:
    """Send a form of the page My accounts and return the page that follows."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(MINE).text)
    assert token
    body = {"csrfmiddlewaretoken": token[1], **fields}
    answer = browser.post(path, data=body, headers={"origin": str(browser.base_url).rstrip("/")})
    assert answer.status_code == 200, answer.text
    return answer.text


def make_code(here: World, who: Human) -> str:
    with here.browser(who) as browser:
        found = re.search(r"/me/accounts/link/([\w-]+)/", press(browser, MINE))
    assert found
    return found[1]


def agree(here: World, who: Human) -> None:
    with here.browser(who) as browser:
        claim = re.search(r'name="claim" value="(\w+)"', browser.get(MINE).text)
        assert claim
        press(browser, f"{MINE}agree/", claim=claim[1], answer="yes")


@pytest.mark.promise("no-self-approval")
def test_who_started_a_job_is_known_by_their_link_and_does_not_decide_it(unowned: World) -> None:
    here = unowned
    reason, text = ask(here, NIGHTLY)
    assert reason == "forbidden"
    assert "owned_by" in text

    code = make_code(here, BOB)
    shown = here.api(NIGHTLY, "POST", "accounts/claim/", json={"code": code})
    assert shown.status_code == 202, shown.text
    assert ask(here, NIGHTLY)[0] == "forbidden"  # nobody has agreed to it
    agree(here, BOB)

    reason, approval = ask(here, NIGHTLY)
    assert reason == "pending"
    assert here.decide(approval, "approve", who=BOB).status_code == 403
    assert here.decide(approval, "deny", who=BOB, comment="no").status_code == 403
    assert here.decide(approval, "approve", who=ALICE).status_code == 200


@pytest.mark.promise("secrets-stay")
def test_a_code_stands_neither_in_the_log_nor_in_what_the_gateway_keeps(unowned: World) -> None:
    here = unowned
    code = make_code(here, EVE)
    here.api(OTHER, "POST", "accounts/claim/", json={"code": "wrong" + code})
    with here.browser(EVE) as browser:
        assert browser.get(f"{MINE}link/{code}/").status_code == 200
    here.api(OTHER, "POST", "accounts/claim/", json={"code": code})
    log = "\n".join(here.gateway.log)
    assert log
    assert code not in log
    folder = Path(here.gateway.folder)
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if code.encode() in path.read_bytes()]
