"""A wall clock that a test moves under a running process: a library loaded before all others shifts CLOCK_REALTIME.

Whatever the process asks (Python, PostgreSQL, SQLite, TLS) reads the time through the C library, and so gets the moved
one. The monotonic clock is left alone, as it is when an administrator or NTP moves the clock of a machine.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import services

HOUR = 3600
_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    static volatile long *seconds;
    if (!seconds) {
        const char *path = getenv("TEST_CLOCK");
        int file = path ? open(path, O_RDONLY) : -1;
        void *map = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
        if (file >= 0) close(file);
        if (map == MAP_FAILED) return 0;
        seconds = map;
    }
    return *seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return (int)failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (where) *where = exact.tv_sec;
    return exact.tv_sec;
}
"""


@dataclass(frozen=True)
class Clock:
    """The clock of the processes that are started with its `environment`."""

    library: Path
    file: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "TEST_CLOCK": str(self.file)}

    def move(self, seconds: int) -> None:
        """Set the clock so many seconds before or behind the machine's, from now on."""
        with self.file.open("r+b") as file:
            file.write(struct.pack("l", seconds))


def made(folder: Path, name: str) -> Clock:
    """Return a clock that is right; skip where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        services.missing("a C compiler, for clocks that are moved,", "HOLDGATE_REQUIRE_SERVICES")
    library, file = folder / "clock.so", folder / f"{name}.clock"
    if not library.exists():
        command = [compiler, "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=_SOURCE, text=True, check=True)
    file.write_bytes(struct.pack("l", 0))
    return Clock(library, file)
