"""The image without an engine: what deploy/Dockerfile copies, installs and sets, laid out in a folder of this machine.

Packages are those of requirements/base.txt alone, out of the environment that runs the tests. `Image.container` runs
commands in namespaces of their own, as user and with the rights that compose and the chart give, on a root that
cannot be written. Python and the system's libraries are this machine's.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from tests.composed import DEPLOY
from tests.gateway import ROOT

GUARD = 300.0
TREE = ("opt", "holdgate")
# Where a container has this machine's Python and the packages of its environment, wherever those are in truth.
PYTHON, SITE = Path("/opt/python"), Path("/opt/site")
LIBRARY = Path("opt/venv/lib") / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

# A root that is this machine's, but for the image, empty volumes and empty temporary folders; then not to be written.
_ENTER = r"""
set -eu
image=$1 python=$2 site=$3 user=$4; shift 4
root=$(mktemp -d)
mount --make-rprivate /
mount --rbind / "$root"
for folder in opt var/lib tmp run; do mount -t tmpfs tmpfs "$root/$folder"; done
for folder in holdgate venv python site; do mkdir "$root/opt/$folder"; done
mkdir "$root/var/lib/holdgate"
mount --bind "$image/opt/holdgate" "$root/opt/holdgate"
mount --bind "$image/opt/venv" "$root/opt/venv"
mount --bind "$python" "$root/opt/python"
mount --bind "$site" "$root/opt/site"
mount -t tmpfs -o mode=0700,uid="$user",gid="$user" tmpfs "$root/var/lib/holdgate"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for folder in opt/holdgate opt/venv opt/python opt/site opt var/lib run .; do
    mount -o remount,bind,ro "$root/$folder"
done
ip link set lo up
exec chroot "$root" setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --inh-caps=-all \
    --bounding-set=-all env -C /opt/holdgate -i "$@"
"""


@functools.cache
def instructions() -> tuple[tuple[str, str], ...]:
    """Return what the last stage of the Dockerfile says, as pairs of word and rest, with its arguments at defaults."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    last = max(at for at, line in enumerate(lines) if line[0] == "FROM")
    return tuple((word, rest) for word, rest in lines[last:])


def said(word: str) -> list[str]:
    """Return the rests of all lines of the last stage that begin with the word."""
    return [rest for first, rest in instructions() if first == word]


def environment() -> dict[str, str]:
    """Return what the image has in its environment; arguments of the build stand at their defaults."""
    given = dict(rest.partition("=")[::2] for rest in said("ARG"))
    found = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    for rest in said("ENV"):
        for word in shlex.split(rest):
            name, _, value = word.partition("=")
            known = {**given, **found}
            found[name] = re.sub(r"\$\{?(\w+)\}?", lambda asked, known=known: known[asked[1]], value)  # type: ignore[misc]
    return found


