"""Clients that are a command for each call: MCP Inspector, and curl. Run like `client_python.py`."""

import concurrent.futures
import json
import os
import subprocess
import sys
import time
from typing import Any

PAUSE, LONGEST = 2.0, 480.0


def _inspector(url: str, token: str, arguments: dict[str, Any]) -> tuple[str, str]:
    node, program = json.loads(os.environ["INSPECTOR"])
    given = [part for name, value in arguments.items() for part in ("--tool-arg", f"{name}={value}")]
    command = [
        node,
        program,
        "--cli",
        url,
        "--transport",
        "http",
        "--method",
        "tools/call",
        "--tool-name",
        "query",
        *given,
    ]
    done = subprocess.run(
        [*command, "--header", f"Authorization: Bearer {token}"], capture_output=True, text=True, check=False
    )
    return done.stdout, done.stderr


def _curl(url: str, token: str, arguments: dict[str, Any]) -> tuple[str, str]:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "query", "arguments": arguments}}
    fields = [
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
    ]
    command = [
        "curl",
        "-sSN",
        "--noproxy",
        "*",
        *(part for field in fields for part in ("-H", field)),
        "-d",
        json.dumps(message),
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


KINDS = {"inspector": _inspector, "curl": _curl}


def until_result(kind: str, job: dict[str, Any]) -> None:
    """Send the same call until there is a result."""
    began = time.monotonic()
    while time.monotonic() - began < LONGEST:
        started = time.monotonic()
        said, failed = KINDS[kind](job["url"], job["token"], job["arguments"])
        whole = said.replace('\\"', '"').replace(" ", "")
        if "WAITINGFORAPPROVAL" in whole:
            saw = f"pending: {said}"
        elif '"isError":true' in whole or '"content"' not in whole:
            saw = f"error: {failed or said}"
        else:
            saw = f"result: {said}"
        told = {"marker": job["arguments"]["marker"], "seconds": round(time.monotonic() - started, 1), "saw": saw[:400]}
        print(json.dumps(told), flush=True)
        if saw.startswith("result"):
            return
        time.sleep(PAUSE)


if __name__ == "__main__":
    jobs = [json.loads(line) for line in sys.stdin]
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as threads:
        list(threads.map(lambda job: until_result(sys.argv[1], job), jobs))
