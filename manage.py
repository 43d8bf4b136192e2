#!/usr/bin/env python3
"""Holdgate's command line: `manage.py demo`, `rungateway`, `policy`, `call`, `verify` and Django's own."""

import os
import secrets
import sys

from django.core.management import execute_from_command_line

from gatewayproj.demo.world import Refused, prepare


def main(arguments: list[str]) -> None:
    """Run one command. Two of them need other settings than this installation's, before Django reads them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproj.settings")
    if arguments[1:2] == ["demo"]:
        try:
            prepare(os.environ)
        except Refused as refused:
            sys.stderr.write(f"{refused}\n")
            sys.exit(2)
    if arguments[1:2] == ["call"] and "HOLDGATE_SECRET_KEY_FILE" not in os.environ:
        # A pipeline's machine is no installation: no key is to be made and kept there.
        os.environ.setdefault("HOLDGATE_SECRET_KEY", secrets.token_urlsafe())
    execute_from_command_line(arguments)


if __name__ == "__main__":
    main(sys.argv)