def context() -> Iterator[Path]:
    """Yield the files that an engine would be sent for `COPY .`, by .dockerignore; see its own rules there."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    for folder, below, names in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        below[:] = [name for name in below if _sent(here / name, patterns)]
        yield from (here / name for name in names if _sent(here / name, patterns))


def _sent(path: Path, patterns: Sequence[str]) -> bool:
    """Say whether the last pattern that names the path, or a folder above it, lets it through."""
    through = True
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        places = [path, *path.parents[:-1]]
        if bare.startswith("**/"):
            met = any(fnmatch.fnmatch(place.name, bare[3:]) for place in places)
        else:
            met = any(len(place.parts) == 1 and fnmatch.fnmatch(str(place), bare) for place in places)
        if met:
            through = pattern.startswith("!")
    return through


def packages() -> Iterator[importlib.metadata.Distribution]:
    """Yield what requirements/base.txt installs on this platform; each is there in the version that it names."""
    for line in (ROOT / "requirements" / "base.txt").read_text(encoding="utf-8").splitlines():
        if re.match(r"[a-zA-Z0-9]", line):
            wanted = Requirement(line.rstrip(" \\"))
            if wanted.marker is None or wanted.marker.evaluate():
                found = importlib.metadata.distribution(wanted.name)
                assert wanted.specifier.contains(found.version), f"{wanted}: {found.version} is installed"
                yield found


@dataclass(frozen=True)
class Image:
    """The image's files under a folder; its packages are links."""

    folder: Path

    @property
    def tree(self) -> Path:
        """Where the product lies."""
        return self.folder.joinpath(*TREE)

    def size(self) -> int:
        """Return the bytes of product and packages, without compiled files, Python and system."""
        kept = (self.folder / LIBRARY).rglob("*")
        here = [path for path in self.tree.rglob("*") if path.is_file()]
        links = [found for link in kept for found in ([link] if link.is_file() else link.resolve().rglob("*"))]
        return sum(path.stat().st_size for path in {*here, *links} if path.is_file() and path.suffix != ".pyc")

    def python(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the image's Python in its folder, as a process of this machine."""
        program = [str(self.folder / "opt/venv/bin/python"), *words]
        return subprocess.run(
            program, cwd=self.tree, env=environment, capture_output=True, text=True, timeout=GUARD, check=False
        )

    def container(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a script of `sh` in the image, as its user, on a read-only root without network. See `why_not`."""
        user, _, group = said("USER")[-1].partition(":")
        assert user == group
        # A Python that is built with a library of its own finds it under the place where it was installed.
        given = {**environment(), "LD_LIBRARY_PATH": str(PYTHON / "lib"), **more}
        names = [f"{name}={value}" for name, value in given.items()]
        own = [str(self.folder), sys.base_prefix, sysconfig.get_path("purelib"), user]
        words = ["unshare", "--mount", "--net", "sh", "-c", _ENTER, "sh", *own, *names, "sh", "-c", script]
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=GUARD, check=False
        )


def why_not() -> str:
    """Return why this machine runs no container as above; empty when it does."""
    missing = [name for name in ("unshare", "mount", "chroot", "setpriv", "ip") if shutil.which(name) is None]
    if missing:
        return f"the program {missing[0]} is missing"
    tried = ["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if subprocess.run(tried, capture_output=True, check=False).returncode:
        return "namespaces and mounts are not permitted here"
    return ""


def build(folder: Path, *, python: Path = Path(sys.base_prefix), site: Path | None = None) -> Image:
    """Lay the image out. Its Python and its packages are links to those below the two folders."""
    assert said("COPY") == ["--from=build /opt/venv /opt/venv", "--from=build /opt/holdgate /opt/holdgate"]
    made, site = Image(folder), site or Path(sysconfig.get_path("purelib"))
    for path in context():
        (made.tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, made.tree / path)
        if path.suffix == ".py" and (compiled := Path(importlib.util.cache_from_source(str(ROOT / path)))).exists():
            there = Path(importlib.util.cache_from_source(str(made.tree / path)))
            there.parent.mkdir(exist_ok=True)
            shutil.copy2(compiled, there)
    program = folder / "opt/venv/bin/python"
    program.parent.mkdir(parents=True)
    program.symlink_to(python / "bin" / LIBRARY.parent.name)
    (folder / "opt/venv/pyvenv.cfg").write_text(f"home = {python / 'bin'}\n", encoding="utf-8")
    (folder / LIBRARY).mkdir(parents=True)
    for one in packages():
        for top in {file.parts[0] for file in one.files or () if file.parts[0] not in {"..", "__pycache__"}}:
            link = folder / LIBRARY / top
            if not link.is_symlink():
                link.symlink_to(site / top)
    return made


def words_of(name: str) -> list[str]:
    """Return the words of the image's CMD or HEALTHCHECK."""
    rest = said(name)[-1]
    return [str(word) for word in json.loads(rest[rest.index("[") :])]
