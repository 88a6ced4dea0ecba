"""What mkdocs needs beyond the pages of docs/: pages from the repository's root, and links that work in the site."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
ROOT_PAGES = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "benchmarks.md": "benchmarks/README.md",
}
"""Page of the site -> file of the repository."""

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]+)(#[^)\s]+)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in docs/."""
    for page, source in ROOT_PAGES.items():
        text = _linked((ROOT / source).read_text(encoding="utf-8"), ROOT / source)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links of a page in docs/ to files outside docs/."""
    del config, files
    source = Path(__file__).parent / page.file.src_uri
    return _linked(markdown, source) if page.file.src_uri not in ROOT_PAGES else markdown


def on_post_build(config: Any) -> None:
    """The pages as Markdown beside the HTML, for llms.txt."""
    for path in Path(__file__).parent.glob("*.md"):
        shutil.copy(path, Path(config["site_dir"]) / path.name)


def _linked(text: str, source: Path) -> str:
    """The text with its links as they are in the site. A file that is not in the site is named without a link."""
    pages = {ROOT / path: page for page, path in ROOT_PAGES.items()}
    docs = Path(__file__).parent

    def shown(found: re.Match[str]) -> str:
        mark, label, target, anchor = found[1], found[2], found[3], found[4] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        file = (source.parent / target).resolve()
        if file in pages:
            return f"{mark}[{label}]({pages[file]}{anchor})"
        if file.is_relative_to(docs) and file.is_file():
            return f"{mark}[{label}]({file.relative_to(docs).as_posix()}{anchor})"
        return label if label.startswith("`") else f"`{label}`"

    return _LINK.sub(shown, text)
