"""Which messages the pages have: extracted from the templates and the code, for the catalogues.

``python -m gateway.web.messages`` adds new messages to every ``locales/*.po``, empty, and drops
those no longer used; a test fails while any message lacks its translation.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from gateway.web.catalogues import DEFAULT, LANGUAGES

SOURCES = ("credentials/sentences.py", "http/pages.py", "web")
_KEYWORDS = {"_": None, "N_": None, "t": None}


def messages() -> Catalog:
    """Every message id, with the files it is used in."""
    catalogue = Catalog(project="Tracemark", charset="utf-8", fuzzy=False)
    with as_file(files("gateway")) as root:
        for path in _source_files(root):
            method = "jinja2" if path.suffix == ".html" else "python"
            with path.open("rb") as file:
                options = {"encoding": "utf-8"}
                for _, message, _, _ in extract(method, file, _KEYWORDS, options=options):
                    if isinstance(message, str) and message:
                        catalogue.add(message, locations=[(str(path.relative_to(root)), 1)])
    return catalogue


def _source_files(root: Path) -> Iterator[Path]:
    for name in SOURCES:
        source = root / name
        if source.is_file():
            yield source
        else:
            yield from sorted((*source.glob("*.py"), *source.glob("templates/*.html")))


def update(folder: Path) -> None:
    """Bring every catalogue below `folder` up to date with :func:`messages`."""
    template = messages()
    for language in LANGUAGES:
        if language == DEFAULT:
            continue
        path = folder / f"{language}.po"
        catalogue = Catalog(locale=language, project="Tracemark", charset="utf-8", fuzzy=False)
        if path.exists():
            with path.open("rb") as file:
                catalogue = read_po(file, locale=language, charset="utf-8")
        catalogue.update(template, no_fuzzy_matching=True)
        with path.open("wb") as file:
            write_po(
                file,
                catalogue,
                omit_header=False,
                ignore_obsolete=True,
                sort_output=True,
                width=0,
                no_location=True,
            )


if __name__ == "__main__":
    update(Path(__file__).parent / "locales")
