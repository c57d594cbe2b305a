"""Languages of the pages: Babel catalogues read at start, and which one a request gets.

Catalogues are ``locales/<language>.po``; English is the message ids themselves. No compiled file
is kept: reading six catalogues takes milliseconds and happens once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from importlib.resources import files

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "es": "Español",
    "fr": "Français",
    "de": "Deutsch",
    "zh": "中文",
    "ar": "العربية",
}
"""Language code -> its name in itself, in the order the page offers them."""

DEFAULT = "en"
RIGHT_TO_LEFT = frozenset({"ar"})


@dataclass(frozen=True, slots=True)
class Speech:
    """One language: translates messages and writes dates, numbers and country names."""

    language: str
    messages: Mapping[str, str]
    locale: Locale

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`."""
        return "rtl" if self.language in RIGHT_TO_LEFT else "ltr"

    def __call__(self, message: str, **params: object) -> str:
        """`message` in this language, with its ``%(name)s`` parameters filled in."""
        text = self.messages.get(message) or message
        return text % params if params else text

    def day(self, day: date) -> str:
        """A date in words, as people of this language write it."""
        return format_date(day, format="medium", locale=self.locale)

    def moment(self, at: datetime) -> str:
        """A date and time of day."""
        return format_datetime(at, format="medium", locale=self.locale)

    def iso_day(self, text: str) -> str:
        """A ``YYYY-MM-DD`` date in words; other text as it is."""
        try:
            return self.day(date.fromisoformat(text))
        except ValueError:
            return text

    def country(self, code: str) -> str:
        """A country's name of its ISO 3166-1 alpha-2 code."""
        return str(self.locale.territories.get(code, code))

    def number(self, value: float | str) -> str:
        """A number with this language's separators."""
        return format_decimal(value, locale=self.locale)


@cache
def speech(language: str) -> Speech:
    """The speech of a language code of :data:`LANGUAGES`."""
    return Speech(language, _messages(language), Locale.parse(language))


@lru_cache(maxsize=512)
def negotiate(accept_language: str) -> str:
    """The best language for an ``Accept-Language`` header (RFC 9110 §12.5.4)."""
    best, best_weight = DEFAULT, 0.0
    for part in accept_language[:200].split(","):
        tag, _, rest = part.strip().partition(";")
        weight = _weight(rest)
        primary = tag.strip().lower().partition("-")[0]
        if weight > best_weight and (primary in LANGUAGES or primary == "*"):
            best, best_weight = (DEFAULT if primary == "*" else primary), weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0


def _messages(language: str) -> Mapping[str, str]:
    if language == DEFAULT:
        return {}
    path = files("gateway").joinpath("web", "locales", f"{language}.po")
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language, charset="utf-8")
    return {
        message.id: message.string
        for message in catalogue
        if message.id
        and isinstance(message.id, str)
        and isinstance(message.string, str)
        and message.string
    }
