"""Hosts, origins, the content security policy and the error pages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import AsyncClient, Client

from tests.held import browser, house
from tests.people import ALICE

__all__ = ["house"]
pytestmark = pytest.mark.usefixtures("house")


def get(path: str = "/sign-in/", **headers: str) -> Any:
    answer = Client().get(path, headers=headers)
    answer.close()  # a static file is a stream
    return answer


@pytest.mark.parametrize(
    ("public_url", "headers", "status"),
    [
        ("", {"host": "localhost"}, 200),
        ("", {"host": "rebound.example.com"}, 421),
        ("https://gate.example.com", {"host": "gate.example.com"}, 200),
        ("https://gate.example.com", {"host": "localhost"}, 421),
        ("https://gate.example.com", {"host": "gate.example.com", "origin": "https://gate.example.com"}, 200),
        ("https://gate.example.com", {"host": "gate.example.com", "origin": "https://evil.example.com"}, 403),
        ("https://gate.example.com", {"host": "gate.example.com", "origin": "null"}, 403),
        ("https://gate.example.com", {"host": "other.example.com"}, 200),
    ],
)
def test_only_our_own_hosts_and_origins_are_answered(
    public_url: str, headers: dict[str, str], status: int, settings: Any
) -> None:
    settings.PUBLIC_URL, settings.EXTRA_HOSTS = public_url, ["other.example.com"]

    assert get(**headers).status_code == status


@pytest.mark.parametrize("path", ["/sign-in/", "/nothing/", "/static/holdgate/app.css", "/api/v1/approvals/"])
def test_every_answer_carries_the_policy(path: str) -> None:
    policy = get(path, host="localhost").headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/sign-in/", "/", "/admin/", "/api/docs/", "/sessions/"])
def test_no_page_has_a_script_or_a_style_inside(path: str) -> None:
    page = browser(ALICE).get(path, follow=True).content.decode()

    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    assert all("src=" in tag for tag in page.split("<script")[1:])


def test_what_people_see_is_not_cached_and_static_files_are() -> None:
    assert get(host="localhost").headers["Cache-Control"] == "no-store"
    assert "max-age" in get("/static/holdgate/app.css", host="localhost").headers["Cache-Control"]


def test_static_files_come_in_the_asynchronous_mode_too(settings: Any) -> None:
    settings.PUBLIC_URL = "http://testserver"

    answer = asyncio.run(AsyncClient().get("/static/holdgate/live.js"))

    assert (answer.status_code, answer.content[:2]) == (200, b"/*")
    assert answer.headers["Content-Type"].startswith("text/javascript")


def test_a_page_that_is_not_there_says_so_kindly() -> None:
    answer = get("/nothing/", host="localhost")

    assert (answer.status_code, b"There is nothing here" in answer.content) == (404, True)


def test_the_page_of_a_fault_needs_neither_database_nor_request() -> None:
    assert "Something broke on our side" in render_to_string("500.html")
