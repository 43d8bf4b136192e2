"""Every URL of Django's part in one flat list. The data path and the WebSocket stand in asgi.py."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from approvals import dry_run, replay
from approvals.api import access as access_api
from approvals.api import accounts as account_api
from approvals.api import break_glass as break_glass_api
from approvals.api import delegation as delegation_api
from approvals.api import grants as grant_api
from approvals.api import policy as policy_api
from approvals.api import proofs as proof_api
from approvals.api import proposals as proposal_api
from approvals.api import recall as recall_api
from approvals.api import record as record_api
from approvals.api import requests as api
from approvals.api import retention as retention_api
from approvals.api import revealing as reveal_api
from approvals.api import simulating as simulate_api
from approvals.api import trying as try_api
from approvals.campaigns import api as campaign_api
from approvals.catalogue import api as catalogue_api
from approvals.evidence import api as evidence_api
from approvals.masks import api as masks_api
from approvals.notices import api as deliveries
from approvals.pages import retention as retention_pages
from approvals.pages import why as why_pages
from approvals.slack import views as slack
from approvals.streams import pages as streams
from gatewayproj import api_docs, health, metrics_page, oidc, saml_views, sign_in
from proxy.oauth import api as servers_api
from proxy.oauth import pages as servers

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("approvals.urls")),
    path("me/servers/", servers.mine, name="servers"),
    path("me/servers/<str:connection>/connect/", servers.connect, name="server-connect"),
    path("me/servers/<str:connection>/callback/", servers.callback, name="server-callback"),
    path("me/servers/<str:connection>/disconnect/", servers.disconnect, name="server-disconnect"),
    path("sessions/", replay.sessions, name="sessions"),
    path("sessions/<str:session_id>/", replay.session, name="session"),
    path("retention/", retention_pages.page, name="retention"),
    path("retention/holds/", retention_pages.hold, name="place-hold"),
    path("retention/holds/<str:hold_id>/lift/", retention_pages.lift, name="lift-hold"),
    path("retention/erasures/", retention_pages.ask, name="ask-erasure"),
    path("retention/erasures/<str:erasure_id>/confirm/", retention_pages.confirm, name="confirm-erasure"),
    path("retention/erasures/<str:erasure_id>/withdraw/", retention_pages.withdraw, name="withdraw-erasure"),
    path("sessions/<str:session_id>/again/", dry_run.page, name="dry-run"),
    path("sessions/<str:session_id>/calls/<str:call_id>/", why_pages.why, name="why"),
    path("slack/interactions/", slack.interactions, name="slack-interactions"),
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-in/with/<str:issuer>/", oidc.Start.as_view(), name="sign-in-with"),
    path("sign-in/with/<str:issuer>/callback/", oidc.Callback.as_view(), name="oidc_authentication_callback"),
    path("sign-in/saml/<str:issuer>/", saml_views.start, name="saml-start"),
    path("sign-in/saml/<str:issuer>/acs/", saml_views.consume, name="saml-consumer"),
    path("sign-in/saml/<str:issuer>/metadata/", saml_views.metadata, name="saml-metadata"),
    path("sign-in/saml/<str:issuer>/logout/", saml_views.logout, name="saml-logout"),
    path("sign-in/again/<str:approval_id>/", sign_in.again, name="sign-in-again"),
    path("sign-in/<str:token>/", sign_in.link, name="sign-in-link"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", api_docs.docs, name="api-docs"),
    path("api/v1/approvals/", api.Approvals.as_view(), name="api-approvals"),
    path("api/v1/approvals/<str:approval_id>/", api.approval, name="api-approval"),
    path("api/v1/approvals/<str:approval_id>/decide/", api.Decide.as_view(), name="api-decide"),
    path("api/v1/approvals/<str:approval_id>/reveal/", reveal_api.Reveal.as_view(), name="api-reveal"),
    path("api/v1/approvals/<str:approval_id>/cancel/", api.Cancel.as_view(), name="api-cancel"),
    path("api/v1/approvals/<str:approval_id>/break-glass/", break_glass_api.BreakGlass.as_view(), name="api-alone"),
    path("api/v1/reviews/", break_glass_api.Reviews.as_view(), name="api-reviews"),
    path("api/v1/reviews/<str:approval_id>/close/", break_glass_api.CloseReview.as_view(), name="api-close-review"),
    path("api/v1/approvals/<str:approval_id>/nudge/", recall_api.Nudge.as_view(), name="api-nudge"),
    path("api/v1/approvals/<str:approval_id>/revoke/", recall_api.Revoke.as_view(), name="api-revoke"),
    path("api/v1/access/", access_api.Accesses.as_view(), name="api-accesses"),
    path("api/v1/access/<str:access_id>/", access_api.Access.as_view(), name="api-access"),
    path("api/v1/access/<str:access_id>/end/", access_api.End.as_view(), name="api-end-access"),
    path("api/v1/access-reviews/", campaign_api.Campaigns.as_view(), name="api-campaigns"),
    path("api/v1/access-reviews/<str:campaign_id>/", campaign_api.OneCampaign.as_view(), name="api-campaign"),
    path("api/v1/access-reviews/<str:campaign_id>/close/", campaign_api.Close.as_view(), name="api-campaign-close"),
    path(
        "api/v1/access-reviews/<str:campaign_id>/lines/<int:number>/decide/",
        campaign_api.Decide.as_view(),
        name="api-line-decide",
    ),
    path(
        "api/v1/access-reviews/<str:campaign_id>/lines/<int:number>/settle/",
        campaign_api.Settle.as_view(),
        name="api-line-settle",
    ),
    path("api/v1/grants/", grant_api.Grants.as_view(), name="api-grants"),
    path("api/v1/grants/<str:grant_id>/revoke/", grant_api.Revoke.as_view(), name="api-revoke-grant"),
    path("api/v1/servers/", servers_api.Servers.as_view(), name="api-servers"),
    path("api/v1/servers/<str:connection>/disconnect/", servers_api.Disconnect.as_view(), name="api-disconnect"),
    path("api/v1/accounts/", account_api.Accounts.as_view(), name="api-accounts"),
    path("api/v1/accounts/claim/", account_api.Claim.as_view(), name="api-account-claim"),
    path("api/v1/accounts/<str:link_id>/unlink/", account_api.Unlink.as_view(), name="api-account-unlink"),
    path("api/v1/delegations/", delegation_api.Delegations.as_view(), name="api-delegations"),
    path("api/v1/delegations/<str:delegation_id>/revoke/", delegation_api.Revoke.as_view(), name="api-undelegate"),
    path("api/v1/deliveries/", deliveries.Deliveries.as_view(), name="api-deliveries"),
    path("api/v1/deliveries/<str:message_id>/again/", deliveries.SendAgain.as_view(), name="api-send-again"),
    path("api/v1/calls/", record_api.Calls.as_view(), name="api-calls"),
    path("api/v1/calls/<str:call_id>/", record_api.Call.as_view(), name="api-call"),
    path("api/v1/record/checkpoint/", proof_api.Checkpoint.as_view(), name="api-checkpoint"),
    path("api/v1/record/entries/<str:leaf_hash>/proof/", proof_api.EntryProof.as_view(), name="api-entry-proof"),
    path("api/v1/record/consistency/<int:old>/", proof_api.Consistency.as_view(), name="api-consistency"),
    path("api/v1/evidence/", evidence_api.Evidence.as_view(), name="api-evidence"),
    path("api/v1/evidence/bundles/", evidence_api.Bundles.as_view(), name="api-bundles"),
    path("api/v1/evidence/bundles/<str:bundle_id>/", evidence_api.Bundle.as_view(), name="api-bundle"),
    path("api/v1/evidence/bundles/<str:bundle_id>/file/", evidence_api.BundleFile.as_view(), name="api-bundle-file"),
    path("api/v1/sessions/", record_api.Sessions.as_view(), name="api-sessions"),
    path("api/v1/streams/", streams.Streams.as_view(), name="api-streams"),
    path("api/v1/streams/<str:name>/replay/", streams.Replay.as_view(), name="api-replay-stream"),
    path("api/v1/holds/", retention_api.Holds.as_view(), name="api-holds"),
    path("api/v1/holds/<str:hold_id>/lift/", retention_api.Lift.as_view(), name="api-lift-hold"),
    path("api/v1/erasures/", retention_api.Erasures.as_view(), name="api-erasures"),
    path("api/v1/erasures/<str:erasure_id>/<str:what>/", retention_api.EndErasure.as_view(), name="api-end-erasure"),
    path("api/v1/sessions/<str:session_id>/", record_api.Session.as_view(), name="api-session"),
    path("api/v1/sessions/<str:session_id>/again/", dry_run.DryRuns.as_view(), name="api-dry-run"),
    path("api/v1/connections/<str:connection>/tools/", catalogue_api.Tools.as_view(), name="api-tools"),
    path("api/v1/connections/<str:connection>/tools/accept/", catalogue_api.AcceptAll.as_view(), name="api-accept-all"),
    path("api/v1/connections/<str:connection>/look/", catalogue_api.Look.as_view(), name="api-look"),
    path(
        "api/v1/connections/<str:connection>/tools/<path:tool>/accept/",
        catalogue_api.Accept.as_view(),
        name="api-accept-tool",
    ),
    path("api/v1/masking/try/", masks_api.Try.as_view(), name="api-masking-try"),
    path("api/v1/policy/", policy_api.PolicyView.as_view(), name="api-policy"),
    path("api/v1/policy/simulate/", simulate_api.Simulate.as_view(), name="api-policy-simulate"),
    path("api/v1/policy/lint/", simulate_api.Lint.as_view(), name="api-policy-lint"),
    path("api/v1/policy/try/", try_api.Try.as_view(), name="api-policy-try"),
    path("api/v1/policy/proposals/", proposal_api.Proposals.as_view(), name="api-proposals"),
    path("api/v1/policy/proposals/<str:proposal_id>/", proposal_api.OneProposal.as_view(), name="api-proposal"),
    path("api/v1/policy/proposals/<str:proposal_id>/confirm/", proposal_api.Confirm.as_view(), name="api-confirm"),
    path("api/v1/policy/proposals/<str:proposal_id>/withdraw/", proposal_api.Withdraw.as_view(), name="api-withdraw"),
    path("api/v1/policy/revisions/", policy_api.Revisions.as_view(), name="api-policy-revisions"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics_page.page, name="metrics"),
    # The admin's own form asks for a password, and nobody has one.
    path("admin/login/", sign_in.admin_login),
    path("admin/logout/", sign_in.sign_out),
    path("admin/", admin.site.urls),
]
