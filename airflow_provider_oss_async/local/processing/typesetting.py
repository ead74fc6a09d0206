"""Typst markup to PDF, in a process of its own: Typst frees its caches only when its process ends.

``python -m airflow_provider_oss_async.local.processing.typesetting FILE.typ FILE.pdf`` is that process.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from airflow_provider_oss_async.local.processing.result import JobFailed

#: How long one run may take, in seconds.
TIME_LIMIT = 300.0


def typeset(body: str, workdir: Path, name: str, **settings: str) -> Path:
    """Compile Typst markup that uses ``layout.typ``.

    :param body: the markup.
    :param workdir: where the files lie that the markup reads; it can read no others.
    :param name: name of the result, without extension.
    :param settings: arguments of ``document`` in ``layout.typ``, as Typst code.
    :return: the PDF file.
    :raises JobFailed: Typst does not accept the markup, or takes too long.
    """
    shutil.copyfile(Path(__file__).with_name("layout.typ"), workdir / "layout.typ")
    given = ", ".join(f"{key}: {value}" for key, value in settings.items())
    markup, target = workdir / f"{name}.typ", workdir / f"{name}.pdf"
    markup.write_text(f'#import "layout.typ": *\n#show: document.with({given})\n{body}\n', encoding="utf-8")
    command = [sys.executable, "-m", __name__, str(markup.resolve()), str(target.resolve())]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise JobFailed("Timeout", f"The document was not laid out within {TIME_LIMIT:g} s") from None
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"])[
            -1
        ]
        reason = reason.replace(str(workdir.resolve()), "").replace(str(workdir), "")
        raise JobFailed("ProcessingFailed", f"The document cannot be laid out: {reason[:300]}")
    return target


def font_folders() -> list[str]:
    """Return the folders of the fonts that come as packages: all installed ``justmytype`` packs, and Arabic.

    The letters of Noto Sans Arabic are composed of several glyphs each, and PDFium extracts them twice.
    """
    packs = (pack.load()() for pack in entry_points(group="justmytype.packs"))
    folders = [str(folder) for pack in packs for folder in pack.get_font_directories()]
    return [*folders, str(files("fontpkg_ibm_plex_sans_arabic"))]


def _main(markup: str, target: str) -> None:
    import typst

    # No fonts of the machine: a document looks the same everywhere.
    fonts = typst.Fonts(include_system_fonts=False, font_paths=font_folders())
    try:
        typst.compile(markup, target, root=str(Path(markup).parent), font_paths=fonts, pdf_tags=False)
    except typst.TypstError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    _main(*sys.argv[1:])
