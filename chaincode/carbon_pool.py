"""Exact arithmetic on carbon pools: `{stage: milligrams CO2e}`, absent where zero.

Nothing is created or lost by rounding: a part is rounded down and the rest keeps the remainder;
a split gives cumulative shares whose sum is the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Pool = dict[str, int]


def add(one: Mapping[str, int] | None, other: Mapping[str, int] | None) -> Pool:
    """The sum of two pools."""
    if not other:
        return dict(one) if one else {}
    found = dict(one) if one else {}
    for stage, co2e_mg in other.items():
        found[stage] = found.get(stage, 0) + co2e_mg
    return found


def part(pool: Mapping[str, int] | None, amount: int, whole: int) -> tuple[Pool, Pool]:
    """The share of `amount` in `whole` (rounded down by stage), and the rest."""
    if not pool:
        return {}, {}
    if amount >= whole:
        return dict(pool), {}
    taken = {stage: co2e_mg * amount // whole for stage, co2e_mg in pool.items()}
    rest = {stage: co2e_mg - taken[stage] for stage, co2e_mg in pool.items()}
    return _positive(taken), _positive(rest)


def split(pool: Mapping[str, int], weights: Sequence[int]) -> list[Pool]:
    """Shares by weight, or equal shares where any weight is unknown (0); their sum is the pool."""
    if not weights:
        return []
    if not all(weights):
        weights = [1] * len(weights)
    total = sum(weights)
    shares: list[Pool] = [{} for _ in weights]
    for stage in sorted(pool):
        seen = given = 0
        for share, weight in zip(shares, weights, strict=True):
            seen += weight
            upto = pool[stage] * seen // total
            if upto > given:
                share[stage] = upto - given
            given = upto
    return shares


def total(pool: Mapping[str, int] | None) -> int:
    """Milligrams over all stages."""
    return sum(pool.values()) if pool else 0


def _positive(pool: Pool) -> Pool:
    return {stage: co2e_mg for stage, co2e_mg in pool.items() if co2e_mg}
