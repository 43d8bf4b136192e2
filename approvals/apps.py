"""The app of policy, approvals and people."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    verbose_name = "Approvals and rules"

    def ready(self) -> None:
        from approvals import checks  # noqa: F401 - registers the system checks, which need the models
