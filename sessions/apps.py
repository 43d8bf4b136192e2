"""The app that keeps the record. Its label differs from Django's own `sessions`."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "mcp_sessions"
    verbose_name = "Record"
