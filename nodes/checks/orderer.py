"""The sequencer's log and genesis block against the replayed chain; changes nothing.

The log's format is that of :mod:`nodes.orderlog`. A record cut short at the very end is what a
crash leaves and is noted, unless the nodes already have that block: then it was whole once.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nodes.blocks import Body, split_block
from nodes.checks.report import Report
from nodes.errors import LedgerCorrupt
from nodes.ledger import Ledger
from nodes.orderlog import FILE

_HEAD: Final = struct.Struct(">II")


class _Torn(Exception):
    """The record is cut short or does not match its checksum."""


def check_genesis(file: Path, chain: Ledger, report: Report) -> None:
    """The genesis file is block 0 of the chain."""
    try:
        body, _ = split_block(file.read_bytes())
    except (OSError, LedgerCorrupt) as error:
        report.add("HOME_UNUSABLE", str(file), str(error))
        return
    if chain.height and body.data != chain.block_body(0):
        report.add("BLOCKS_DIFFER", "genesis file", "It is not block 0 of the nodes.")


def check_log(folder: Path, chain: Ledger, report: Report) -> None:
    """Every record of the log is the block the nodes have, or follows the last of them."""
    path = folder / FILE
    if not path.exists():
        if chain.height > 1:
            report.add("ORDER_LOG_DAMAGED", str(path), "The file is missing.")
        return
    number, previous = 1, b""
    try:
        for body in _records(path):
            where = f"sequencer's log, block {number}"
            if body.number != number or (previous and body.previous_hash != previous):
                report.add("ORDER_LOG_DAMAGED", where, "It does not follow the one before.")
            elif body.computed_data_hash() != body.data_hash:
                report.add("ORDER_LOG_DAMAGED", where, "Its data hash does not cover its data.")
            elif number < chain.height and body.data != chain.block_body(number):
                report.add("BLOCKS_DIFFER", where, "The nodes hold another.")
            number, previous = number + 1, body.header_hash
    except (_Torn, LedgerCorrupt, OSError) as error:
        if number < chain.height or isinstance(error, LedgerCorrupt):
            report.add("ORDER_LOG_DAMAGED", f"sequencer's log, block {number}", str(error))
        else:
            report.notes.append(
                f"the sequencer's log ends in a torn record after block {number - 1}; "
                "it is cut off when the network is opened"
            )
        return
    if number < chain.height:
        report.add("ORDER_LOG_DAMAGED", str(path), f"It ends before block {number}.")
    elif number > chain.height:
        report.notes.append(
            f"{number - chain.height} ordered block(s) wait for the nodes to be opened"
        )
    report.counts["ordered blocks"] += number - 1


def _records(path: Path) -> Iterator[Body]:
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                raise _Torn("The record is cut short.")
            size, checksum = _HEAD.unpack(head)
            block = file.read(size)
            if len(block) < size or zlib.crc32(block) != checksum:
                raise _Torn("The record does not match its checksum.")
            yield split_block(block)[0]
