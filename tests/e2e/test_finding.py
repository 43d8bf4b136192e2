"""A question of a real gateway, minutes later: which of these calls had this word in it, and what came of it?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.people import DAVE, GRACE
from tests.world import World, marker, until


@pytest.mark.promise("masked-everywhere")
def test_a_call_is_found_by_words_of_its_masked_arguments_and_by_no_hidden_value(here: World) -> None:
    word, card = marker(), "4111 1111 1111 1111"
    assert not here.caller(DAVE).call("query", {"sql": f"select '{word}'", "note": card}).is_error

    def found(**query: str) -> list[Any]:
        answer = here.api(GRACE, "GET", "calls/", params=query)
        assert answer.status_code == 200, answer.text
        calls: list[Any] = answer.json()["results"]
        return calls

    (call,) = until(lambda: found(q=f"select {word}", caller="dave"), "the call to be searchable", 30)
    assert (call["verdict"], call["tool"]) == ("allow", "query")
    assert found(q=f"{word} 4111") == []
    assert found(q=word, caller="alice") == []
    session = here.api(GRACE, "GET", f"sessions/{call['session']}/", params={"call": call["call_id"]}).json()
    assert session["proof"]["sound"] == session["proof"]["entries"]
    assert card not in json.dumps(session)
    with here.browser(GRACE) as browser:
        page = browser.get("/sessions/", params={"q": word}).text
        assert f"?call={call['call_id']}" in page
        assert word in browser.get(f"/sessions/{call['session']}/", params={"call": call["call_id"]}).text
