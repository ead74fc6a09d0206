from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_oss_async.local.demo import contact_sheet
from airflow_provider_oss_async.local.demo.contact_sheet import write_contact_sheet
from airflow_provider_oss_async.process import SPECIFICATIONS

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
    sheet = write_contact_sheet(tmp_path, [("video/convert", "a.mp4", [tmp_path / name for name in names])])
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
    page = Page(write_contact_sheet(tmp_path, [("<script>", "<script>", [picture, note])]).read_text())
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.links("img", "src") == [f"./{picture.name}"]


def test_headings_and_descriptions_say_what_is_seen(tmp_path: Path) -> None:
    frames = [tmp_path / f"{number}.png" for number in range(3)]
    jobs = [
        ("video/snapshots", "samples/a.mp4", frames),
        ("video/animation", "samples/a.mp4", [tmp_path / "b.gif"]),
        ("video/concat", "samples/a.mp4", [tmp_path / "c.mp4"]),
        ("style/own", "samples/a.mp4", [tmp_path / "d.jpg"]),
    ]
    text = write_contact_sheet(tmp_path, jobs, "Jobs & results").read_text()
    page = Page(text)
    assert page.links("img", "alt") == [
        "Frame 1 of 3 made from samples/a.mp4",
        "Frame 2 of 3 made from samples/a.mp4",
        "Frame 3 of 3 made from samples/a.mp4",
        "Animation made from samples/a.mp4",
        "Result made from samples/a.mp4",
    ]
    assert page.links("video", "aria-label") == ["Video made from samples/a.mp4"]
    assert "<title>Jobs &amp; results</title>" in text
    assert "<h2>Frame capture (<code>video/snapshots</code>) of samples/a.mp4</h2>" in text
    assert "<h2>style/own (<code>style/own</code>) of samples/a.mp4</h2>" in text


def test_every_operation_with_objects_has_a_name() -> None:
    writing = {name for name, specification in SPECIFICATIONS.items() if specification.writes_object}
    missing, unknown = writing - contact_sheet.OPERATIONS.keys(), contact_sheet.OPERATIONS.keys() - writing
    assert not missing, f"name {', '.join(missing)} in OPERATIONS in local/demo/contact_sheet.py"
    assert not unknown, f"{', '.join(unknown)} in local/demo/contact_sheet.py writes no object"
