"""One SQLite file of JSON documents: what the emulator knows survives its own death.

Every write is committed before the reply that tells of it leaves.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Documents:
    """Documents by kind and key."""

    def __init__(self, path: Path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # The machine's crash may lose the last writes; the emulator's own death does not.
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS documents"
            " (kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key))"
        )

    def save(self, kind: str, key: str, body: dict[str, Any]) -> None:
        self._connection.execute(
            "INSERT INTO documents (kind, key, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
            (kind, key, json.dumps(body)),
        )

    def delete(self, kind: str, key: str) -> None:
        self._connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))

    def load(self, kind: str) -> Iterator[dict[str, Any]]:
        """All documents of a kind, oldest first."""
        rows = self._connection.execute("SELECT body FROM documents WHERE kind = ? ORDER BY rowid", (kind,))
        for (body,) in rows.fetchall():
            yield json.loads(body)

    def close(self) -> None:
        self._connection.close()
