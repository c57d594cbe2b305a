"""The smart contract: pure, deterministic rules over ledger records.

Knows no network, clock, randomness or float. Everything it learns of the world comes through
:class:`chaincode.stub.Stub`; everything it decides leaves through the same object.
"""
