"""Python's own SHA-256 is the one that OpenSSL has, and a policy is checked without OpenSSL."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from policyc.vocabulary.digest import sha256


@pytest.mark.parametrize("data", [b"", b"abc", b"\0" * 4096, bytes(range(256)) * 999])
def test_digests_are_those_of_hashlib(data: bytes) -> None:
    assert sha256(data).hexdigest() == hashlib.sha256(data).hexdigest()


def test_openssl_is_not_loaded() -> None:
    code = "import sys; from policyc.vocabulary.digest import sha256; sha256(b''); print('_hashlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
