"""What `decompile` writes is a policy that compiles to the image again, byte by byte, whoever made the image."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from policyc.analyses.dumps import bytes_of
from policyc.cli import frame
from policyc.pipeline import Compilation, compile_policy
from tests.cli.sample import write
from tests.corpus.lists import NAMES, load, naive_policy
from tests.growth import seconds
from tests.handler.samples import compiler

Captured = pytest.CaptureFixture[str]
OWNERS = {"msr.bin": "vmx", "io.bin": "vmx", "msrpm.bin": "svm", "iopm.bin": "svm", "kvm_filter.json": "kvm"}


def again(capsys: Captured, folder: Path, *images: Path) -> tuple[str, Compilation]:
    """The decompiled text, and what it compiles to."""
    assert frame.run(["decompile", *map(str, images)]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert err == ""
    policy = folder / "again.pol"
    policy.write_text(out)
    assert frame.run(["fmt", "--check", str(policy)]) == 0, "what decompile writes, fmt leaves alone"
    capsys.readouterr()
    return out, compile_policy(str(policy), targets=tuple({OWNERS[each.name]: None for each in images}))


def files(compilation: Compilation) -> dict[str, bytes]:
    return {each.name: each.data for each in compilation.files}


@pytest.mark.parametrize("name", NAMES)
def test_the_images_of_real_hypervisors_come_out_again(name: str, tmp_path: Path, capsys: Captured) -> None:
    source = tmp_path / "list.pol"
    source.write_text(naive_policy(load(name)))
    made = files(compile_policy(str(source)))
    images = [each for each in OWNERS if each in made]
    assert images
    for each in images:
        (tmp_path / each).write_bytes(made[each])
        _, found = again(capsys, tmp_path, tmp_path / each)
        assert files(found)[each] == made[each]


@pytest.mark.parametrize("image", ["msr.bin", "io.bin", "msrpm.bin", "iopm.bin"])
@pytest.mark.parametrize("seed", range(4))
def test_random_images_come_out_again(image: str, seed: int, tmp_path: Path, capsys: Captured) -> None:
    rng = Random(seed)
    size = {"msr.bin": 4096, "io.bin": 8192, "msrpm.bin": 8192, "iopm.bin": 12288}[image]
    data = bytearray(rng.choice((0x00, 0xFF)) if rng.random() < 0.98 else rng.randrange(256) for _ in range(size))
    if seed == 0:
        data = bytearray(size)
    elif seed == 1:
        data = bytearray(b"\xff" * size)
    # What no access consults, policyc sets in an MSRPM, and in an IOPM as the default is, but for three bits.
    if image == "msrpm.bin":
        data[6144:] = b"\xff" * 2048
    if image == "iopm.bin":
        data[8192:] = b"\xff" * 4096 if seed % 2 else bytes([7]) + bytes(4095)
    (tmp_path / image).write_bytes(data)
    _, found = again(capsys, tmp_path, tmp_path / image)
    assert files(found)[image] == bytes(data)


def test_more_ranges_than_one_statement_may_say_are_shared_out(tmp_path: Path, capsys: Captured) -> None:
    """32,768 ranges, the most an I/O bitmap can have. The command itself compiles what it writes, and compares."""
    (tmp_path / "io.bin").write_bytes(b"\x55" * 8192)
    assert frame.run(["decompile", str(tmp_path / "io.bin")]) == 0
    text, err = capsys.readouterr()
    assert err == ""
    assert text.count("intercept io {\n") > 1
    said = [int(number, 16) for number in re.findall(r"^    (?:[A-Z]\w*,  # )?(0x\w+)", text, re.MULTILINE)]
    assert said == list(range(0, 0x10000, 2))


def test_names_stand_where_the_database_has_them(tmp_path: Path, capsys: Captured) -> None:
    made = files(compile_policy(write(tmp_path), targets=("vmx",)))
    for each in ("msr.bin", "io.bin"):
        (tmp_path / each).write_bytes(made[each])
    text, found = again(capsys, tmp_path, tmp_path / "msr.bin", tmp_path / "io.bin")
    assert {each: files(found)[each] for each in ("msr.bin", "io.bin")} == {
        each: made[each] for each in ("msr.bin", "io.bin")
    }
    assert "    IA32_FEATURE_CONTROL,  # 0x3a\n" in text
    assert "    COM1,  # 0x3f8..0x3ff\n" in text
    assert "intercept msr {" in text


def test_a_closed_image_becomes_a_policy_that_allows(tmp_path: Path, capsys: Captured) -> None:
    data = bytearray(b"\xff" * 8192)
    data[0x80 // 8] &= ~1
    (tmp_path / "io.bin").write_bytes(data)
    text, _ = again(capsys, tmp_path, tmp_path / "io.bin")
    assert "default io exit\n" in text
    assert "allow io {\n    POST,  # 0x80\n}\n" in text


def dumps(data: bytes) -> dict[str, str]:
    """The image in the forms that people paste; written here by hand, not by the tools' own code."""
    rows = [data[at : at + 16] for at in range(0, len(data), 16)]
    canonical: list[str] = []
    for number, row in enumerate(rows):
        if number and row == rows[number - 1]:
            if canonical[-1] != "*":
                canonical.append("*")
            continue
        halves = "  ".join(" ".join(f"{byte:02x}" for byte in half) for half in (row[:8], row[8:]))
        canonical.append(f"{number * 16:08x}  {halves}  |{'.' * 16}|")
    canonical.append(f"{len(data):08x}")
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]
    return {
        "xxd": "".join(
            f"{n * 16:08x}: {' '.join(row[i : i + 2].hex() for i in range(0, 16, 2))}  {'abad cafe' + '.' * 7}\n"
            for n, row in enumerate(rows)
        ),
        "plain": "\n".join(data[at : at + 30].hex() for at in range(0, len(data), 30)),
        "hexdump": "\n".join(canonical) + "\n",
        "c": f"/* 1, 2 */\nstatic const u8 map[{len(data)}] = {{\n{', '.join(f'0x{byte:02x}' for byte in data)} // 3\n}};\n",
        "c64": f"uint64_t map[] = {{ {', '.join(f'{word:#x}ULL' for word in words)} }};\nint other[] = {{ 1 }};\n",
        "rust": f"pub static MAP: [u8; {len(data)}] = [{', '.join(f'{byte}u8' for byte in data)}];\n",
    }


