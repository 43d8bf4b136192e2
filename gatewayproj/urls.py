"""Every URL of Django's part in one flat list. The data path and the WebSocket stand in asgi.py."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from approvals import api, policy_api, record_api, replay
from gatewayproj import api_docs, health, oidc, sign_in

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("approvals.urls")),
    path("sessions/", replay.sessions, name="sessions"),
    path("sessions/<str:session_id>/", replay.session, name="session"),
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-in/with/<str:issuer>/", oidc.Start.as_view(), name="sign-in-with"),
    path("sign-in/with/<str:issuer>/callback/", oidc.Callback.as_view(), name="oidc_authentication_callback"),
    path("sign-in/<str:token>/", sign_in.link, name="sign-in-link"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", api_docs.docs, name="api-docs"),
    path("api/v1/approvals/", api.Approvals.as_view(), name="api-approvals"),
    path("api/v1/approvals/<str:approval_id>/", api.approval, name="api-approval"),
    path("api/v1/approvals/<str:approval_id>/decide/", api.Decide.as_view(), name="api-decide"),
    path("api/v1/approvals/<str:approval_id>/cancel/", api.Cancel.as_view(), name="api-cancel"),
    path("api/v1/calls/<str:call_id>/", record_api.Call.as_view(), name="api-call"),
    path("api/v1/sessions/", record_api.Sessions.as_view(), name="api-sessions"),
    path("api/v1/policy/", policy_api.PolicyView.as_view(), name="api-policy"),
    path("api/v1/policy/revisions/", policy_api.Revisions.as_view(), name="api-policy-revisions"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    # The admin's own form asks for a password, and nobody has one.
    path("admin/login/", sign_in.admin_login),
    path("admin/logout/", sign_in.sign_out),
    path("admin/", admin.site.urls),
]
