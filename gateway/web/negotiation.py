"""Which form and language a request gets: `Accept` and `Accept-Language` (RFC 9110 §12.5)."""

from __future__ import annotations

from functools import lru_cache

FORMS = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/ld+json": "jsonld",
    "application/json": "json",
    "application/linkset+json": "linkset",
}
"""Media type -> the name of the form it gets."""


@lru_cache(maxsize=1024)
def form(accept: str) -> str | None:
    """The form an `Accept` header prefers; html where it takes anything, None where nothing fits.

    Of equal weights the one named first wins, and a named type wins over a wildcard.
    """
    if not accept.strip():
        return "html"
    best: tuple[float, int, str] | None = None
    for part in accept[:1000].split(","):
        media, _, rest = part.partition(";")
        media = media.strip().lower()
        weight = _weight(rest)
        if media in FORMS:
            rank, name = 1, FORMS[media]
        elif media in ("*/*", "text/*"):
            rank, name = 0, "html"
        elif media == "application/*":
            rank, name = 0, "json"
        else:
            continue
        if weight > 0 and (best is None or (weight, rank) > best[:2]):
            best = (weight, rank, name)
    return best[2] if best else None


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
