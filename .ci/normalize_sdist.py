"""Give a .tar.gz the same bytes for the same content: sorted names, one time, no owner. Arguments: file, seconds."""

from __future__ import annotations

import gzip
import io
import sys
import tarfile
from pathlib import Path


def normalize(path: Path, seconds: int) -> None:
    """Write the archive again in place."""
    packed = io.BytesIO()
    with tarfile.open(path, "r:gz") as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            content = old.extractfile(member) if member.isfile() else None
            member.mtime, member.uid, member.gid, member.uname, member.gname = seconds, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, content)
    with path.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=seconds) as compressed:
        compressed.write(packed.getvalue())


if __name__ == "__main__":
    normalize(Path(sys.argv[1]), int(sys.argv[2]))
