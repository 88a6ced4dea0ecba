"""Terminal output of `tinyllm push`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.maintenance import size
from tinyllm_cli.errors import UsageProblem

if TYPE_CHECKING:
    from tinyllm_cli.api.publishing import PushResult


def confirmed(console: Console, planned: PushResult, *, yes: bool) -> bool:
    """Show what would be uploaded, and ask. Raises UsageProblem where that can't be asked."""
    visibility = "private" if planned.private else "public"
    where = f"{'the existing' if planned.exists else 'a new'} {visibility} repository {planned.url}"
    console.say(f"To publish: {planned.what}, to {where}, as {planned.account}")
    for one in planned.files:
        console.say(f"  {size(one.size):>12}  {one.path}")
    console.say(f"  {size(sum(one.size for one in planned.files)):>12}  in all")
    if planned.left_out:
        console.say(f"Not uploaded: {', '.join(planned.left_out)}")
    console.say(f"Licence: {planned.license or 'none stated (--license)'}")
    if planned.unlicensed:
        console.say(f"Sources without a licence on the card (--source-license): {', '.join(planned.unlicensed)}")
    if yes:
        return True
    if console.json or not console.can_ask:
        raise UsageProblem(
            "Publishing needs a confirmation, and there is no terminal to ask for it.", "Add --yes to publish this."
        )
    return console.confirm("Publish this?")
