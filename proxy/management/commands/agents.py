"""`manage.py agents`: makes the tokens with which agents dial in, exchanges and revokes them, and lists agents."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from approvals.config.values import is_name
from approvals.runtime import runtime, shut_down
from proxy.models import Agent
from proxy.tunnel import registry
from sessions.journal import RecordUnavailable

BY = "manage.py agents"


class Command(BaseCommand):
    """A token is shown once, on stdout; what is kept of it is a digest."""

    help = "Make, rotate, allow or revoke agents in other networks, or list them. A token is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["make", "rotate", "allow", "revoke", "list"])
        parser.add_argument("name", nargs="?", default="", help="of the agent, as `agent:` of its connections says")
        parser.add_argument("--connections", default="", metavar="NAMES", help="that it may serve, by commas")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what was asked for."""
        what, name = options["what"], options["name"]
        scope = [word.strip() for word in options["connections"].split(",") if word.strip()]
        if what != "list" and not is_name(name):
            raise CommandError("name the agent: small letters, digits and hyphens, at most 63")
        if what in {"make", "allow"} and (not scope or not all(map(is_name, scope))):
            raise CommandError("--connections must name the connections that it may serve, such as `orders,tickets`")
        try:
            if what == "list":
                self._list()
            else:
                self._change(what, name, scope)
        except registry.NoSuchAgent as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, RecordUnavailable) as error:
            raise CommandError(f"{error}; nothing was changed") from error
        finally:
            shut_down()

    def _change(self, what: str, name: str, scope: list[str]) -> None:
        house = runtime()
        if what == "make":
            self.stdout.write(registry.make(house, name, scope, by=BY))
            self.stderr.write(f"The token of {name}, for {', '.join(scope)}. It is not shown again.")
        elif what == "rotate":
            self.stdout.write(registry.rotate(house, name, by=BY))
            self.stderr.write(f"The new token of {name}. The one before is good until it is first used, or a day.")
        elif what == "allow":
            registry.allow(house, name, scope, by=BY)
            self.stderr.write(f"{name} may serve {', '.join(scope)}.")
        else:
            registry.revoke(house, name, by=BY)
            self.stderr.write(f"{name} is revoked; its socket is closed within a second.")

    def _list(self) -> None:
        for agent in Agent.objects.order_by("name"):
            self.stdout.write(
                f"{agent.name}\t{registry.state_of(agent)}\t{agent.build or '-'}\t{','.join(agent.connections)}"
            )
