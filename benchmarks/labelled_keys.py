"""Keys of providers, drawn anew from what the providers publish of their form: a template each, and what is near it.

`{h32}` stands for 32 drawn characters: h hexadecimal, a letters and digits, w those with `-` and `_`, l small letters
and digits, u capitals and digits, b base32, d digits. No key stands here whole, so that no scanner takes this file
for a leak.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Final

Draw = Callable[[int], int]

_LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = "0123456789"
_ALPHABETS: Final = {
    "h": "0123456789abcdef",
    "a": _LOWER + _LOWER.upper() + _DIGITS,
    "w": _LOWER + _LOWER.upper() + _DIGITS + "-_",
    "l": _LOWER + _DIGITS,
    "u": _LOWER.upper() + _DIGITS,
    "b": _LOWER.upper() + "234567",
    "d": _DIGITS,
}
_HOLE: Final = re.compile(r"\{([hawlubd])([0-9]+)\}")
_UUID: Final = "{h8}-{h4}-{h4}-{h4}-{h12}"

TEMPLATES: Final[tuple[tuple[str, str], ...]] = (
    ("1Password", "ops_eyJ{a120}"),
    ("age", "AGE-SECRET-KEY-1{u58}"),
    ("Airtable", "pat{a14}.{h64}"),
    ("Alibaba Cloud", "LTAI{a20}"),
    ("Anthropic", "sk-ant-api03-{w93}AA"),
    ("Apify", "apify_api_{a36}"),
    ("Atlassian", "ATATT3xFfGF0{w170}={h8}"),
    ("AWS", "AKIA{b16}"),
    ("AWS", "ASIA{b16}"),
    ("Azure", "{a3}8Q~{a34}"),
    ("Braintree", "access_token$production${l16}${h32}"),
    ("Brevo", "xkeysib-{h64}-{a16}"),
    ("Buildkite", "bkua_{h40}"),
    ("Cerebras", "csk-{l48}"),
    ("CircleCI", "CCIPAT_{a22}_{h40}"),
    ("Clojars", "CLOJARS_{l60}"),
    ("Cloudflare", "v1.0-{h24}-{h146}"),
    ("Contentful", "CFPAT-{w43}"),
    ("crates.io", "cio{a32}"),
    ("Databricks", "dapi{h32}"),
    ("DigitalOcean", "dop_v1_{h64}"),
    ("Discord", "MT{a24}.{w6}.{w38}"),
    ("Discord", "https://discord.com/api/webhooks/{d18}/{w68}"),
    ("Docker", "dckr_pat_{w27}"),
    ("Doppler", "dp.pt.{a43}"),
    ("Dropbox", "sl.{w140}"),
    ("Duffel", "duffel_live_{w43}"),
    ("Dynatrace", "dt0c01.{b24}.{b64}"),
    ("EasyPost", "EZAK{a54}"),
    ("Figma", "figd_{w40}"),
    ("Firecrawl", "fc-{h32}"),
    ("Fireworks", "fw_{a24}"),
    ("Flutterwave", "FLWSECK-{h32}-X"),
    ("Fly.io", "fm2_{a120}"),
    ("Frame.io", "fio-u-{w64}"),
    ("GitHub", "ghp_{a36}"),
    ("GitHub", "github_pat_{a22}_{a59}"),
    ("GitLab", "glpat-{w20}"),
    ("Google", "AIza{w35}"),
    ("Google", "GOCSPX-{w28}"),
    ("Grafana", "glsa_{a32}_{h8}"),
    ("Groq", "gsk_{a52}"),
    ("Harness", "pat.{w22}.{h24}.{a20}"),
    ("HashiCorp Terraform", "{a14}.atlasv1.{w67}"),
    ("HashiCorp Vault", "hvs.{w92}"),
    ("Heroku", "HRKU-AA{w58}"),
    ("HubSpot", f"pat-na1-{_UUID}"),
    ("Hugging Face", "hf_{a34}"),
    ("Infracost", "ico-{a32}"),
    ("JFrog", "AKCp{a69}"),
    ("LangSmith", "lsv2_pt_{h32}_{h10}"),
    ("LaunchDarkly", f"sdk-{_UUID}"),
    ("Linear", "lin_api_{a40}"),
    ("Mailchimp", "{h32}-us12"),
    ("Mailgun", "key-{h32}"),
    ("Mapbox", "sk.eyJ{a60}.{w22}"),
    ("Meta", "EAA{a150}"),
    ("Microsoft Teams", f"https://acme.webhook.office.com/webhookb2/{_UUID}@{_UUID}/IncomingWebhook/{{h32}}/{_UUID}"),
    ("Mollie", "live_{a30}"),
    ("MongoDB Atlas", "mdb_sa_sk_{w40}"),
    ("Netlify", "nfp_{a36}"),
    ("New Relic", "NRAK-{u27}"),
    ("Notion", "ntn_{a46}"),
    ("npm", "npm_{a36}"),
    ("NuGet", "oy2{l43}"),
    ("NVIDIA", "nvapi-{w64}"),
    ("Octopus Deploy", "API-{u26}"),
    ("Okta", "SSWS 00{w40}"),
    ("OpenAI", "sk-proj-{w74}T3BlbkFJ{w74}"),
    ("OpenAI", "sk-{a20}T3BlbkFJ{a20}"),
    ("OpenRouter", "sk-or-v1-{h64}"),
    ("Paddle", "pdl_live_apikey_{l26}_{a22}_{a3}"),
    ("Perplexity", "pplx-{a48}"),
    ("Pinecone", "pcsk_{a70}"),
    ("Plaid", f"access-production-{_UUID}"),
    ("PlanetScale", "pscale_tkn_{w43}"),
    ("PostHog", "phx_{a43}"),
    ("Postman", "PMAK-{h24}-{h34}"),
    ("Prefect", "pnu_{a36}"),
    ("Pulumi", "pul-{h40}"),
    ("PyPI", "pypi-AgEIcHlwaS5vcmc{w80}"),
    ("Razorpay", "rzp_live_{a14}"),
    ("ReadMe", "rdme_{l70}"),
    ("Replicate", "r8_{a37}"),
    ("Resend", "re_{a8}_{a24}"),
    ("RubyGems", "rubygems_{h48}"),
    ("Scaleway", "SCW{u17}"),
    ("Scalingo", "tk-us-{w48}"),
    ("SendGrid", "SG.{w22}.{w43}"),
    ("Sentry", "sntryu_{h64}"),
    ("Shippo", "shippo_live_{h40}"),
    ("Shopify", "shpat_{h32}"),
    ("Slack", "xoxb-{d12}-{d13}-{a24}"),
    ("Slack", "https://hooks.slack.com/services/T{u10}/B{u10}/{a24}"),
    ("SonarQube", "squ_{h40}"),
    ("Sourcegraph", "sgp_{h40}"),
    ("Square", "sq0atp-{w22}"),
    ("Stripe", "sk_live_{a24}"),
    ("Stripe", "whsec_{a32}"),
    ("Supabase", "sbp_{h40}"),
    ("Tailscale", "tskey-auth-{a12}CNTRL-{a32}"),
    ("Tavily", "tvly-dev-{a32}"),
    ("Telegram", "{d10}:AA{w33}"),
    ("Tencent Cloud", "AKID{a32}"),
    ("Together", "tgp_v1_{w43}"),
    ("Trello", "ATTA{h64}"),
    ("Twilio", "SK{h32}"),
    ("Typeform", "tfp_{w59}"),
    ("Vercel", "vcp_{a56}"),
    ("xAI", "xai-{a80}"),
    ("Yandex", "AQVN{w36}"),
)

# Names, placeholders and identifiers that begin or look like keys and are none.
NEAR_KEYS: Final = (
    "AKIA{b6}",
    "ghp_short{d4}",
    "sk-button-primary-large-rounded",
    "pk_orders_customer_id",
    "npm_config_registry",
    "hf_hub_download",
    "key-{h8}",
    "glpat-example",
    "live_view_{d4}",
    "test_it_pauses_and_resumes_{d4}",
    "SG.{a4}.{a4}",
    "xoxo-{d2}",
    "dapi{h6}",
    "AIza{d4}",
    "re_export_{a6}",
    "fw_update_{d4}",
    "api-{h8}",
    "sdk-{d2}.{d1}",
    "SK{d8}",
    "pat.{a4}.{h4}",
    "{d10}:{a6}",
    "{h40}",
    "{h64}",
    _UUID,
    "arn:aws:iam::{d12}:role/reader",
    "v1.0-{h8}",
)


def drawing(seed: int) -> Draw:
    """Return what draws numbers below a limit, the same in every run and version of Python."""
    random = Random(seed).random  # noqa: S311  # nothing secret
    return lambda limit: int(random() * limit)


def drawn(template: str, draw: Draw) -> str:
    """Return a template with its holes filled; `draw` gives a number below its argument.

    What is drawn in a hole holds a digit and a letter where its alphabet has both, as nearly every real key does.
    """

    def fill(hole: re.Match[str]) -> str:
        alphabet, size = _ALPHABETS[hole[1]], int(hole[2])
        signs = [alphabet[draw(len(alphabet))] for _ in range(size)]
        if hole[1] != "d" and size > 7:
            signs[size // 2], signs[size // 3] = alphabet[-5 if hole[1] in "hb" else 3], "7"
        return "".join(signs)

    return _HOLE.sub(fill, template)
