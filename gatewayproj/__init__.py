"""Wiring only: settings, URLs, ASGI, Celery, browser sign-in, health, launcher. Nobody imports it."""
