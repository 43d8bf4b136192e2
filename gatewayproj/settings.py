"""Django's settings of Holdgate, read from the environment through `env`. Documented in docs/settings.md."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from gatewayproj import databases, env, keys, log, version

BASE_DIR = Path(__file__).resolve().parent.parent

STATE_DIR = Path(
    env.text("HOLDGATE_STATE_DIR", "./.holdgate", "Folder of everything outside the database: keys, file anchor.")
).absolute()
PUBLIC_URL = env.text(
    "HOLDGATE_PUBLIC_URL", "", "The gateway's own address, for metadata, links and the Host and Origin checks."
).rstrip("/")
EXTRA_HOSTS = env.words("HOLDGATE_EXTRA_HOSTS", "", "Further host names under which the gateway may be called.")
DEMO = env.flag("HOLDGATE_DEMO", False, "Set by `manage.py demo` for itself; never set it in production.")
ALL_IN_ONE = False  # set by the launcher: this process is the only one of the installation
DEBUG = env.flag("HOLDGATE_DEBUG", False, "Django's debug pages. Never in production: they show internals.")
SECRET_KEY = env.secret("HOLDGATE_SECRET_KEY", "Signs browser sessions; made and kept in the state folder if empty.")
SECRET_KEY = SECRET_KEY or keys.text_secret(STATE_DIR, "django.key")

DATABASES = {
    "default": databases.parse(
        env.secret("DATABASE_URL", "`sqlite:///path` or `postgresql://…`; default: SQLite in the state folder.")
        or f"sqlite:///{STATE_DIR / 'holdgate.sqlite3'}"
    )
}
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
                "approvals.chrome.chrome",
            ]
        },
    }
]

AUTHENTICATION_BACKENDS = ["approvals.backends.PersonBackend", "gatewayproj.oidc.Backend"]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "inbox"
OIDC_USE_PKCE = True
OIDC_TIMEOUT = 5  # seconds
OIDC_RP_SCOPES = "openid email profile"
# Only a name that the library can resolve: gatewayproj.oidc gives each issuer a callback of its own.
OIDC_AUTHENTICATION_CALLBACK_URL = "sign-in"

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = urlsplit(PUBLIC_URL).scheme == "https"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
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

EXEC_CREDENTIALS = env.text(
    "HOLDGATE_EXEC_CREDENTIALS", "{}", 'What `exec:NAME` runs: a JSON object, `{"NAME": ["program", "argument"]}`.'
)

RECORD_TIMEOUT = env.number(
    "HOLDGATE_RECORD_TIMEOUT", 5, "Seconds after which a commit of the record is given up and the call refused."
)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "gatewayproj.authentication.BearerAuthentication",
        "gatewayproj.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "approvals.api_errors.answered",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {"TITLE": "Holdgate", "VERSION": "1", "SERVE_INCLUDE_SCHEMA": False}

BUILD = version.build()
ORIGIN = env.text("HOLDGATE_ORIGIN", "", "Name of this installation's log in its checkpoints; default: made from keys.")
ORIGIN = ORIGIN or f"holdgate/{hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:12]}"

LOG_LEVEL = env.text("HOLDGATE_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR.").upper()
LOGGING = log.configuration(LOG_LEVEL)
