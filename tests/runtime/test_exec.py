"""``policyc exec``: an unmodified VMM whose KVM machine is under a bundle's policy."""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from policyc.cli.exec import EPILOG
from policyc.runtime import library, load
from policyc.runtime.filter import Filter, Range
from tests.demand import need
from tests.handler.samples import WARNINGS, compiler, run
from tests.handler.test_analysed import CPPCHECK, TIDY, tool
from tests.runtime.running import ROOT, assemble, written
from tests.runtime.vmm import HEAD, RDMSR, VMM, execed, exits, needs, own_vmm

SOURCES = ROOT / "runtime" / "preload"
SEABIOS = (ROOT / "examples" / "qemu_seabios.pol").read_text()
QEMU = (
    "qemu-system-x86_64 -enable-kvm -cpu kvm64 -nographic -monitor none -nic none -no-reboot -boot reboot-timeout=100"
).split()


# QEMU.


def qemu(tmp_path: Path, *options: str) -> tuple[str, str, list]:
    """SeaBIOS booted under the shipped policy: its screen, its debug port, the report."""
    needs()
    need("qemu", shutil.which(QEMU[0]) is not None, "apt-get install qemu-system-x86")
    debug = tmp_path / "debug.txt"
    words = [*QEMU, "-chardev", f"file,id=d,path={debug}", "-device", "isa-debugcon,iobase=0x402,chardev=d"]
    done, report = execed(SEABIOS, words, tmp_path, "--timeout", "60", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout, debug.read_text(), report


def test_qemu_boots_seabios_under_the_shipped_policy_and_its_accesses_are_counted(tmp_path: Path) -> None:
    screen, debug, report = qemu(tmp_path)
    assert "No bootable device" in screen
    assert report[-1]["ending"]["how"] == "ended"
    assert exits(report, "rdmsr", 0xFE) == 1
    assert exits(report, "wrmsr", 0x2FF) == 2
    # Every character that the device behind the policy was given has been counted.
    assert debug.startswith("SeaBIOS")
    assert exits(report, "out", 0x402) == len(debug)
    counters = {re.sub(r".* ", "", title): count for title, count in report[-1]["counters"].items()}
    assert counters == {"mtrr": 1, "ranges": 2, "listens": 1, "debug": len(debug)}


def test_another_profile_changes_what_seabios_finds(tmp_path: Path) -> None:
    screen, debug, report = qemu(tmp_path, "--profile", "silent")
    assert "No bootable device" in screen
    assert debug == ""
    assert exits(report, "rdmsr", 0xFE) == 1
    # It was told that there are no MTRRs, and has set none.
    assert exits(report, "wrmsr", 0x2FF) == 0


def test_several_vcpus_on_threads_of_their_own_are_governed(tmp_path: Path) -> None:
    needs()
    need("qemu", shutil.which(QEMU[0]) is not None, "apt-get install qemu-system-x86")
    done, report = execed(SEABIOS, [*QEMU, "-smp", "3"], tmp_path, "--timeout", "60")
    assert done.returncode == 0, done.stderr
    assert "No bootable device" in done.stdout
    # SeaBIOS turns the MTRRs off and on again, and each further processor repeats what the first one wrote.
    assert exits(report, "wrmsr", 0x2FF) == 3 * 2
    assert exits(report, "rdmsr", 0xFE) == 1


# Other VMMs.


def test_a_vmm_that_forks_is_governed_in_both_processes(tmp_path: Path) -> None:
    policy = HEAD + "a: intercept io 0x10 in -> const(3)\n"
    body = """
    child = os.fork()
    vm = machine(image)
    run(vm)
    if child == 0:
        os._exit(vm.memory()[0x800])
    print(json.dumps([vm.memory()[0x800], os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]))
    """
    read, report = own_vmm(policy, "in al, 0x10\nmov [0x800], al\nhlt", body, tmp_path)
    assert read == [3, 3]
    assert exits(report, "in", 0x10) == 2


def test_ports_are_answered_by_the_policy_or_by_the_vmm_as_the_policy_says(tmp_path: Path) -> None:
    policy = HEAD + (
        "a: intercept io 0x10 -> drop\nb: intercept io 0x11 in -> const(0x55)\nc: intercept io 0x12 -> mask(and=0xf0, or=1)\n"
        "d: intercept io 0x13 -> shadow(init=9)\ne: intercept io 0x14 -> count, exit\n"
        "f: intercept io 0x15 -> forward(select)\n"
    )
    guest = "mov di, 0x800\nmov dx, 0x10\nagain: in al, dx\nstosb\nmov al, dl\nout dx, al\ninc dx\ncmp dx, 0x17\njne again\n"
    guest += "mov dx, 0x13\nin al, dx\nstosb\nhlt"
    body = "vm = machine(image)\nrun(vm)\nprint(json.dumps([seen, list(bytes(vm.memory()[0x800:0x808]))]))"
    (seen, read), report = own_vmm(policy, guest, body, tmp_path)
    assert read == [0xFF, 0x55, 0x11, 9, 0x14, 0x15, 0x16, 0x13]
    assert seen == [
        ["out", 0x11, 0x11],
        *(["in", 0x12, 0], ["out", 0x12, 0x11], ["in", 0x14, 0], ["out", 0x14, 0x14]),
        *(["in", 0x15, 0], ["out", 0x15, 0x15], ["in", 0x16, 0], ["out", 0x16, 0x16]),
    ]
    assert {each["rule"]: each["exits"] for each in report[-1]["rules"]}["vm.pol:5 b"] == 1
    assert report[-1]["let_through"] == 2


def test_strings_are_screened_element_by_element(tmp_path: Path) -> None:
    policy = (
        HEAD + "a: intercept io 0x12 in -> mask(and=0xf0, or=3)\nb: intercept io 0x13 out when value == 2 -> drop\n"
    )
    guest = "mov di, 0x800\nmov dx, 0x12\nmov cx, 5\nrep insb\nmov si, data\nmov dx, 0x13\nmov cx, 3\nrep outsb\nhlt\n"
    guest += "data: db 1, 2, 3"
    body = "vm = machine(image)\nrun(vm)\nprint(json.dumps([seen, list(bytes(vm.memory()[0x800:0x806]))]))"
    (seen, read), report = own_vmm(policy, guest, body, tmp_path)
    assert read == [0x13] * 5 + [0]
    assert seen == [["in", 0x12, 0]] * 5 + [["out", 0x13, 1], ["out", 0x13, 3]]
    assert exits(report, "in", 0x12) == 5
    assert exits(report, "out", 0x13) == 3


def test_msrs_get_the_policys_answers_and_faults(tmp_path: Path) -> None:
    policy = HEAD + (
        "a: intercept msr IA32_BIOS_SIGN_ID read -> const(0x123456789a)\nb: intercept msr 0x1a0 -> shadow(init=5)\n"
        "c: intercept msr 0x123 -> inject(ud)\nd: intercept msr 0x124 -> inject(gp)\n"
        "e: intercept msr IA32_SYSENTER_EIP -> exit\n"
    )
    # Handlers of #UD and #GP write their vector to port 0x80 and skip the two bytes of RDMSR.
    guest = (
        "mov word [4*6], ud\nmov word [4*6+2], 0\nmov word [4*13], gp\nmov word [4*13+2], 0\nmov sp, 0x7000\nmov di, 0x800\n"
        + RDMSR.format("0x8b")
        + "mov ecx, 0x1a0\nmov eax, 6\nxor edx, edx\nwrmsr\n"
        + RDMSR.format("0x1a0")
        + RDMSR.format("0x123")
        + RDMSR.format("0x124")
        + "mov ecx, 0x176\nmov eax, 0x42\nxor edx, edx\nwrmsr\n"
        + RDMSR.format("0x176")
        + "hlt\nud: mov al, 6\njmp on\ngp: mov al, 13\non: out 0x80, al\npush bp\nmov bp, sp\nadd word [bp+2], 2\npop bp\niret"
    )
    body = (
        "vm = machine(image)\nrun(vm)\nwords = vm.memory()[0x800:0x828].cast('Q').tolist()\n"
        "print(json.dumps([seen, words]))"
    )
    (seen, words), report = own_vmm(policy, guest, body, tmp_path, "--show", "exits")
    assert (words[0], words[1], words[4]) == (0x123456789A, 6, 0x42)
    assert [each for each in seen if each[1] == 0x80] == [["out", 0x80, 6], ["out", 0x80, 13]]
    faults = [
        (each["address"], each["fault"]) for each in report if each["event"] == "exit" and each["fault"] is not None
    ]
    assert faults == [(0x123, 6), (0x124, 13)]


def test_the_vmms_own_filter_is_merged_and_both_are_heard(tmp_path: Path) -> None:
    policy = (
        HEAD + "a: intercept msr IA32_SYSENTER_CS read -> const(0x11)\nb: intercept msr IA32_SYSENTER_ESP -> exit\n"
    )
    guest = "mov di, 0x800\n" + "".join(RDMSR.format(each) for each in ("0x174", "0x175", "0x176")) + "hlt"
    # The VMM denies 0x175 and 0x176, and asks for exits of unknown MSRs first, of its filter's then.
    body = """
    import fcntl, struct
    from policyc.runtime.filter import Filter, Range
    from policyc.runtime.kvm import _kernel_form
    vm = machine(image)
    data, held = _kernel_form(Filter(False, (Range(3, 0x175, 2, bytes(8)),)))
    fcntl.ioctl(vm._vm, api.KVM_X86_SET_MSR_FILTER, data)
    run(vm)
    print(json.dumps([seen, vm.memory()[0x800:0x818].cast('Q').tolist()]))
    """
    (seen, words), report = own_vmm(policy, guest, body, tmp_path)
    assert words == [0x11, 7, 7]
    assert seen == [["rdmsr", 0x175, 0], ["rdmsr", 0x176, 0]]
    assert (exits(report, "rdmsr", 0x174), exits(report, "rdmsr", 0x175)) == (1, 1)
    assert exits(report, "rdmsr", 0x176) == 0  # Not the policy's business.


def test_without_its_own_mask_the_vmm_hears_of_no_msr(tmp_path: Path) -> None:
    policy = HEAD + "a: intercept msr 0x175 -> exit\n"
    guest = "mov word [4*13], gp\nmov word [4*13+2], 0\nmov sp, 0x7000\nmov di, 0x800\n" + RDMSR.format("0x175")
    guest += RDMSR.format("0x176") + "hlt\ngp: mov al, 13\nout 0x80, al\nhlt"
    body = """
    import fcntl, struct
    from policyc.runtime.filter import Filter, Range
    from policyc.runtime.kvm import _kernel_form
    vm = machine(image)
    none = struct.pack("<II4Q64x", api.KVM_CAP_X86_USER_SPACE_MSR, 0, 0, 0, 0, 0)
    fcntl.ioctl(vm._vm, api.KVM_ENABLE_CAP, none)
    data, held = _kernel_form(Filter(False, (Range(3, 0x176, 1, bytes(8)),)))
    fcntl.ioctl(vm._vm, api.KVM_X86_SET_MSR_FILTER, data)
    run(vm)
    print(json.dumps(seen))
    """
    seen, report = own_vmm(policy, guest, body, tmp_path)
    assert seen == [
        ["out", 0x80, 13]
    ]  # KVM's answer to 0x175; #GP at 0x176, as the VMM's filter without a mask has it.
    assert exits(report, "rdmsr", 0x175) == 1


def test_kill_stops_the_machine_and_ends_the_vmm(tmp_path: Path) -> None:
    needs()
    image, script = tmp_path / "guest.bin", tmp_path / "vmm.py"
    image.write_bytes(assemble("bits 16\norg 0x1000\nout 0x10, al\nout 0x11, al\nhlt\n", 16))
    script.write_text(VMM + "vm = machine(image)\nrun(vm)\nprint('went on')\n")
    done, report = execed(HEAD + "k: intercept io 0x10 -> kill\n", [sys.executable, script, image], tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert report[-1]["ending"]["how"] == "killed"
    assert report[-1]["ending"]["text"] == "the policy stopped the guest: vm.pol:4 k says kill for out 0x10"


def test_the_examples_of_the_help_do_what_they_say(tmp_path: Path) -> None:
    needs()
    written(HEAD + "profile hardened { a: intercept io 0x10 -> drop }\n", tmp_path)
    # A program of that name which makes no machine: what is tried are the words before it.
    program = shutil.which("true")
    assert program is not None
    (tmp_path / "bin").mkdir()
    shutil.copy(program, tmp_path / "bin" / QEMU[0])
    lines = [line for line in EPILOG.splitlines() if not line.startswith("#")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    for line in lines:
        command, policyc, *rest = shlex.split(f"-m {line}")
        words = [sys.executable, command, policyc, *rest]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if "--format" in rest:
            ends = [json.loads(each)["event"] for each in done.stderr.splitlines()]
            assert (ends[0], ends[-1]) == ("start", "summary")
    assert (tmp_path / "exits.txt").read_text().startswith("vm.bundle: the base policy")


# Failing closed.


def test_a_machine_without_a_policy_is_refused(tmp_path: Path) -> None:
    needs()
    script = "import fcntl, os\nfcntl.ioctl(os.open('/dev/kvm', os.O_RDWR), 0xAE01, 0)"
    environment = {"LD_PRELOAD": library.preload(str(tmp_path))}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr
    assert "policyc exec: no policy was found, so no machine is made" in done.stderr


def test_a_filter_that_does_not_fit_beside_the_policys_is_refused(tmp_path: Path) -> None:
    policy = HEAD + "a: intercept msr 0x80000000 -> drop\n"
    body = """
    import fcntl
    from policyc.runtime.filter import Filter, Range
    from policyc.runtime.kvm import _kernel_form
    vm = machine(image)
    data, held = _kernel_form(Filter(False, tuple(Range(3, n << 20, 8, bytes(8)) for n in range(16))))
    try:
        fcntl.ioctl(vm._vm, api.KVM_X86_SET_MSR_FILTER, data)
        print("1")
    except PermissionError:
        print("0")
    """
    accepted, _ = own_vmm(policy, "hlt", body, tmp_path)
    assert accepted == 0


def test_programs_that_no_library_can_be_loaded_into_are_refused(tmp_path: Path) -> None:
    needs()
    source, program = tmp_path / "a.c", tmp_path / "static"
    source.write_text("int main(void) { return 0; }")
    subprocess.run([compiler("gcc"), "-static", source, "-o", program], check=True)
    done, _ = execed(HEAD, [program], tmp_path)
    assert done.returncode == 2
    assert "no library can be loaded into it" in done.stderr
    done, _ = execed(HEAD, ["no-such-vmm"], tmp_path)
    assert (done.returncode, done.stderr.strip()) == (2, "policyc: there is no program no-such-vmm")


def test_without_a_compiler_the_message_says_what_to_install(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "vmm").write_text("#!/bin/sh\n")
    (bare / "vmm").chmod(0o755)
    done, _ = execed(HEAD, ["vmm"], tmp_path, env={"PATH": str(bare), "CC": ""})
    assert done.returncode == 2
    assert "apt install gcc" in done.stderr


@pytest.mark.parametrize("which", ["preload", "handler"])
def test_the_libraries_are_built_once_and_not_taken_from_a_folder_that_others_can_write(
    which: str, tmp_path: Path, monkeypatch
) -> None:
    needs()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    spare = tmp_path / "spare"
    spare.mkdir()
    bundle = load(written(HEAD, tmp_path))

    def build() -> str:
        return library.preload(str(spare)) if which == "preload" else library.handler(bundle, str(spare))

    path = build()
    made = os.stat(path).st_mtime_ns
    assert build() == path
    assert os.stat(path).st_mtime_ns == made
    assert os.listdir(spare) == []
    os.chmod(os.path.dirname(path), 0o777)
    assert os.path.dirname(build()) == str(spare)


# The C.


def sources(folder: Path) -> tuple[str, ...]:
    """All C that a VMM gets into a folder: the names of what is compiled."""
    policy = HEAD + "a: intercept io 0x10 -> forward(select)\nb: intercept msr 0x10 -> forward(ioctl)\n"
    for file, data in library.files(load(written(policy, folder))).items():
        (folder / file).write_bytes(data)
    for each in SOURCES.iterdir():
        shutil.copy(each, folder)
    return (*library.SOURCES, library.HANDLER)


@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_every_optimisation_level_compiles_without_a_warning(name: str, tmp_path: Path) -> None:
    need("cc" if name == "gcc" else "clang", compiler(name) is not None, f"apt-get install {name}")
    more = ("-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla", "-Wundef", "-Wpointer-arith")
    files = sources(tmp_path)
    for level in ("-O0", "-O2"):
        words = [compiler(name), *library.LANGUAGE, "-fPIC", *WARNINGS, *more, level, "-c", *files]
        subprocess.run(words, cwd=tmp_path, check=True)


def test_analysers_find_nothing(tmp_path: Path) -> None:
    """Parameters that could be swapped are left out, as those of dup2() can; and that a handler's C is included."""
    checks = f"{TIDY[1]},-bugprone-easily-swappable-parameters,-bugprone-suspicious-include"
    files = [str(tmp_path / each) for each in sources(tmp_path)]
    run([tool("clang-tidy"), TIDY[0], checks, TIDY[2], *files, "--", *library.LANGUAGE])
    run([tool("cppcheck"), *CPPCHECK, *files])


def test_lines_have_80_columns() -> None:
    for path in SOURCES.iterdir():
        text = path.read_bytes().decode("ascii")
        assert [line for line in text.splitlines() if len(line.expandtabs(8)) > 80 or line != line.rstrip()] == []


class CRange(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("flags", "base", "nmsrs", "reserved")] + [
        ("bitmap", ctypes.c_uint8 * 0x600)
    ]


class CFilter(ctypes.Structure):
    _fields_ = [("denies", ctypes.c_uint32), ("used", ctypes.c_uint32), ("ranges", CRange * 16)]


def c_filter(filter_: Filter) -> CFilter:
    made = CFilter(filter_.denies, len(filter_.ranges))
    for to, each in zip(made.ranges, filter_.ranges, strict=False):
        to.flags, to.base, to.nmsrs = each.flags, each.base, each.nmsrs
        ctypes.memmove(to.bitmap, each.bitmap, len(each.bitmap))
    return made


def py_filter(made: CFilter) -> Filter:
    ranges = (Range(each.flags, each.base, each.nmsrs, bytes(each.bitmap)) for each in made.ranges[: made.used])
    return Filter(made.denies == 1, tuple(ranges))


def drawn(draw: random.Random) -> Filter:
    ranges = []
    for _ in range(draw.randrange(5)):
        count = draw.choice((1, 3, 64, 200))
        base = draw.choice((0, 0x10, 0x170, 0x1000, 0x2FF0, 0xC0000080, 0xFFFF0000)) + draw.randrange(100)
        ranges.append(Range(draw.randint(1, 3), base, count, draw.randbytes(-(-count // 64) * 8)))
    return Filter(bool(ranges) and draw.random() < 0.4, tuple(ranges))


def test_a_merged_filter_denies_exactly_what_either_denies(tmp_path: Path) -> None:
    need("cc", compiler("gcc") is not None, "apt-get install gcc")
    out = tmp_path / "filter.so"
    words = ["-std=c11", "-shared", "-fPIC", "-O1", SOURCES / "filter.c", "-o", out]
    subprocess.run([compiler("gcc"), *words], check=True)
    merge = ctypes.CDLL(str(out)).filter_merge
    merge.restype = ctypes.c_bool
    draw = random.Random(0x5EED)
    for _ in range(60):
        one, other = drawn(draw), drawn(draw)
        made = CFilter()
        assert merge(ctypes.byref(made), ctypes.byref(c_filter(one)), ctypes.byref(c_filter(other)))
        merged = py_filter(made)
        assert not merged.denies or merged.ranges
        ends = {
            each.base + end for filter_ in (one, other, merged) for each in filter_.ranges for end in (0, each.nmsrs)
        }
        for index in {msr for end in ends for msr in range(end - 210, end + 210)} - set(range(0x800, 0x900)):
            for write in (False, True):
                if 0 <= index < 1 << 32:
                    wanted = one.exits(index, write) or other.exits(index, write)
                    assert merged.exits(index, write) == wanted, (hex(index), write, one, other)
