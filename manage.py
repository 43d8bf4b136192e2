#!/usr/bin/env python3
"""Holdgate's command line: `manage.py demo`, `rungateway`, `policy`, `call`, `verify` and Django's own."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproj.settings")
    execute_from_command_line(sys.argv)
