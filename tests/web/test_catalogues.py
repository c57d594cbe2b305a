"""Every message has its translation, with the same parameters, in every language."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from babel.messages.pofile import read_po

from gateway.credentials.sentences import SENTENCES
from gateway.web.catalogues import DEFAULT, LANGUAGES, negotiate, speech
from gateway.web.headlines import HEADLINES
from gateway.web.messages import messages

OTHERS = [language for language in LANGUAGES if language != DEFAULT]
PARAMETER = re.compile(r"%\((\w+)\)s")
IDS = {message.id for message in messages() if isinstance(message.id, str) and message.id}


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_left_untranslated_or_obsolete(language: str) -> None:
    found = speech(language).messages
    assert IDS - found.keys() == set()
    assert found.keys() - IDS == set()


@pytest.mark.parametrize("language", OTHERS)
def test_parameters_survive_translation(language: str) -> None:
    """A lost %(date)s shows a sentence without its point; a foreign one crashes the page."""
    for message, text in speech(language).messages.items():
        assert sorted(PARAMETER.findall(text)) == sorted(PARAMETER.findall(message)), message
        assert "%" not in PARAMETER.sub("", text)


@pytest.mark.parametrize("language", OTHERS)
def test_translations_are_translations(language: str) -> None:
    same = {m for m, text in speech(language).messages.items() if m == text and len(m) > 12}
    assert same == set()


@pytest.mark.parametrize("language", ["zh", "ar"])
def test_the_script_is_the_languages_own(language: str) -> None:
    script = {"zh": r"[\u4e00-\u9fff]", "ar": r"[\u0600-\u06ff]"}[language]
    for message, text in speech(language).messages.items():
        assert re.search(script, text), message


def test_catalogues_are_valid_po_files() -> None:
    for language in OTHERS:
        path = files("gateway").joinpath("web", "locales", f"{language}.po")
        with path.open("rb") as file:
            catalogue = read_po(file, locale=language, abort_invalid=True)
        for message in catalogue:
            assert list(message.check(catalogue)) == []
            assert not message.fuzzy


def test_every_sentence_and_headline_is_extracted() -> None:
    assert {sentence.text for sentence in SENTENCES.values()} <= IDS
    assert {text for head in HEADLINES.values() for text in (head.title, head.advice)} <= IDS


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH,fr;q=0.9", "de"),
        ("pt,fr;q=0.8,en;q=0.9", "en"),
        ("zh-Hant-TW", "zh"),
        ("AR", "ar"),
        ("xx, es;q=0.1", "es"),
        ("fr;q=0, de;q=0.5", "de"),
        ("*", "en"),
        ("fr;q=abc", "en"),
        ("\x00,;;==", "en"),
    ],
)
def test_accept_language(header: str, language: str) -> None:
    assert negotiate(header) == language


def test_arabic_reads_from_the_right() -> None:
    assert speech("ar").direction == "rtl"
    assert {speech(code).direction for code in LANGUAGES if code != "ar"} == {"ltr"}
