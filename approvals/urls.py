"""URLs of the approver's pages, mounted at the root."""

from __future__ import annotations

from django.urls import path

from approvals import bulk
from approvals.campaigns import pages as campaign_pages
from approvals.catalogue import pages as catalogue_pages
from approvals.evidence import pages as evidence_pages
from approvals.notices import browsers, pages
from approvals.pages import access as access_pages
from approvals.pages import accounts as account_views
from approvals.pages import away as away_views
from approvals.pages import grants as grant_pages
from approvals.pages import inbox, load
from approvals.pages import requests as views
from approvals.pages import revealing as reveal_pages
from approvals.pages import reviews as review_pages
from approvals.streams import pages as stream_pages

urlpatterns = [
    path("", inbox.inbox, name="inbox"),
    path("approvals/bulk/", bulk.bulk, name="bulk"),
    path("catalogue/", catalogue_pages.catalogue, name="catalogue"),
    path("catalogue/<str:connection>/accept/", catalogue_pages.accept, name="accept-tool"),
    path("catalogue/<str:connection>/accept-new/", catalogue_pages.accept_new, name="accept-new-tools"),
    path("catalogue/<str:connection>/look/", catalogue_pages.look, name="look-at-tools"),
    path("catalogue/<str:connection>/draft/<str:key>/", catalogue_pages.draft, name="draft-proposal"),
    path("evidence/", evidence_pages.evidence, name="evidence"),
    path("evidence/bundles/", evidence_pages.make, name="make-bundle"),
    path("evidence/bundles/<str:bundle_id>/", evidence_pages.download, name="download-bundle"),
    path("evidence/bundles/<str:bundle_id>/delete/", evidence_pages.delete, name="delete-bundle"),
    path("load/", load.load, name="load"),
    path("streams/", stream_pages.page, name="streams"),
    path("streams/<str:name>/replay/", stream_pages.again, name="replay-stream"),
    path("routes/", pages.routes, name="routes"),
    path("routes/test/", pages.test, name="test-route"),
    path("routes/messages/<str:message_id>/again/", pages.again, name="send-again"),
    path("approvals/<str:approval_id>/", views.detail, name="approval"),
    path("approvals/<str:approval_id>/decide/", views.decide, name="decide"),
    path("approvals/<str:approval_id>/reveal/", reveal_pages.reveal, name="reveal"),
    path("approvals/<str:approval_id>/cancel/", views.cancel, name="withdraw"),
    path("approvals/<str:approval_id>/break-glass/", review_pages.alone, name="break-glass"),
    path("reviews/", review_pages.reviews, name="reviews"),
    path("reviews/<str:approval_id>/close/", review_pages.close, name="close-review"),
    path("approvals/<str:approval_id>/nudge/", views.nudge, name="nudge"),
    path("approvals/<str:approval_id>/revoke/", views.revoke, name="revoke"),
    path("access/", access_pages.mine, name="access"),
    path("access/<str:access_id>/end/", access_pages.end, name="end-access"),
    path("access-reviews/", campaign_pages.campaigns, name="access-reviews"),
    path("access-reviews/<str:campaign_id>/", campaign_pages.campaign, name="access-review"),
    path("access-reviews/<str:campaign_id>/close/", campaign_pages.close, name="close-access-review"),
    path("access-reviews/<str:campaign_id>/<int:number>/", campaign_pages.decide, name="review-line"),
    path("access-reviews/<str:campaign_id>/<int:number>/settle/", campaign_pages.settle, name="settle-line"),
    path("grants/", grant_pages.grants, name="grants"),
    path("grants/<str:grant_id>/revoke/", grant_pages.revoke, name="revoke-grant"),
    path("me/browsers/", browsers.mine, name="browsers"),
    path("me/browsers/add/", browsers.add, name="add-browser"),
    path("me/browsers/<str:browser_id>/remove/", browsers.remove, name="remove-browser"),
    path("me/accounts/", account_views.mine, name="accounts"),
    path("me/accounts/agree/", account_views.agree, name="account-agree"),
    path("me/accounts/link/<str:code>/", account_views.link, name="account-link"),
    path("me/accounts/<str:link_id>/unlink/", account_views.unlink, name="account-unlink"),
    path("me/away/", away_views.away, name="away"),
    path("me/away/<str:delegation_id>/revoke/", away_views.revoke, name="away-revoke"),
]
