"""Artifacts by content: a file is stored once under its SHA-256 and never changes."""

from tidegate.store.artifacts import ArtifactStore, StoredArtifact

__all__ = ["ArtifactStore", "StoredArtifact"]
