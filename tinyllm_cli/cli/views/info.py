"""What `tinyllm info` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyllm_cli.terminal import plain_table

if TYPE_CHECKING:
    from tinyllm_cli.api.environment import Device, InfoResult, Location
    from tinyllm_cli.cli.views.console import Console


def show_info(console: Console, found: InfoResult) -> None:
    """Four tables; packages that are not installed are named below the first."""
    installed = [(name, number) for name, number in found.packages.items() if number]
    missing = [name for name, number in found.packages.items() if not number]
    own = [("tinyllm", found.tinyllm), ("Python", found.python), ("platform", found.platform)]
    console.show(
        plain_table(
            "Versions", ["", "version"], [*own, *installed],
            caption=f"Not installed: {', '.join(missing)}." if missing else "",
        )
    )  # fmt: skip
    if found.torch_error is not None:
        console.say(f"torch can't be imported: {found.torch_error}\n")
    else:
        console.show(
            plain_table(
                "Devices, best first", ["kind", "name", ">memory"], map(_device, found.devices),
                caption=f"CPU threads: {found.cpu_threads}. --precision auto: {found.default_precision}.",
            )
        )  # fmt: skip
    console.show(
        plain_table("Paths", ["", "path", "exists"], [(name, *_row(one)) for name, one in found.paths.items()])
    )
    console.say(f"Backends: {', '.join(found.backends)}")
    console.say(f"Variables that are set: {', '.join(found.variables) or 'none'}")


def _device(one: Device) -> tuple[str, str, str]:
    return one.kind, one.name, "" if one.memory is None else f"{one.memory / 2**30:.1f} GiB"


def _row(one: Location) -> tuple[str, str]:
    size = "" if one.bytes is None else f" ({one.bytes:,} bytes)"
    return one.path, f"yes{size}" if one.exists else "no"
