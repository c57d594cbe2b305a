"""Fixtures: a network with the parties of a small supply chain."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import World


@pytest.fixture
def empty() -> World:
    """A ledger on which nothing was ever written."""
    return World()


@pytest.fixture
def world() -> World:
    """Maker, processor, carrier, warehouse, retailer, certifier, customs, brand, auditor."""
    found = World().open()
    found.party("maker", 1, "producer")
    found.party("mill", 2, "processor")
    found.party("carrier", 3, "carrier")
    found.party("store", 4, "warehouse")
    found.party("shop", 5, "retailer")
    found.party("labo", 6, "certifier")
    found.party("customs", 7, "customs")
    found.party("brand", 8, "brand")
    found.party("auditor", 9, "auditor")
    return found
