"""Where issued credentials are kept: the gateway's state database, which no rebuild drops.

A credential is public (the code printed on the product leads to it) and holds no personal data, so
it is stored as it is served: the very bytes whose digest is on the ledger.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Index,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError

from gateway.database import reading, writing

metadata = MetaData()
credentials = Table(
    "credentials",
    metadata,
    Column("id", Text, primary_key=True),  # urn:uuid:...
    Column("subject", Text, nullable=False),
    Column("issuer", Text, nullable=False),  # party id
    Column("digest", Text, nullable=False),  # 64 hex
    Column("created_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),  # the secured credential as compact JSON
    Index("ix_credentials_subject", "subject", "created_ms"),
)


class CredentialStore:
    """Credentials by id; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        """Open the store, making its table on first use. :raises DatabaseUnavailable:"""
        self._engine = engine
        try:
            with writing(engine) as connection:
                metadata.create_all(connection)
        except DBAPIError:  # another gateway made it in the same moment
            if not inspect(engine).has_table(credentials.name):
                raise

    def put(
        self, id: str, subject: str, issuer: str, digest: str, created_ms: int, document: str
    ) -> None:
        """Keep a credential. :raises DatabaseUnavailable:"""
        with writing(self._engine) as connection:
            connection.execute(
                insert(credentials).values(
                    id=id,
                    subject=subject,
                    issuer=issuer,
                    digest=digest,
                    created_ms=created_ms,
                    document=document,
                )
            )

    def get(self, id: str) -> str | None:
        """The stored bytes of a credential, or None. :raises DatabaseUnavailable:"""
        with reading(self._engine) as connection:
            query = select(credentials.c.document).where(credentials.c.id == id)
            return connection.scalar(query)

    def drop(self, id: str) -> None:
        """Forget a credential whose anchoring was refused. :raises DatabaseUnavailable:"""
        with writing(self._engine) as connection:
            connection.execute(delete(credentials).where(credentials.c.id == id))