@pytest.mark.parametrize("form", ["xxd", "plain", "hexdump", "c", "c64", "rust"])
def test_text_that_shows_an_image_is_read(form: str, tmp_path: Path, capsys: Captured) -> None:
    data = files(compile_policy(write(tmp_path), targets=("vmx",)))["msr.bin"]
    text = dumps(data)[form]
    assert bytes_of(text) == data
    place = tmp_path / "dump.txt"
    place.write_text(text)
    assert frame.run(["decompile", str(place)]) == 0
    assert "IA32_FEATURE_CONTROL,  # 0x3a" in capsys.readouterr().out


def test_standard_input_and_an_output_file(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    data = files(compile_policy(write(tmp_path), targets=("vmx",)))["io.bin"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    out = tmp_path / "out.pol"
    assert frame.run(["decompile", "-", "--as", "io", "-o", str(out)]) == 0
    assert capsys.readouterr() == ("", "")
    assert files(compile_policy(str(out)))["io.bin"] == data


def test_bytes_that_decide_nothing_are_told(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "msrpm.bin").write_bytes(bytes(8192))
    assert frame.run(["decompile", str(tmp_path / "msrpm.bin")]) == 0
    assert "msrpm.bin: 2,048 bytes that decide nothing are not as policyc writes them" in capsys.readouterr().err


def test_filters_of_others_are_read_by_meaning(tmp_path: Path, capsys: Captured) -> None:
    ranges = [{"flags": 3, "base": 0x174, "nmsrs": 64, "bitmap": "f8ffffffffffffff"}]
    (tmp_path / "kvm_filter.json").write_text(json.dumps({"format_version": 1, "flags": 0, "ranges": ranges}))
    text, _ = again(capsys, tmp_path, tmp_path / "kvm_filter.json")
    for name in ("IA32_SYSENTER_CS", "IA32_SYSENTER_ESP", "IA32_SYSENTER_EIP"):
        assert f"    {name}," in text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.bin"], "no image, and no hex dump"),
        (["io.bin", "iopm.bin"], "disagree on ports, first on 0x0"),
        (["msr.bin", "msr.bin"], "two of the images are a msr.bin"),
        (["bitmap.dat"], "--as io or --as msrpm"),
        (["none.bin"], "none.bin"),
    ],
)
def test_what_is_no_set_of_images_is_told(names: list[str], said: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x00\x01\xfe" * 100)
    (tmp_path / "io.bin").write_bytes(bytes(8192))
    (tmp_path / "bitmap.dat").write_bytes(bytes(8192))
    (tmp_path / "iopm.bin").write_bytes(b"\x01" + bytes(12287))
    (tmp_path / "msr.bin").write_bytes(bytes(4096))
    assert frame.run(["decompile", *(str(tmp_path / each) for each in names)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("form", ["-tx1", "-tx1z", "-tx2", "-tx4", "-tx8"])
def test_a_dump_of_the_real_tool_is_read(form: str, tmp_path: Path) -> None:
    """Words too, as hexdump shows them by itself: the lowest byte last."""
    data = Random(3).randbytes(4096)
    (tmp_path / "msr.bin").write_bytes(data)
    words = ["od", "-Ax", form, "--endian=little", "-v", str(tmp_path / "msr.bin")]
    assert bytes_of(subprocess.run(words, capture_output=True, check=True, text=True).stdout) == data


def test_hexdump_shows_words_and_they_are_read_as_such() -> None:
    """As ``hexdump`` of util-linux 2.38 prints a map with the byte 0x04 at 0x807: bit 2, IA32_FEATURE_CONTROL."""
    zeros = " 0000" * 8
    text = f"0000000{zeros}\n*\n0000800 0000 0000 0000 0400 0000 0000 0000 0000\n0000810{zeros}\n*\n0001000\n"
    assert bytes_of(text) == bytes(0x807) + b"\x04" + bytes(0x1000 - 0x808)


def test_words_of_which_nobody_can_tell_the_order_are_refused() -> None:
    """``xxd -g 4`` and ``xxd -e`` look alike, and have the bytes of a group the other way round."""
    lines = [f"{at:08x}: 00000000 00000000 00000000 00000000  ................" for at in range(0, 4096, 16)]
    assert bytes_of("\n".join(lines)) == bytes(4096)
    lines[7] = lines[7].replace("00000000 ", "00000004 ", 1)
    assert bytes_of("\n".join(lines)) is None


ENUM = "enum { RL, RH, WL = 2, WH };"
INITIALISERS = {
    "jailhouse": f"""{ENUM}
static unsigned char NAME[][0x2000/8] = {{
    [ RL ] = {{
        [      0/8 ...  0x26f/8 ] = 0, /* [9] = {{ */
        [  0x270/8 ...  0x277/8 ] = 0x80, /* 0x277 */
        [  0x278/8 ... 0x1fff/8 ] = 0,
    }},
    [ RH ] = {{ [ 0/8 ... 0x1fff/8 ] = 0, }},
    [ WL ] = {{ [ 0x18/8 ... 0x1f/8 ] = 0x08, [ 0x1fff/8 ] = 3 }},
    [ WH ] = {{ 1, 2, [ 9 ] = 7, 8, 9, [ 9 ] = 6 }},
}};""",
    "cell": "signed char NAME[] = { [0/8 ... 0xffff/8] = -1, [0x3f8/8 ... 0x3ff/8] = 0, [0xcf8 / 8] = ~0 };",
    "declared": "unsigned char NAME[4096] = { [2048 + 7] = 1 << 2 | 0x40, [0x900 ... 0x903] = (unsigned char)0xff, 5 };",
    "named": "#define SIZE (PAGE / 4)\n#define PAGE 4096\nunsigned int NAME[PAGE/4] = { [3] = 0x80000001u };",
    "words": "unsigned long long NAME[1024] = { [1023] = 0x0102030405060708ULL, [0] = -1LL };",
    "flat": "unsigned short NAME[] = {" + ", ".join(str(n * 7 % 65536) for n in range(2048)) + "};",
    "rows": "unsigned char NAME[2][4096] = { { 1, 2 }, { [4095] = 3 } };",
    "second": "int other[] = { 1, 2, 3 };\nunsigned char NAME[4096] = { [1] = 1 };",
}


def test_c_initialisers_mean_what_a_compiler_makes_of_them(tmp_path: Path) -> None:
    source = "\n".join(
        text.replace("NAME", name).replace("other", f"other_{name}") for name, text in INITIALISERS.items()
    )
    writes = "".join(f'    fwrite({name}, sizeof {name}, 1, fopen("{name}", "wb"));\n' for name in INITIALISERS)
    (tmp_path / "all.c").write_text(f"#include <stdio.h>\n{source}\nint main(void) {{\n{writes}}}\n")
    subprocess.run([compiler("gcc"), "-w", "-o", "all", "all.c"], cwd=tmp_path, check=True)
    subprocess.run(["./all"], cwd=tmp_path, check=True)
    for name, text in INITIALISERS.items():
        assert bytes_of(text) == (tmp_path / name).read_bytes(), name


def test_the_first_array_of_an_image_s_size_is_read_from_a_whole_file() -> None:
    text = "\n".join(INITIALISERS[name].replace("NAME", name) for name in ("second", "cell"))
    data = bytes_of(text)
    assert data is not None
    assert (len(data), data[1]) == (4096, 1)


@pytest.mark.parametrize(
    "text",
    [
        "0000 " + "ab" * 5000 + "!",
        "u8 map[4096] = { [SOMEWHERE ... 3] = 1 };",
        "u8 map[4096] = { [5 ... 3] = 1 };",
        "u8 map[4096] = { [4096] = 1 };",
        "u8 map[4096] = { [0] = 256 };",
        "u8 map[4096] = { [0] = 010 };",
        "u8 map[4096] = { [0 ... 4294967295] = 1 };",
        "u8 map[4096] = { [1 << 9999999] = 1 };",
        "u8 map[4096] = { [1/0] = 1 };",
        "u8 map[4096] = { 1, 2",
        "u8 m[][9][9] = " + "{" * 3000,
        "u8 m[4096] = { " + "(" * 3000,
        "u8 m[4096] = { " + "~" * 3000,
        "enum { " * 3000,
        "#define A A\n" * 3000,
        "00000000: " + "abcd " * 5000 + "xyz",
        "u8 map[] = { 0123, 089, 0x };",
        "= {" * 3000,
        "00000000  00\n*\nffffffffffff\n",
        "/*" * 3000,
        "",
        "{",
    ],
)
def test_text_that_shows_no_image_is_refused_at_once(text: str) -> None:
    assert bytes_of(text) is None
    assert seconds(lambda: bytes_of(text), 1) < 1
