"""Backups of what cannot be made again: the ledger, the configuration, and where somebody wants it the secrets, sealed."""

from tidegate.backup.archive import Archive, Kept
from tidegate.backup.making import Backups, Checked, Sealed
from tidegate.backup.manifest import Manifest

__all__ = ["Archive", "Backups", "Checked", "Kept", "Manifest", "Sealed"]
