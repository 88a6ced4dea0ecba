"""The limit of open files, which each request in flight counts against: a connection is one."""

from __future__ import annotations

import resource

from backends.base import BadTeacherConfig

__all__ = ["allow_connections"]

_WANTED = 65_536
_OTHER_FILES = 64
"""Open files besides the connections: the database, libraries, pipes."""


def allow_connections(least: int) -> None:
    """Raise the soft limit of open files as far as the hard limit allows.

    Raises BadTeacherConfig when it stays too low for `least` connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    limit = _WANTED if soft == resource.RLIM_INFINITY else max(soft, limit)
    if least + _OTHER_FILES > limit:
        raise BadTeacherConfig(
            f"{least} connections need {least + _OTHER_FILES} open files, and this system allows {limit}.",
            "Raise the limit (ulimit -Hn), or give fewer base_urls or a smaller max_in_flight.",
        )
