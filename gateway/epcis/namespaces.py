"""Prefixes of a JSON-LD document and the names they stand for.

Only what a document itself declares counts, plus the prefixes of the EPCIS 2.0 context: a remote
context is never fetched, so a document means the same in any place and at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.epcis.vocabulary import EPCIS_CONTEXTS, STANDARD_PREFIXES, VALUE_PREFIXES

_COMMENT = STANDARD_PREFIXES["rdfs"] + "comment"
_SPACES = frozenset(" \t\r\n")


class Namespaces:
    """Prefix to namespace IRI; `foreign`: a remote context other than EPCIS's may declare more."""

    __slots__ = ("_names", "_values", "declared", "foreign")

    def __init__(self, declared: Mapping[str, str], foreign: bool = False) -> None:
        self.declared = dict(declared)
        self.foreign = foreign
        self._values = {p: self.declared.get(p, STANDARD_PREFIXES[p]) for p in VALUE_PREFIXES}
        self._names: dict[str, str | None] = {}

    @classmethod
    def of(cls, context: Any) -> Namespaces:
        """The prefixes of an ``@context`` value: a string, an object, a list of them, or None."""
        return cls(declarations(context), has_foreign(context))

    def extended(self, context: Any) -> Namespaces:
        """These prefixes and those of a nested context, which win."""
        more = declarations(context)
        foreign = self.foreign or has_foreign(context)
        return Namespaces(self.declared | more, foreign) if more or foreign else self

    def namespace(self, prefix: str) -> str | None:
        """The namespace a prefix stands for, or None where nobody declares it."""
        return self.declared.get(prefix) or STANDARD_PREFIXES.get(prefix)

    def clark_name(self, name: str) -> str | None:
        """``{namespace}local`` of a property name; None for names that say nothing (comments).

        A name without a declared namespace stays as it is.
        """
        try:
            return self._names[name]
        except KeyError:
            found = self._names[name] = self._clark_name(name)
            return found

    def _clark_name(self, name: str) -> str | None:
        if name in ("comment", "@context") or name.startswith("@xmlns"):
            return None
        prefix, colon, local = name.partition(":")
        namespace = self.namespace(prefix) if colon and not local.startswith("//") else None
        if namespace is not None:
            return None if namespace + local == _COMMENT else f"{{{namespace}}}{local}"
        if name.startswith(("http://", "https://")):
            cut = max(name.rfind("/"), name.rfind("#")) + 1
            return f"{{{name[:cut]}}}{name[cut:]}" if cut < len(name) else name
        return name

    def expand(self, value: str) -> str:
        """The full IRI of a CURIE of the standard's own vocabularies; any other text unchanged.

        A document's own prefixes are not expanded in values: in XML, where prefixes belong to
        names alone, the same value could not be told from plain text, and the hashes would part.
        """
        prefix, colon, local = value.partition(":")
        if not colon or prefix not in self._values or local.startswith("//"):
            return value
        if not _SPACES.isdisjoint(value):
            return value
        return self._values[prefix] + local


def declarations(context: Any) -> dict[str, str]:
    """Prefix declarations of an ``@context`` value, later ones over earlier ones."""
    found: dict[str, str] = {}
    if isinstance(context, Mapping):
        for name, value in context.items():
            target = value.get("@id") if isinstance(value, Mapping) else value
            if isinstance(target, str) and not name.startswith("@"):
                found[name] = _expanded(target, found)
    elif isinstance(context, list):
        for item in context:
            found.update(declarations(item))
    return found


def has_foreign(context: Any) -> bool:
    """Whether `context` names a remote context that is not the EPCIS one."""
    if isinstance(context, str):
        return not context.startswith(EPCIS_CONTEXTS)
    return isinstance(context, list) and any(has_foreign(item) for item in context)


def _expanded(target: str, known: Mapping[str, str]) -> str:
    prefix, colon, local = target.partition(":")
    if not colon or local.startswith("//"):
        return target
    namespace = known.get(prefix) or STANDARD_PREFIXES.get(prefix)
    return namespace + local if namespace else target
