"""A page that shows pictures, video, audio and text, with relative links and nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_PICTURES = (".gif", ".jpeg", ".jpg", ".png", ".webp")
_VIDEOS = (".mov", ".mp4", ".webm")
_SOUNDS = (".aac", ".flac", ".mp3", ".oga", ".opus")
#: What an operation does, and what one of its pictures shows.
OPERATIONS = {
    "doc/convert": ("Document conversion", "Page"),
    "video/convert": ("Video transcoding", "Video"),
    "video/animation": ("Video to animated image", "Animation"),
    "video/snapshots": ("Frame capture", "Frame"),
    "video/sprite": ("Sprite sheet", "Sheet of frames"),
    "video/concat": ("Video merging", "Video"),
    "audio/convert": ("Audio transcoding", "Audio"),
    "audio/concat": ("Audio merging", "Audio"),
}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
section > div { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0; max-width: 100% }
img, video { border: 1px solid #ccc; display: block; max-height: 20rem; max-width: 100% }
pre { border: 1px solid #ccc; max-height: 20rem; overflow: auto; padding: .5rem; white-space: pre-wrap }
figcaption { font-size: .8rem; overflow-wrap: anywhere }
"""


def write_contact_sheet(
    folder: Path, jobs: Iterable[tuple[str, str, list[Path]]], title: str = "Results of the demonstration"
) -> Path:
    """Write ``index.html``.

    :param folder: where to; all files are below it.
    :param jobs: of each job the operation, such as ``video/snapshots``, the key of its source, and its files.
    :param title: of the page.
    :return: the page.
    """
    parts = []
    for operation, source, files in jobs:
        name, shown = OPERATIONS.get(operation, (operation, "Result"))
        figures = []
        for number, file in enumerate(files, 1):
            count = f" {number} of {len(files)}" if len(files) > 1 else ""
            figures.append(_figure(folder, file, f"{shown}{count} made from {source}"))
        heading = f"<h2>{escape(name)} (<code>{escape(operation)}</code>) of {escape(source)}</h2>"
        parts.append(f"<section>\n{heading}\n<div>\n{''.join(figures)}</div>\n</section>")
    page = folder / "index.html"
    folder.mkdir(parents=True, exist_ok=True)
    page.write_text(
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n",
        encoding="utf-8",
    )
    return page


def _figure(folder: Path, file: Path, description: str) -> str:
    name = file.relative_to(folder).as_posix()
    # Quoted with a leading ./, so that a name with a colon is not taken for another scheme.
    link, shown, kind = escape(f"./{quote(name)}"), escape(name), file.suffix.lower()
    label = escape(description)
    if kind in _PICTURES:
        body = f'<img src="{link}" alt="{label}" loading="lazy">'
    elif kind in _VIDEOS:
        body = f'<video src="{link}" aria-label="{label}" controls preload="metadata"></video>'
    elif kind in _SOUNDS:
        body = f'<audio src="{link}" aria-label="{label}" controls></audio>'
    elif kind == ".txt":
        body = f"<pre>{escape(file.read_text(encoding='utf-8', errors='replace'))}</pre>"
    else:
        body = ""
    return f'<figure>{body}<figcaption><a href="{link}">{shown}</a></figcaption></figure>\n'
