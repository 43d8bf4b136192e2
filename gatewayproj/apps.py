"""The app of what is none of the parts: settings, launcher, health, and the system checks of the whole."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gatewayproj"
    verbose_name = "Holdgate"

    def ready(self) -> None:
        from gatewayproj import checks  # noqa: F401 - registers the system checks
