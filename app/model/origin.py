"""Origin: what a URL belongs to."""

from __future__ import annotations

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """Scheme, lower-case host and port (RFC 6454 section 4)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"
