"""Django's settings of Holdgate, read from the environment through `env`. Documented in docs/settings.md."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from approvals import known
from approvals.states import Status
from gatewayproj import databases, env, keys, log, mail, version

BASE_DIR = Path(__file__).resolve().parent.parent

STATE_DIR = Path(
    env.text("HOLDGATE_STATE_DIR", "./.holdgate", "Folder of everything outside the database: keys, file anchor.")
).absolute()
LOG_KEY = Path(
    env.text("HOLDGATE_LOG_KEY", "", "The log's private key; default: `keys/log.key` in the state folder.")
    or STATE_DIR / "keys" / "log.key"
).absolute()
ANCHOR_FILE = Path(
    env.text("HOLDGATE_ANCHOR_FILE", "", "The file anchor; default: `anchor/checkpoints.txt` in the state folder.")
    or STATE_DIR / "anchor" / "checkpoints.txt"
).absolute()
ALIVE_SECONDS = env.number(
    "HOLDGATE_ALIVE_SECONDS",
    3600,
    "An idle gateway writes an entry every so many seconds, so that its log goes on being signed; 0: never.",
)
ANCHORS = env.words(
    "HOLDGATE_ANCHORS",
    "",
    "Anchors beside the file, such as `syslog+tls://host`, `git:///path`, `s3://bucket`; see record.md.",
)
S3_ACCESS_KEY = env.secret("HOLDGATE_S3_ACCESS_KEY", "Access key of the `s3://` anchors.")
S3_SECRET_KEY = env.secret("HOLDGATE_S3_SECRET_KEY", "Secret key of the `s3://` anchors.")
S3_SESSION_TOKEN = env.secret("HOLDGATE_S3_SESSION_TOKEN", "Token of temporary keys of the `s3://` anchors.")
HARDENED = env.flag(
    "HOLDGATE_HARDENED",
    False,
    "Serve only under a database role that cannot change the record, and without the log's key; see record.md.",
)
PUBLIC_URL = env.text(
    "HOLDGATE_PUBLIC_URL", "", "The gateway's own address, for metadata, links and the Host and Origin checks."
).rstrip("/")
EXTRA_HOSTS = env.words("HOLDGATE_EXTRA_HOSTS", "", "Further host names under which the gateway may be called.")
DEMO = env.flag("HOLDGATE_DEMO", False, "Set by `manage.py demo` for itself; never set it in production.")
ALL_IN_ONE = False  # set by the launcher: this process is the only one of the installation
DEBUG = env.flag("HOLDGATE_DEBUG", False, "Django's debug pages. Never in production: they show internals.")
SECRET_KEY = env.secret("HOLDGATE_SECRET_KEY", "Signs browser sessions; made and kept in the state folder if empty.")
_KEYS = keys.secret_keys(
    STATE_DIR,
    SECRET_KEY,
    env.secret(
        "HOLDGATE_SECRET_KEY_FALLBACKS",
        "Keys accepted beside HOLDGATE_SECRET_KEY while it is exchanged, separated by spaces; see operate/keys.md.",
    ),
    env.secret(
        "HOLDGATE_NAMES_KEY",
        "Makes pseudonyms, digests of calls and hashes of masking: the first HOLDGATE_SECRET_KEY, once another is set.",
    ),
)
SECRET_KEY, SECRET_KEY_FALLBACKS, NAMES_KEY = _KEYS.current, list(_KEYS.fallbacks), _KEYS.names
for _key in (SECRET_KEY, *SECRET_KEY_FALLBACKS, NAMES_KEY):
    known.remember(_key)
env.learn_client_secrets()

DATABASES = {
    "default": databases.parse(
        env.secret("DATABASE_URL", "`sqlite:///path` or `postgresql://…`; default: SQLite in the state folder.")
        or f"sqlite:///{STATE_DIR / 'holdgate.sqlite3'}"
    )
}
DATABASE_DIRECT = databases.direct(
    DATABASES["default"],
    env.secret(
        "DATABASE_DIRECT_URL",
        "The same PostgreSQL past a transaction pooler, for LISTEN and session locks; default: DATABASE_URL.",
    ),
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "approvals.Person"

ALLOWED_HOSTS = ["*"]  # HostMiddleware compares with PUBLIC_URL and answers 421, which Django cannot.
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "masking",
    "sessions",
    "approvals",
    "proxy",
    "gatewayproj",
]
MIDDLEWARE = [
    "gatewayproj.middleware.security_headers",
    "gatewayproj.middleware.host_and_origin",
    "django.middleware.security.SecurityMiddleware",
    "gatewayproj.middleware.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "gatewayproj.browser_sessions.KeepSession",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "gatewayproj.urls"
ASGI_APPLICATION = "gatewayproj.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "approvals.pages.chrome.chrome",
            ]
        },
    }
]

AUTHENTICATION_BACKENDS = ["approvals.backends.PersonBackend", "gatewayproj.oidc.Backend"]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "inbox"
OIDC_USE_PKCE = True
OIDC_TIMEOUT = 5  # seconds, for the whole of an answer
OIDC_RP_SCOPES = "openid email profile"
# Only a name that the library can resolve: gatewayproj.oidc gives each issuer a callback of its own.
OIDC_AUTHENTICATION_CALLBACK_URL = "sign-in"

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = urlsplit(PUBLIC_URL).scheme == "https"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_ENGINE = "gatewayproj.browser_sessions"
SESSION_SECONDS = env.number(
    "HOLDGATE_SESSION_SECONDS", 8 * 3600, "A browser's session ends so many seconds after the sign-in.", minimum=60
)
SESSION_IDLE_SECONDS = env.number(
    "HOLDGATE_SESSION_IDLE_SECONDS", 3600, "A browser's session ends after so many seconds without use.", minimum=60
)
SECOND_FACTOR_SECONDS = env.number(
    "HOLDGATE_SECOND_FACTOR_SECONDS",
    300,
    "A sign-in with a second factor counts as fresh for so many seconds (`mfa: required`).",
    minimum=30,
)
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = STATE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

REDIS_URL = env.secret("REDIS_URL", "Redis of the Celery broker, when BROKER_URL is not set.")
CELERY_BROKER_URL = env.secret("BROKER_URL", "Celery's broker; default: REDIS_URL, or in this process's memory.")
CELERY_BROKER_URL = CELERY_BROKER_URL or REDIS_URL or "memory://localhost/"
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

SLACK_API_URL = env.text(
    "HOLDGATE_SLACK_API_URL", "https://slack.com/api/", "Slack's Web API; `https://slack-gov.com/api/` for GovSlack."
)
EXEC_CREDENTIALS = env.text(
    "HOLDGATE_EXEC_CREDENTIALS", "{}", 'What `exec:NAME` runs: a JSON object, `{"NAME": ["program", "argument"]}`.'
)
UPSTREAM_NETWORKS = env.networks(
    "HOLDGATE_UPSTREAM_NETWORKS",
    "Networks of servers, such as `10.0.0.0/8,!10.0.0.7`: where any stands without `!`, servers are dialled in no"
    " others; one with `!` is never dialled, for issuers and token endpoints neither. Default: all but link-local,"
    " metadata, multicast and reserved ones.",
)
VAULT = {
    "address": env.text(
        "HOLDGATE_VAULT_ADDR", "", "HashiCorp Vault or OpenBao, for `vault:PATH#FIELD`: `https://HOST:PORT`."
    ),
    "namespace": env.text("HOLDGATE_VAULT_NAMESPACE", "", "Namespace of all its paths."),
    "ca_file": env.text(
        "HOLDGATE_VAULT_CA_FILE", "", "Authorities (PEM) that vouch for it; default: those of the system."
    ),
    "auth": env.choice(
        "HOLDGATE_VAULT_AUTH",
        "token",
        "How the gateway shows itself to it: `token`, `approle` or `kubernetes`.",
        ("token", "approle", "kubernetes"),
    ),
    "mount": env.text("HOLDGATE_VAULT_MOUNT", "", "Where that method is mounted, below `auth/`; default: its name."),
    "role": env.text("HOLDGATE_VAULT_ROLE", "", "The role of the gateway, for `kubernetes`."),
    "token": env.text("HOLDGATE_VAULT_TOKEN_FILE", "", "File with a token, for `token`; read anew at each use."),
    "role_id": env.text("HOLDGATE_VAULT_ROLE_ID_FILE", "", "File with the role id, for `approle`."),
    "secret_id": env.text(
        "HOLDGATE_VAULT_SECRET_ID_FILE", "", "File with the secret id, for `approle`; read anew at each login."
    ),
    "jwt": env.text(
        "HOLDGATE_VAULT_JWT_FILE",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "File with the service account's token, for `kubernetes`; read anew at each login.",
    ),
}
STDIO_COMMANDS = env.text(
    "HOLDGATE_STDIO_COMMANDS",
    "",
    "Commands that connections may start, separated by commas: each a program with the arguments it must begin with.",
)
STDIO_SOCKET = Path(
    env.text("HOLDGATE_STDIO_SOCKET", "", "Socket of `manage.py run_stdio`; default: `stdio.sock` in the state folder.")
    or STATE_DIR / "stdio.sock"
).absolute()

INTERNAL_BIND = env.text(
    "HOLDGATE_INTERNAL_BIND",
    "",
    "Address and port, such as `10.0.0.5:8090`, where other web processes pass on calls for agents; see agent.md.",
)
INTERNAL_URL = env.text(
    "HOLDGATE_INTERNAL_URL",
    "",
    "Where they reach that port, such as `http://10.0.0.5:8090`; default: the address it is bound to.",
)

_MAIL = mail.parse(
    env.secret("HOLDGATE_EMAIL_URL", "Mail server of the notifications: `smtp://user@host:587` or `smtps://…:465`."),
    env.secret("HOLDGATE_EMAIL_PASSWORD", "Password at the mail server, when it does not stand in the URL."),
)
EMAIL_HOST, EMAIL_PORT = _MAIL["EMAIL_HOST"], _MAIL["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _MAIL["EMAIL_HOST_USER"], _MAIL["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _MAIL["EMAIL_USE_TLS"], _MAIL["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = mail.SECONDS
PUSH_SERVICES = env.words(
    "HOLDGATE_PUSH_SERVICES",
    "fcm.googleapis.com,push.services.mozilla.com,notify.windows.com,push.apple.com",
    "Hosts of the push services that browsers may name, with those below them.",
)

REQUEST_SECONDS = env.number(
    "HOLDGATE_REQUEST_SECONDS", 60, "A request must have come, to its last byte, in so many seconds.", minimum=1
)
STALLED_SECONDS = env.number(
    "HOLDGATE_STALLED_SECONDS", 60, "A caller who does not take an answer is cut off after so many seconds.", minimum=1
)
MASKING_TIMEOUT = env.number(
    "HOLDGATE_MASKING_TIMEOUT",
    20,
    "Seconds that the masking of one large message may take; after them it is withheld.",
    minimum=0.001,
)
RECORD_TIMEOUT = env.number(
    "HOLDGATE_RECORD_TIMEOUT", 5, "Seconds after which a commit of the record is given up and the call refused."
)

# 0: as many as the process may open files for, 10000 at most; set at the start of the process.
MAX_HELD = int(
    env.number(
        "HOLDGATE_MAX_HELD", 0, "Calls that one process keeps waiting; 0: what its open files allow, at most 10000."
    )
)
MAX_HELD_PER_CALLER = int(
    env.number("HOLDGATE_MAX_HELD_PER_CALLER", 250, "Pending requests that one caller may have; 0: any number.")
)

MAX_DENIALS = int(
    env.number(
        "HOLDGATE_MAX_DENIALS",
        5,
        "Who is denied the same tool so often within HOLDGATE_DENIALS_WITHIN is refused without asking; 0: never.",
    )
)
DENIALS_WITHIN = env.number(
    "HOLDGATE_DENIALS_WITHIN", 600, "Seconds for which a denial counts towards HOLDGATE_MAX_DENIALS.", minimum=1
)
CATALOGUE_SECONDS = env.number(
    "HOLDGATE_CATALOGUE_SECONDS",
    900,
    "The gateway looks at the tools of each connection every so many seconds, without a caller; 0: never.",
)
FOUR_EYES = env.choice(
    "HOLDGATE_FOUR_EYES",
    "off",
    "What one admin publishes waits for a second one: `off`, `loosening` (what loosens, or may) or `all`.",
    ("off", "loosening", "all"),
)
DELEGATION_DAYS = env.number(
    "HOLDGATE_DELEGATION_DAYS", 30, "Days for which somebody who is away may let somebody else decide; 0: nobody may."
)

METRICS_TOKEN = env.secret(
    "HOLDGATE_METRICS_TOKEN", "Bearer token of whoever reads /metrics; without it only this machine itself may."
)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "gatewayproj.authentication.BearerAuthentication",
        "gatewayproj.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "approvals.api.errors.answered",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Holdgate",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # Several things have a status; each of them gets a name that a generated client can keep.
    "ENUM_NAME_OVERRIDES": {
        "ApprovalStatus": [status.value for status in Status],
        "DeliveryStatus": ["queued", "sent", "dead", "skipped"],
        "ServerStatus": ["connected", "ended", "missing"],
        "ToolStatus": ["accepted", "changed", "new", "removed"],
        "ProposalStatus": ["waiting", "published", "withdrawn"],
    },
}

BUILD = version.build()
ORIGIN = env.text("HOLDGATE_ORIGIN", "", "Name of this installation's log in its checkpoints; default: made from keys.")
ORIGIN = ORIGIN or f"holdgate/{hashlib.sha256(NAMES_KEY.encode()).hexdigest()[:12]}"

LOG_LEVEL = env.text("HOLDGATE_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR.").upper()
LOGGING = log.configuration(LOG_LEVEL)
