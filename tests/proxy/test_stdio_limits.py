"""What stdio servers get and may use, how many there are, and what is left of them."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from approvals.secrets import Secret
from approvals.vault import Login, Vault
from proxy.upstream import UpstreamRequest
from tests.running_stdio import MODERN, Client, children, connection, is_alive, refused, runner, until, within
from tests.vault import running_vault


def test_the_environment_is_what_the_connection_names_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "not for servers")

    async def work() -> None:
        environment = {"API_TOKEN": "env:TOOLS_TOKEN", "MODE": "fast"}
        tools = connection("x y", "$HOME", environment=environment, cwd="/")
        async with runner({"TOOLS_TOKEN": "s3cr3t-value"}, tools=tools) as client:
            seen = (await client.call("tools", "env")).data
            assert seen.pop("API_TOKEN") == "s3cr3t-value"
            assert seen.pop("MODE") == "fast"
            assert set(seen) <= {"PATH", "HOME", "LANG", "LC_CTYPE"}
            where = (await client.call("tools", "where")).data
            assert (where["cwd"], where["argv"]) == ("/", ["x y", "$HOME"])

    within(work)


def test_a_variable_may_live_in_vault(tmp_path: Path) -> None:
    async def work() -> None:
        tools = connection(environment={"API_TOKEN": "vault:secret/data/tools#token"})
        with running_vault() as server:
            server.secrets["secret/data/tools"] = {"token": "out-of-vault-3k"}
            (tmp_path / "token").write_text(server.token("secret/data/tools"))
            vault = Vault(server.url, Login("token", {"token": str(tmp_path / "token")}))
            async with runner(vault=vault, tools=tools) as client:
                assert (await client.call("tools", "env")).data["API_TOKEN"] == "out-of-vault-3k"

    within(work)


def test_another_secret_or_configuration_is_another_server() -> None:
    async def work() -> None:
        secrets = {"TOOLS_TOKEN": "first"}
        tools = connection(environment={"API_TOKEN": "env:TOOLS_TOKEN"})
        async with runner(secrets, tools=tools) as client:
            session = await client.begin("tools")
            assert (await client.call("tools", "env", session=session)).data["API_TOKEN"] == "first"
            assert (await client.call("tools", "env")).data["API_TOKEN"] == "first"
            secrets["TOOLS_TOKEN"] = "second"
            assert (await refused(client.call("tools", "env", session=session)))[:2] == ("upstream_invalid", "false")
            assert (await client.call("tools", "env")).data["API_TOKEN"] == "second"
            del secrets["TOOLS_TOKEN"]
            assert (await refused(client.call("tools", "env")))[:2] == ("credential_unavailable", "false")
            client.configure(tools=connection())
            assert "API_TOKEN" not in (await client.call("tools", "env")).data
            client.configure()
            assert (await refused(client.call("tools", "env")))[:2] == ("upstream_unavailable", "false")

    within(work)


def test_what_is_written_to_standard_error_is_masked_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        tools = connection(environment={"API_TOKEN": "env:TOOLS_TOKEN"})
        with caplog.at_level("INFO", logger="holdgate.stdio"):
            async with runner({"TOOLS_TOKEN": "s3cr3t-value"}, tools=tools) as client:
                await client.call("tools", "complain", arguments={"lines": 5000})
                await until(lambda: "lines left out" in caplog.text or "line 99 " in caplog.text)
        lines = [record for record in caplog.records if "line " in record.getMessage()]
        assert 50 < len(lines) < 150
        assert "s3cr3t-value" not in caplog.text
        assert "lines left out" in caplog.text

    within(work)


def test_idle_servers_end_and_busy_ones_do_not() -> None:
    async def work() -> None:
        async with runner(tools=connection(limits={"idle": "1s"})) as client:
            session = await client.begin("tools")
            pid = (await client.call("tools", "where", session=session)).data["pid"]
            slow = asyncio.create_task(client.call("tools", "slow", owner="eve"))
            await until(lambda: not is_alive(pid))
            await asyncio.sleep(1)
            assert not slow.done()
            assert len(client.pool) == 1
            slow.cancel()

    within(work)


def test_one_more_than_there_may_be_takes_the_place_of_an_idle_one() -> None:
    async def work() -> None:
        async with runner(tools=connection(limits={"children": 3})) as client:
            eve = await client.begin("tools", owner="eve")
            first, second = await client.begin("tools"), await client.begin("tools")
            await asyncio.sleep(1.1)
            await client.call("tools", "echo", session=first)
            await client.begin("tools", owner="job")
            assert len(client.pool) == 3
            # Dave had most, so his idle one went; Eve's stays although it is idle for longer.
            assert (await refused(client.call("tools", "echo", session=second)))[0] == "upstream_invalid"
            assert (await client.call("tools", "echo", session=eve, owner="eve")).status == 200
            await client.leave("tools", eve)
            await asyncio.sleep(1.1)
            slow = [client.call("tools", "slow", owner=f"o{n}", era=MODERN) for n in range(3)]
            busy = [asyncio.create_task(one) for one in slow]
            await until(lambda: sum(one.is_busy for one in client.pool._alive) == 3)
            found = await refused(client.begin("tools"))
            assert found[:2] == ("upstream_unavailable", "false")
            assert "All 3 servers" in found[2]
            for one in busy:
                one.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    within(work)


def test_the_gateways_own_look_takes_nobodys_place_and_gives_up_its_own() -> None:
    async def work() -> None:
        async with runner(tools=connection(limits={"children": 1})) as client:
            dave = await client.begin("tools")
            await asyncio.sleep(1.1)
            assert "All 1 servers" in (await refused(client.begin("tools", owner="")))[2]
            assert (await client.call("tools", "echo", session=dave)).status == 200
            await client.leave("tools", dave)
            await until(lambda: not len(client.pool))
            await client.begin("tools", owner="")
            again = await client.begin("tools")
            assert (await client.call("tools", "echo", session=again)).status == 200
            assert len(client.pool) == 1

    within(work)


def test_the_runner_answers_nobody_without_its_token() -> None:
    async def work() -> None:
        async with runner(tools=connection()) as client:
            wrong = replace(client.door.credential, secret=Secret("wrong"))
            request = UpstreamRequest(url=client.door.url("tools"), body=b"{}", id=1, credential=wrong)
            assert (await refused(client.door.upstream.exchange(request)))[0] == "credential_unavailable"
            assert not children()

    within(work)


@pytest.mark.parametrize("rounds", [20, pytest.param(1000, marks=pytest.mark.chaos)])
def test_nothing_is_left_after_many_rounds(rounds: int) -> None:
    async def work() -> None:
        async with runner(tools=connection(), stubborn=connection("stubborn")) as client:
            descriptors: list[int] = []
            for number in range(rounds // 4):
                await asyncio.gather(*(one(client, number + n) for n in range(4)))
                await until(lambda: not children(), 20)
                descriptors.append(len(os.listdir("/proc/self/fd")))
            assert descriptors[-1] <= descriptors[0] + 4
            assert not client.pool._sessions
            assert not client.pool._alive

    async def one(client: Client, number: int) -> None:
        name = "tools" if number % 16 else "stubborn"
        session = await client.begin(name)
        if number % 3:
            await client.call(name, "orphans", session=session)
        if number % 2:
            await refused(client.call(name, "die", session=session))
        await client.leave(name, session)

    within(work, 1800)
    assert json.dumps(children()) == "[]"
