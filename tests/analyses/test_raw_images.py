"""Images read back say what their bits say, bit by bit."""

from __future__ import annotations

from random import Random

import pytest

from policyc.analyses.images import BY_SIZE, Exits, kinds_of, read_image
from policyc.proof.evaluate import msr_place, port_place
from policyc.vocabulary.intervals import Intervals, contains, size

TARGETS = {"msr.bin": "vmx", "io.bin": "vmx", "msrpm.bin": "svm", "iopm.bin": "svm"}
SIZES = {"msr.bin": 4096, "io.bin": 8192, "msrpm.bin": 8192, "iopm.bin": 12288}


def noisy(image: str, seed: int) -> bytes:
    """Bytes with runs and single bits."""
    random = Random(seed)
    return b"".join(random.choice((b"\0", b"\xff", random.randbytes(1))) for _ in range(SIZES[image]))


def bit(data: bytes, place: tuple[str, int, int] | None) -> bool:
    assert place is not None
    _, byte, number = place
    return bool(data[byte] >> number & 1)


@pytest.mark.parametrize("image", ["msr.bin", "msrpm.bin"])
def test_every_msr_bit_is_read_where_the_manual_puts_it(image: str) -> None:
    data = noisy(image, 1)
    exits = read_image(image, data)
    assert exits.ports is None
    for intervals, write in ((exits.read, False), (exits.write, True)):
        assert intervals is not None
        count = 0
        for lo, hi in exits.windows:
            for msr in range(lo, hi + 1):
                expected = bit(data, msr_place(TARGETS[image], msr, write))
                assert contains(intervals, msr) == expected
                count += expected
        assert size(intervals) == count


@pytest.mark.parametrize("image", ["io.bin", "iopm.bin"])
def test_every_port_bit_is_read_where_the_manual_puts_it(image: str) -> None:
    data = noisy(image, 2)
    exits = read_image(image, data)
    assert (exits.read, exits.write) == (None, None)
    assert exits.ports is not None
    expected = [bit(data, port_place(TARGETS[image], port)) for port in range(65536)]
    assert [contains(exits.ports, port) for port in range(65536)] == expected


@pytest.mark.parametrize("image", SIZES)
@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_uniform_images(image: str, byte: bytes) -> None:
    exits = read_image(image, byte * SIZES[image])
    whole: Intervals = exits.windows if exits.ports is None else ((0, 65535),)
    found = exits.read if exits.ports is None else exits.ports
    assert found == (whole if byte == b"\xff" else ())


def test_ranges_part_reads_from_writes() -> None:
    exits = Exits("msr.bin", (), ((0, 5),), ((3, 9),), None)
    assert exits.ranges() == ((0, 2, 0b01), (3, 5, 0b11), (6, 9, 0b10))


@pytest.mark.parametrize("image", SIZES)
def test_sizes_say_what_an_image_may_be(image: str) -> None:
    assert image in kinds_of(bytes(SIZES[image]))
    assert image in BY_SIZE[SIZES[image]]
    with pytest.raises(ValueError, match="100 bytes are no"):
        read_image(image, bytes(100))


def test_other_bytes_are_nothing() -> None:
    assert kinds_of(bytes(5)) == ()
    assert kinds_of(b'{"format_version": 1}') == ("kvm_filter.json",)
    with pytest.raises(ValueError, match="not a filter"):
        read_image("kvm_filter.json", b"{}")
