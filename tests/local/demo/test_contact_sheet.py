from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_oss_async.local.demo.contact_sheet import write_contact_sheet

if TYPE_CHECKING:
    from pathlib import Path


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def links(self, tag: str, attribute: str) -> list[str]:
        return [unquote(attrs[attribute] or "") for name, attrs in self.tags if name == tag]


def test_every_kind_of_file_is_shown(tmp_path: Path) -> None:
    names = ("frames/a.jpg", "b.webp", "c.mp4", "d.mp3", "e.pdf", "f.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a line of text")
    sheet = write_contact_sheet(tmp_path, [("all", [tmp_path / name for name in names])])
    text = sheet.read_text()
    page = Page(text)
    assert page.links("img", "src") == ["./frames/a.jpg", "./b.webp"]
    assert page.links("video", "src") == ["./c.mp4"]
    assert page.links("audio", "src") == ["./d.mp3"]
    assert page.links("a", "href") == [f"./{name}" for name in names]
    assert "<pre>a line of text</pre>" in text
    assert "http" not in text


def test_names_and_texts_are_escaped(tmp_path: Path) -> None:
    picture, note = tmp_path / "\"><script>'&#%41:.png", tmp_path / "n.txt"
    picture.write_bytes(b"")
    note.write_text("<script>alert(1)</script>")
    page = Page(write_contact_sheet(tmp_path, [("<script>", [picture, note])]).read_text())
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.links("img", "src") == [f"./{picture.name}"]
