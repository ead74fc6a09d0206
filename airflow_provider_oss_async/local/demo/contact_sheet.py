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
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
section > div { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0; max-width: 100% }
img, video { border: 1px solid #ccc; display: block; max-height: 20rem; max-width: 100% }
pre { border: 1px solid #ccc; max-height: 20rem; overflow: auto; padding: .5rem; white-space: pre-wrap }
figcaption { font-size: .8rem; overflow-wrap: anywhere }
"""


def write_contact_sheet(folder: Path, sections: Iterable[tuple[str, list[Path]]]) -> Path:
    """Write ``index.html``.

    :param folder: where to; all files are below it.
    :param sections: headings, each with its files.
    :return: the page.
    """
    parts = []
    for title, files in sections:
        figures = "".join(_figure(folder, file) for file in files)
        parts.append(f"<section>\n<h2>{escape(title)}</h2>\n<div>\n{figures}</div>\n</section>")
    page = folder / "index.html"
    folder.mkdir(parents=True, exist_ok=True)
    page.write_text(
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Outputs</title>\n<style>{_STYLE}</style>\n<h1>Outputs</h1>\n" + "\n".join(parts) + "\n",
        encoding="utf-8",
    )
    return page


def _figure(folder: Path, file: Path) -> str:
    name = file.relative_to(folder).as_posix()
    # Quoted with a leading ./, so that a name with a colon is not taken for another scheme.
    link, shown, kind = escape(f"./{quote(name)}"), escape(name), file.suffix.lower()
    if kind in _PICTURES:
        body = f'<img src="{link}" alt="{shown}" loading="lazy">'
    elif kind in _VIDEOS:
        body = f'<video src="{link}" controls preload="metadata"></video>'
    elif kind in _SOUNDS:
        body = f'<audio src="{link}" controls></audio>'
    elif kind == ".txt":
        body = f"<pre>{escape(file.read_text(encoding='utf-8', errors='replace'))}</pre>"
    else:
        body = ""
    return f'<figure>{body}<figcaption><a href="{link}">{shown}</a></figcaption></figure>\n'
