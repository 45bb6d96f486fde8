"""Model versions: immutable, identified by the digest of their file."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.names import Digest


class ModelVersion(BaseModel):
    """One registered artifact. Name + version is unique per organization; the digest identifies bytes."""

    model_config = ConfigDict(frozen=True)

    org: str
    name: str
    version: str
    digest: Digest
    size_bytes: int = Field(ge=0)
    path: str = Field(description="Where the content-addressed store keeps the file.")
    provenance: dict[str, str] = Field(default_factory=dict)
    tensor_digest: str | None = Field(
        default=None,
        description="SHA-256 over names, shapes, types and data of the tensors: equal for copies with other metadata.",
    )
    registered_at: datetime

    @property
    def label(self) -> str:
        """`name:version`, as people say it."""
        return f"{self.name}:{self.version}"
