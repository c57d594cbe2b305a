"""How much work the canonical RDF form of a document can be, decided before it is made.

Nodes without a name that look alike are told apart by trying their permutations (RDFC-1.0 §4.8),
so a small hostile graph can take hours. What looks alike is decided on the RDF statements
themselves, as the algorithm does (§4.6): spelling a node differently in JSON changes nothing.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any

from openvc.proof.contexts import DocumentLoaderError, document_loader, pyld_options
from pyld import jsonld  # type: ignore[import-untyped]

from gateway.credentials import contexts
from gateway.credentials.errors import MalformedCredential

MAX_PERMUTATIONS = 120
MAX_OBJECTS = 500
_BLANK = "blank node"


def bound(document: dict[str, Any]) -> None:
    """Refuse a credential whose canonical form, or whose proof's, could take long.

    Raises MalformedCredential; DocumentLoaderError for a context not bundled.
    """
    if _objects(document) > MAX_OBJECTS:
        raise MalformedCredential(f"more than {MAX_OBJECTS} objects")
    _bound_statements({key: value for key, value in document.items() if key != "proof"})
    proof = document.get("proof")
    if isinstance(proof, dict):
        _bound_statements({**proof, "@context": document.get("@context")})


def _objects(document: dict[str, Any]) -> int:
    pending: list[Any] = [document]
    count = 0
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            count += 1
            pending.extend(value.values())
    return count


def _bound_statements(document: dict[str, Any]) -> None:
    work = 1
    for count in Counter(_looks(document).values()).values():
        work *= math.factorial(min(count, 12))
        if work > MAX_PERMUTATIONS:
            raise MalformedCredential("too many unnamed objects that look alike")


def _looks(document: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Blank node -> its statements, itself written `_:a` and other blank nodes `_:z`."""
    loader = document_loader(contexts.bundled())
    try:
        dataset = jsonld.to_rdf(document, pyld_options(loader))
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, DocumentLoaderError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            raise cause from error
        raise MalformedCredential(f"it is no linked data: {type(error).__name__}") from error
    said: dict[str, list[str]] = defaultdict(list)
    for graph, quads in dataset.items():
        for quad in quads:
            parts = [*(quad[name] for name in ("subject", "predicate", "object")), _named(graph)]
            for node in {part["value"] for part in parts if part["type"] == _BLANK}:
                said[node].append(repr([_seen_from(node, part) for part in parts]))
    return {node: tuple(sorted(statements)) for node, statements in said.items()}


def _named(graph: str) -> dict[str, str]:
    return {"type": _BLANK if graph.startswith("_:") else "IRI", "value": graph}


def _seen_from(node: str, part: dict[str, str]) -> list[tuple[str, str]]:
    if part["type"] != _BLANK:
        return sorted(part.items())
    return [(_BLANK, "a" if part["value"] == node else "z")]
