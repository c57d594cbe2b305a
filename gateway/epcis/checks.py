"""The single checks validation is made of: texts, times, URIs, words, identifiers, quantities.

Good values pass through caches and cost a dictionary look-up, because a document repeats its
places, parties and words in every event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from math import isfinite
from typing import Any

from chaincode.errors import IdentifierError
from chaincode.gs1_keys import UNSAFE
from chaincode.identifiers import Identifier, parse
from gateway.epcis.document import pointer_token
from gateway.epcis.errors import Finding
from gateway.epcis.namespaces import Namespaces
from gateway.epcis.short_cache import short_cache
from gateway.epcis.vocabulary import GS1_VOC, GS1_VOC_ALIASES, Vocabulary

MAX_QUANTITY = 1e15
MAX_URI = 2048
MAX_FINDINGS = 1000
LONGEST_WORD = 40

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,12})?"
    r"(Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)?",
    re.ASCII,
)
_OFFSET = re.compile(r"[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_UNIT = re.compile(r"[A-Z0-9]{2,3}", re.ASCII)


@short_cache(1 << 14)
def time_fault(text: str) -> str:
    """ "" for an xsd:dateTimeStamp, TIME_WITHOUT_ZONE or BAD_TIME otherwise."""
    match = _TIME.fullmatch(text)
    if match is None:
        return "BAD_TIME"
    try:
        date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return "BAD_TIME"
    return "" if match[4] else "TIME_WITHOUT_ZONE"


def is_offset(value: Any) -> bool:
    """Whether `value` is an eventTimeZoneOffset such as "+02:00"."""
    return isinstance(value, str) and _OFFSET.fullmatch(value) is not None


@short_cache(1 << 14)
def is_uri(text: str) -> bool:
    """An absolute URI or CURIE without spaces, control or bidirectional characters."""
    return len(text) <= MAX_URI and _URI.fullmatch(text) is not None and not UNSAFE.search(text)


@short_cache(1 << 16)
def identifier_or_fault(text: str) -> Identifier | IdentifierError:
    """What `chaincode.identifiers.parse` gives or raises."""
    try:
        return parse(text)
    except IdentifierError as error:
        return error


def nearest(word: str, words: Iterable[str]) -> str:
    """(did you mean ...?)" or ""."""
    close = get_close_matches(word, list(words), 1)
    return f" (did you mean {close[0]}?)" if close else ""


