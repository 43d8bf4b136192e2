"""URLs of the approver's pages, mounted at the root."""

from __future__ import annotations

from django.urls import path

from approvals import views

urlpatterns = [
    path("", views.inbox, name="inbox"),
    path("approvals/<str:approval_id>/", views.detail, name="approval"),
    path("approvals/<str:approval_id>/decide/", views.decide, name="decide"),
    path("approvals/<str:approval_id>/cancel/", views.cancel, name="withdraw"),
]
