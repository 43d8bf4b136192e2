"""The chart as Helm renders it, and its pods as the services of `tests.composed`: processes of this machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import yaml

from tests.composed import DEPLOY

CHART = DEPLOY / "helm" / "holdgate"
Manifest = dict[str, Any]
NEEDED: dict[str, Any] = {
    "publicUrl": "https://holdgate.example.com",
    "image": {"repository": "registry.example.com/holdgate"},
    "existingSecret": "holdgate",
    "config": {"text": "version: 1\n"},
}
# Not /run/secrets: in the image that is /var/run/secrets too, where Kubernetes mounts the service account's token.
SECRETS = "/run/holdgate"
# The folders that a pod may write, or has its own content in; the longer names first.
FOLDERS = ("/var/lib/holdgate-log", "/var/lib/holdgate", "/etc/holdgate", "/run/seed")


def rendered(values: Mapping[str, Any], namespace: str = "gate") -> list[Manifest]:
    """Return what Helm makes of the chart with these values. Raises HelmError with the chart's own words."""
    with helm_python.Chart.load(str(CHART)) as chart:
        texts: dict[str, str] = chart.render(dict(values), name="holdgate", namespace=namespace)
    files = [text for path, text in sorted(texts.items()) if not path.endswith(".txt")]
    return [one for text in files for one in yaml.safe_load_all(text) if one]


def kinds(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Return the manifests of one kind."""
    return [one for one in manifests if one["kind"] == kind]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """Return the one manifest of that kind and name."""
    [found] = [one for one in kinds(manifests, kind) if one["metadata"]["name"] == name]
    return found


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the specifications of the pods by their component."""
    owners = [one for kind in ("Deployment", "Job") for one in kinds(manifests, kind)]
    templates = [one["spec"]["template"] for one in owners]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"] for one in templates}


def containers(pod: Manifest) -> Iterator[Manifest]:
    """Yield the containers of a pod, those first that run before the others."""
    yield from pod.get("initContainers", ())
    yield from pod["containers"]


def environment(pod: Manifest) -> dict[str, str]:
    """Return what the one container of a pod has in its environment."""
    return {one["name"]: one["value"] for one in pod["containers"][0].get("env", ()) if "value" in one}


def files(pod: Manifest, volume: str) -> dict[str, tuple[str, str]]:
    """Return the files of a projected volume: by name, the Secret and its key. Empty where there is no such volume."""
    found = [one["projected"]["sources"] for one in pod["volumes"] if one["name"] == volume]
    items = [(one["secret"]["name"], item) for sources in found for one in sources for item in one["secret"]["items"]]
    assert len({item["path"] for _, item in items}) == len(items)
    return {item["path"]: (name, item["key"]) for name, item in items}


def services(manifests: list[Manifest], folder: Path) -> dict[str, Manifest]:
    """Return the pods as services of a `Composition`, their writable folders below `folder`, their commands there."""
    return {
        name: service for component, pod in pods(manifests).items() for name, service in _as(component, pod, folder)
    }


def _as(component: str, pod: Manifest, folder: Path) -> Iterator[tuple[str, Manifest]]:
    def here(text: str) -> str:
        for path in FOLDERS:
            text = text.replace(path, str(place(folder, component, path)))
        return text.replace(SECRETS, "/run/secrets")  # where a `Composition` looks for them

    settings = {name: here(value) for name, value in environment(pod).items()}
    for container in containers(pod):
        service = {
            "command": [here(word) for word in container["command"]],
            "environment": settings,
            "secrets": list(files(pod, "secrets")),
        }
        if check := _check(container):
            service["healthcheck"] = {"test": [here(word) for word in check]}
        yield container["name"], service


def place(folder: Path, component: str, path: str) -> Path:
    """Return where a folder of a pod lies on this machine."""
    return folder / "pods" / component / path.strip("/").replace("/", "-")


def _check(container: Manifest) -> list[str]:
    probe = container.get("readinessProbe") or container.get("livenessProbe") or {}
    if "exec" in probe:
        words = [str(word) for word in probe["exec"]["command"]]
        return ["CMD-SHELL", words[2]] if words[:2] == ["sh", "-c"] else ["CMD", *words]
    if "httpGet" in probe:
        url = f"http://127.0.0.1:8000{probe['httpGet']['path']}"
        return ["CMD", *shlex.split(f"python -m gatewayproj.probe {url}")]
    return []