class Checker:
    """Collects findings; one per event, sharing the document's list and namespaces."""

    __slots__ = ("_findings", "namespaces")

    def __init__(self, findings: list[Finding], namespaces: Namespaces) -> None:
        self._findings = findings
        self.namespaces = namespaces

    def add(self, pointer: str, code: str, message: str) -> None:
        """Note a fault; beyond `MAX_FINDINGS` of one list nothing more is noted."""
        if len(self._findings) <= MAX_FINDINGS:
            self._findings.append(Finding(pointer, code, message))

    # -- shapes -----------------------------------------------------------------------------------

    def mapping(self, value: Any, pointer: str) -> Mapping[str, Any] | None:
        if isinstance(value, Mapping):
            return value
        self.add(pointer, "WRONG_TYPE", "an object is expected")
        return None

    def items(self, value: Any, pointer: str, *, nonempty: bool = False) -> Sequence[Any]:
        if not isinstance(value, list):
            self.add(pointer, "WRONG_TYPE", "a list is expected")
            return ()
        if nonempty and not value:
            self.add(pointer, "EMPTY", "at least one element is expected")
        return value

    def unique(self, values: Sequence[Any], pointer: str) -> None:
        texts = [value for value in values if isinstance(value, str)]
        if len(set(texts)) == len(texts):
            return
        seen: set[str] = set()
        for index, value in enumerate(values):
            if isinstance(value, str):
                if value in seen:
                    self.add(f"{pointer}/{index}", "DUPLICATE", f"{value[:80]} is listed twice")
                seen.add(value)

    # -- scalars ----------------------------------------------------------------------------------

    def time(
        self, holder: Mapping[str, Any], name: str, pointer: str, *, required: bool = False
    ) -> None:
        value = holder.get(name)
        if isinstance(value, str):
            fault = time_fault(value)
            if fault:
                self.add(
                    f"{pointer}/{name}",
                    fault,
                    f"{value[:60]!r} "
                    + ("has no zone" if fault == "TIME_WITHOUT_ZONE" else "is no time")
                    + "; a form such as 2026-03-01T08:30:00.000+01:00 is accepted",
                )
        elif value is not None or name in holder:
            self.add(f"{pointer}/{name}", "WRONG_TYPE", "a time in a text is expected")
        elif required:
            self.add(f"{pointer}/{name}", "MISSING", f"{name} is missing")

    def uri(self, holder: Mapping[str, Any], name: str, pointer: str) -> None:
        self.uri_text(holder[name], f"{pointer}/{name}")

    def uri_text(self, value: Any, pointer: str) -> None:
        if not isinstance(value, str):
            self.add(pointer, "WRONG_TYPE", "a URI in a text is expected")
        elif not is_uri(value):
            shown = value[:80].encode("ascii", "backslashreplace").decode()
            self.add(pointer, "BAD_URI", f"{shown!r} is no absolute URI without spaces")

    def number(self, value: Any, pointer: str) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.add(pointer, "WRONG_TYPE", "a number is expected")
            return False
        if not isfinite(value):
            self.add(pointer, "BAD_VALUE", "a finite number is expected")
            return False
        return True

    def term(self, vocabulary: Vocabulary, value: Any, pointer: str) -> None:
        """A CBV word (bare, CURIE or URI), or a URI of another vocabulary."""
        if isinstance(value, str) and value in vocabulary.words:
            return
        if not isinstance(value, str):
            self.add(pointer, "WRONG_TYPE", f"a {vocabulary.name} in a text is expected")
            return
        if ":" in value:
            self.uri_text(value, pointer)
            word = _standard_word(vocabulary, self.namespaces.expand(value))
            if word is None or word in vocabulary.words:
                return
        else:
            word = value
        self.add(
            pointer,
            "UNKNOWN_WORD",
            f"{word[:60]!r} is no {vocabulary.name} of CBV 2.0"
            + nearest(word, vocabulary.words)
            + "; a word of CBV 2.0 or a URI of your own is accepted",
        )

    # -- identifiers and quantities ---------------------------------------------------------------

    def identifier(self, value: Any, pointer: str) -> Identifier | None:
        if not isinstance(value, str):
            self.add(pointer, "WRONG_TYPE", "an identifier in a text is expected")
            return None
        found = identifier_or_fault(value)
        if isinstance(found, IdentifierError):
            self.add(pointer, found.code, found.message)
            return None
        if ":" not in value:
            self.add(
                pointer,
                "BAD_URI",
                f"{value[:80]!r} is no URI; EPCIS takes a Digital Link such as {found.uri}",
            )
        return found

    def epcs(self, value: Any, pointer: str) -> None:
        if not isinstance(value, list):
            self.add(pointer, "WRONG_TYPE", "a list of identifiers is expected")
            return
        for index, text in enumerate(value):
            found = self.identifier(text, f"{pointer}/{index}")
            if found is not None and found.kind in ("gtin", "lgtin"):
                self.add(
                    f"{pointer}/{index}",
                    "CLASS_AS_INSTANCE",
                    f"{text[:80]} names a product or lot; here single things are listed, "
                    "quantities of a lot belong into a quantity list",
                )
        if len(value) > 1:
            self.unique(value, pointer)

    def quantities(self, value: Any, pointer: str) -> None:
        for index, item in enumerate(self.items(value, pointer)):
            self.quantity(item, f"{pointer}/{index}")

    def quantity(self, value: Any, pointer: str) -> None:
        element = self.mapping(value, pointer)
        if element is None:
            return
        if "epcClass" not in element:
            self.add(pointer + "/epcClass", "MISSING", "epcClass is missing")
        else:
            found = self.identifier(element["epcClass"], pointer + "/epcClass")
            if found is not None and found.kind in ("sgtin", "sscc"):
                self.add(
                    pointer + "/epcClass",
                    "INSTANCE_AS_CLASS",
                    f"{element['epcClass'][:80]} names one thing; a class or lot is expected",
                )
        unit = element.get("uom")
        if "uom" in element:
            self.unit(unit, pointer + "/uom")
        if "quantity" in element:
            self._amount(element["quantity"], "uom" in element, pointer + "/quantity")
        elif "uom" in element:
            self.add(pointer + "/quantity", "MISSING", "quantity is missing where uom is given")
        for name in element:
            if name not in ("epcClass", "quantity", "uom"):
                self.add(
                    f"{pointer}/{pointer_token(name)}",
                    "UNKNOWN_PROPERTY",
                    f"{name[:60]!r}: only epcClass, quantity and uom are known here",
                )

    def _amount(self, value: Any, has_unit: bool, pointer: str) -> None:
        if not self.number(value, pointer):
            return
        if value < 0 or value >= MAX_QUANTITY:
            self.add(pointer, "BAD_QUANTITY", f"{value} is no quantity: 0 to 1e15 is accepted")
        elif not has_unit and isinstance(value, float) and not value.is_integer():
            self.add(
                pointer,
                "BAD_QUANTITY",
                f"{value} without uom counts things: a whole number is accepted",
            )

    def unit(self, value: Any, pointer: str) -> None:
        if not isinstance(value, str) or not _UNIT.fullmatch(value):
            self.add(
                pointer,
                "BAD_VALUE",
                f"{str(value)[:40]!r} is no UN/CEFACT Recommendation 20 unit such as KGM",
            )

    def typed(self, value: Any, name: str, vocabulary: Vocabulary, pointer: str) -> None:
        """A bizTransactionList, sourceList or destinationList."""
        for index, item in enumerate(self.items(value, pointer)):
            where = f"{pointer}/{index}"
            entry = self.mapping(item, where)
            if entry is None:
                continue
            if "type" in entry:
                self.term(vocabulary, entry["type"], where + "/type")
            elif name != "bizTransaction":
                self.add(where + "/type", "MISSING", "type is missing")
            if name in entry:
                self.identifier(entry[name], f"{where}/{name}")
            else:
                self.add(f"{where}/{name}", "MISSING", f"{name} is missing")
            for other in entry:
                if other not in ("type", name):
                    self.add(
                        f"{where}/{pointer_token(other)}",
                        "UNKNOWN_PROPERTY",
                        f"{other[:60]!r}: only type and {name} are known here",
                    )

    # -- extensions -------------------------------------------------------------------------------

    def extension_name(self, name: str, pointer: str) -> bool:
        """Whether `name` is a property in a namespace somebody declared."""
        if name.startswith("@"):
            return True
        prefix, colon, local = name.partition(":")
        if not colon or not local:
            self.add(
                pointer,
                "UNKNOWN_PROPERTY",
                f"{name[:60]!r} is no EPCIS property; an extension needs a namespace prefix",
            )
            return False
        if local.startswith("//") or prefix.lower() == "urn":
            return is_uri(name)
        if self.namespaces.namespace(prefix) is None and not self.namespaces.foreign:
            self.add(
                pointer,
                "UNKNOWN_NAMESPACE",
                f"the prefix {prefix[:40]!r} is not declared in @context",
            )
            return False
        return True

    def extensions(self, holder: Mapping[str, Any], known: frozenset[str], pointer: str) -> None:
        """Names of `holder` outside `known` are extensions."""
        for name in holder:
            if name not in known:
                self.extension_name(name, f"{pointer}/{pointer_token(name)}")


def _standard_word(vocabulary: Vocabulary, uri: str) -> str | None:
    """The word of a URI that claims to be of this vocabulary; None for any other URI."""
    if vocabulary.urn and uri.startswith(vocabulary.urn):
        return uri[len(vocabulary.urn) :]
    stems = (GS1_VOC, *GS1_VOC_ALIASES) if vocabulary.web_uri == GS1_VOC else (vocabulary.web_uri,)
    for stem in stems:
        if uri.startswith(stem):
            return uri[len(stem) :]
    return None
