"""The page "My browsers": which of a person's browsers are told of what waits, and how they come and go."""

from __future__ import annotations

import json
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST
from rest_framework import serializers

from approvals.models import Person
from approvals.notices import push, push_encryption
from approvals.notices.health import routes_of
from approvals.notices.models import PushSubscription
from approvals.runtime import runtime

LONGEST_BODY = 4096
# In the order in which they must be looked for: most name several.
PRODUCTS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")


class KeysSerializer(serializers.Serializer[Any]):
    """A browser's keys, as its PushSubscription tells them."""

    p256dh = serializers.CharField(max_length=100)
    auth = serializers.CharField(max_length=30)


class SubscriptionSerializer(serializers.Serializer[Any]):
    """A browser's PushSubscription; what else it tells does not matter here."""

    endpoint = serializers.CharField(max_length=push.LONGEST_ENDPOINT)
    keys = KeysSerializer()


@require_GET
@login_required
def mine(request: HttpRequest) -> HttpResponse:
    """Show the viewer's browsers."""
    config = runtime().policies.current.policy.config
    context = {
        "browsers": PushSubscription.objects.filter(person=_person(request)).order_by("-created_at"),
        "is_offered": config.channels.push is not None,
        "is_used": ("push", "approvers") in routes_of(config),
        "key": push_encryption.public_key(),
    }
    return render(request, "notices/browsers.html", context)


def _person(request: HttpRequest) -> Person:
    return cast("Person", request.user)


@require_POST
@login_required
def add(request: HttpRequest) -> JsonResponse:
    """Keep the subscription that the viewer's browser sends as JSON: 201, or 400 with what is wrong."""
    if runtime().policies.current.policy.config.channels.push is None or len(request.body) > LONGEST_BODY:
        return JsonResponse({"message": "Notifications in browsers are not offered here."}, status=400)
    try:
        sent = SubscriptionSerializer(data=json.loads(request.body))
        sent.is_valid(raise_exception=True)
        found = sent.validated_data
        browser = named(request.headers.get("User-Agent", ""))
        push.subscribe(_person(request), found["endpoint"], **found["keys"], browser=browser)
    except (ValueError, serializers.ValidationError):
        return JsonResponse({"message": "This is not what a browser tells of its subscription."}, status=400)
    except push.Refused as error:
        return JsonResponse({"message": str(error)}, status=400)
    return JsonResponse({}, status=201)


def named(agent: str) -> str:
    """Return a browser's own name for itself, short: product and system, as far as they are to be seen."""
    system = next((name for name in SYSTEMS if name in agent), "")
    product = next((name for mark, name in PRODUCTS if mark in agent), "A browser")
    return f"{product} on {system}" if system else product


@require_POST
@login_required
def remove(request: HttpRequest, browser_id: str) -> HttpResponse:
    """Forget one of the viewer's browsers."""
    if PushSubscription.objects.filter(pk=browser_id, person=_person(request)).delete()[0]:
        messages.success(request, "This browser is told no more.")
    return redirect("browsers")
