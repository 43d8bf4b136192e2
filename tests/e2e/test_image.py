"""The image that deploy/Dockerfile makes, laid out by its lines: it has what it needs, and starts with few rights."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests import imaged
from tests.house import sources
from tests.imaged import Image

# What only the demo needs is not in the image unless it is built with it.
WITH_MORE = ("gatewayproj.demo.", "gatewayproj.management.commands.demo:")
WRITABLE = "/tmp /var/lib/holdgate"  # noqa: S108 - the one place for what does not last, and the volume
_EVERY_MODULE = """
import importlib, pkgutil, sys, django
django.setup()
missing = []
for name in sys.argv[1:]:
    for one in pkgutil.walk_packages(importlib.import_module(name).__path__, name + "."):
        if one.name == "gatewayproj.asgi":  # it is the gateway, which starts below
            continue
        try:
            importlib.import_module(one.name)
        except ImportError as error:
            missing.append(f"{one.name}: {error}")
print("\\n".join(missing))
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return imaged.build(tmp_path_factory.mktemp("image"))


def _environment(state: Path) -> dict[str, str]:
    own = {"HOLDGATE_STATE_DIR": str(state), "DJANGO_SETTINGS_MODULE": "gatewayproj.settings"}
    return {**imaged.environment(), **own}


def test_every_module_of_the_product_can_be_imported_in_the_image(image: Image, tmp_path: Path) -> None:
    own = _environment(tmp_path)

    done = image.python("-c", _EVERY_MODULE, *sources.PRODUCT, **own)

    assert done.returncode == 0, done.stderr[-2000:]
    assert [line for line in done.stdout.splitlines() if line and not line.startswith(WITH_MORE)] == []


def test_the_image_knows_its_version_and_takes_the_name_of_its_build(image: Image, tmp_path: Path) -> None:
    own = _environment(tmp_path)
    script = "from gatewayproj import version; print(version.version(), version.build())"

    plain = image.python("-c", script, **own)
    named = image.python("-c", script, **{**own, "HOLDGATE_BUILD": "1.2.3+abc"})

    assert plain.returncode == 0, plain.stderr[-2000:]
    assert len(set(plain.stdout.split())) == 1
    assert named.stdout.split()[1] == "1.2.3+abc"
    assert "HOLDGATE_BUILD" in imaged.environment()


def test_the_image_is_small(image: Image) -> None:
    assert image.size() < 200_000_000  # beside Python's own slim image
    assert not [path for path in image.tree.rglob("*") if path.name in {"tests", "benchmarks", ".git", "deploy"}]


def test_it_starts_as_nobody_on_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    if why := imaged.why_not():
        pytest.skip(why)
    image = imaged.build(tmp_path, python=imaged.PYTHON, site=imaged.SITE)
    command, probe = shlex.join(imaged.words_of("CMD")), shlex.join(imaged.words_of("HEALTHCHECK"))
    script = f"""
    id -u
    grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status
    echo $(find / -maxdepth 3 -regex '/\\(proc\\|sys\\|dev\\)' -prune -o -type d -writable -print | sort)
    {command} & gateway=$!
    until {probe} 2>/dev/null; do kill -0 $gateway || exit 1; sleep 0.2; done
    echo healthy
    ls /var/lib/holdgate
    kill -TERM $gateway
    wait $gateway
    echo ended $?
    """

    done = image.container(script, HOLDGATE_PUBLIC_URL="http://127.0.0.1:8000")

    assert done.stdout.splitlines()[:5] == [
        "10001", "CapEff:\t" + "0" * 16, "CapBnd:\t" + "0" * 16, "NoNewPrivs:\t1", WRITABLE,
    ], f"{done.stdout}\n{done.stderr[-3000:]}"  # fmt: skip
    assert "\nhealthy\n" in done.stdout, done.stderr[-3000:]
    assert "holdgate.sqlite3" in done.stdout
    assert done.stdout.endswith("\nended 0\n"), done.stderr[-3000:]
