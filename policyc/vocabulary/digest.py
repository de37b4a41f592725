"""SHA-256 without OpenSSL, whose libraries take 3 ms to load; Python's own does 200 MB a second. As its random.py does."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256 as sha256
else:
    try:
        from _sha2 import sha256  # Python 3.12 and later
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:  # A Python built without its own.
            from hashlib import sha256

__all__ = ["sha256"]
