"""``policyc exec``: what VMMs may do with KVM's interface and with their processes, and still be governed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.demand import need
from tests.handler.samples import compiler
from tests.runtime.running import assemble
from tests.runtime.vmm import HEAD, RDMSR, VMM, execed, exits, needs, own_vmm

MASK = """
import fcntl, struct
class Reasons(Exits):
    "Notes why it is asked."
    def __init__(self, vm):
        self.vm = vm
    def msr(self, index, write, value):
        seen.append(["reason", index, self.vm._words[10]])
        return super().msr(index, write, value)
def asked(mask):
    vm = machine(image)
    wanted = struct.pack("<II4Q64x", api.KVM_CAP_X86_USER_SPACE_MSR, 0, mask, 0, 0, 0)
    fcntl.ioctl(vm._vm, api.KVM_ENABLE_CAP, wanted)
    try:
        vm.run(Reasons(vm), None)
    except Stop:
        return vm.memory()[0x800:0x808].cast("Q").tolist()
"""
"""For the VMM: a machine that asks for exits of a mask of reasons (1 invalid value, 2 unknown MSR, 4 filter)."""

UNKNOWN = "mov word [4*13], gp\nmov word [4*13+2], 0\nmov sp, 0x7000\nmov di, 0x800\n" + RDMSR.format("0x12345")
UNKNOWN += "hlt\ngp: out 0x80, al\nhlt"


@pytest.mark.parametrize(
    "rule", ["", "a: intercept msr 0x12345 -> count, exit\n"], ids=["not intercepted", "passed on"]
)
def test_a_vmm_that_asks_for_unknown_msrs_gets_them(rule: str, tmp_path: Path) -> None:
    body = MASK + "print(json.dumps([asked(2), asked(0), seen]))"
    (with_mask, _, seen), report = own_vmm(HEAD + rule, UNKNOWN, body, tmp_path)
    assert with_mask == [7]
    # Without a mask it is #GP, as without policyc.
    assert seen[:2] == [["reason", 0x12345, 2], ["rdmsr", 0x12345, 0]]
    assert [each[:2] for each in seen[2:]] == [["out", 0x80]]
    assert exits(report, "rdmsr", 0x12345) == (2 if rule else 0)


@pytest.mark.parametrize("rule", ["", "a: intercept msr IA32_EFER -> exit\n"], ids=["not intercepted", "passed on"])
def test_a_vmm_that_asks_for_refused_values_gets_them(rule: str, tmp_path: Path) -> None:
    # Bits of EFER that no processor has.
    guest = "mov word [4*13], gp\nmov word [4*13+2], 0\nmov sp, 0x7000\nmov ecx, 0xc0000080\nmov eax, 0\nmov edx, 0xffff\nwrmsr\nhlt\n"
    body = MASK + "asked(1)\nprint(json.dumps(seen))"
    seen, _ = own_vmm(HEAD + rule, guest + "gp: out 0x80, al\nhlt", body, tmp_path)
    assert seen == [["reason", 0xC0000080, 1], ["wrmsr", 0xC0000080, 0xFFFF << 32]]


def test_rules_on_vcpus_decide_ports_by_the_number_that_the_vcpu_was_made_with(tmp_path: Path) -> None:
    policy = HEAD + (
        "a: intercept io 0x10 in on vcpu 0 -> const(1)\nb: intercept io 0x11 in on vcpu 1..7 -> count, const(2)\n"
    )
    body = """
    import fcntl
    def on(number):
        vm = Kvm()
        libc = fcntl.ioctl
        def numbered(fd, request, *rest):
            return libc(fd, request, *((number,) if request == api.KVM_CREATE_VCPU else rest))
        fcntl.ioctl = numbered
        vm.start(prepare(flat(image, 16), 1 << 20))
        fcntl.ioctl = libc
        run(vm)
        return list(bytes(vm.memory()[0x800:0x802]))
    print(json.dumps([on(0), on(3)]))
    """
    guest = "in al, 0x10\nmov [0x800], al\nin al, 0x11\nmov [0x801], al\nhlt"
    read, report = own_vmm(policy, guest, body, tmp_path)
    assert read == [[1, 0x11], [0x10, 2]]
    assert (exits(report, "in", 0x10), exits(report, "in", 0x11), report[-1]["let_through"]) == (1, 1, 2)


def test_rules_on_the_privilege_level_decide_ports(tmp_path: Path) -> None:
    """In 32-bit code, in ring 0 and in ring 3 with IOPL 3: the VMM begins there."""
    policy = (
        HEAD + "a: intercept io 0x10 in when cpl == 3 -> const(3)\nb: intercept io 0x10 in when cpl != 3 -> const(9)\n"
    )
    image = assemble("bits 32\norg 0x100000\nin al, 0x10\nmov [0x800], al\nout 0x80, al\n", 32).hex()
    body = f"""
    import fcntl, struct
    from policyc.runtime.kvm import _REGS
    class Until(Exits):
        def port(self, port, width, write, value):
            raise StopIteration
    def ring(level):
        vm = Kvm()
        vm.start(prepare(flat(bytes.fromhex("{image}"), 32), 4 << 20))
        sregs = vm.sregs()
        for segment in range(6):  # selector's RPL, and DPL
            sregs[24 * segment + 12] |= level
            sregs[24 * segment + 16] = level
        fcntl.ioctl(vm._vcpu, api.KVM_SET_SREGS, bytes(sregs))
        regs = list(vm.regs())
        regs[-1] |= 0x3000
        fcntl.ioctl(vm._vcpu, api.KVM_SET_REGS, _REGS.pack(*regs))
        try:
            vm.run(Until(), None)
        except StopIteration:
            return vm.memory()[0x800]
    print(json.dumps([ring(0), ring(3)]))
    """
    read, report = own_vmm(policy, "hlt", body, tmp_path)
    assert read == [9, 3]
    assert {each["rule"]: each["exits"] for each in report[-1]["rules"]} == {"vm.pol:4 a": 1, "vm.pol:5 b": 1}


def test_duplicated_descriptors_are_the_same_machine_and_vcpu(tmp_path: Path) -> None:
    """By dup, dup2 and fcntl; and a child of vfork() that closes them forgets nothing."""
    body = """
    import ctypes, fcntl
    libc = ctypes.CDLL(None)
    vm = machine(image)
    first, second, third = vm._vcpu, libc.dup(vm._vcpu), fcntl.fcntl(vm._vm, fcntl.F_DUPFD_CLOEXEC, 100)
    libc.close(vm._vcpu)
    vm._vcpu = libc.dup2(second, 77)
    libc.close(second)
    libc.close(vm._vm)
    vm._vm = third
    child = os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_CLOSE, vm._vcpu)])
    os.waitpid(child, 0)
    run(vm)
    from policyc.runtime.filter import Filter, Range
    from policyc.runtime.kvm import _kernel_form
    data, held = _kernel_form(Filter(False, ()))
    fcntl.ioctl(third, api.KVM_X86_SET_MSR_FILTER, data)
    print(json.dumps([vm._vcpu, third >= 100, vm.memory()[0x800]]))
    """
    read, report = own_vmm(
        HEAD + "a: intercept io 0x10 in -> const(3)\n", "in al, 0x10\nmov [0x800], al\nhlt", body, tmp_path
    )
    assert read == [77, True, 3]
    assert exits(report, "in", 0x10) == 1


def test_a_vmm_in_the_background_is_governed_and_reported_on_to_its_end(tmp_path: Path) -> None:
    """As with QEMU's -daemonize: the process that was started ends when the other one has its machine."""
    body = """
    import time
    ready, made = os.pipe()
    if os.fork():
        os.read(ready, 1)
        print("1")
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    sys.stdout = open(os.devnull, "w")
    vm = machine(image)
    os.write(made, b"x")
    time.sleep(0.5)
    run(vm)
    """
    _, report = own_vmm(HEAD + "a: intercept io 0x10 -> count, drop\n", "out 0x10, al\nhlt", body, tmp_path)
    assert exits(report, "out", 0x10) == 1
    assert report[-1]["ending"]["how"] == "ended"


def test_a_time_out_ends_a_vmm_in_the_background_too(tmp_path: Path) -> None:
    needs()
    image, script = tmp_path / "guest.bin", tmp_path / "vmm.py"
    image.write_bytes(assemble("bits 16\norg 0x1000\njmp $\n", 16))
    body = """
    pids = open("pids", "w")
    ready, made = os.pipe()
    if os.fork():
        os.read(ready, 1)
        os._exit(0)
    vm = machine(image)
    pids.write(str(os.getpid()))
    pids.close()
    os.write(made, b"x")
    run(vm)
    """
    script.write_text(VMM + textwrap.dedent(body.replace('"pids"', repr(str(tmp_path / "pids")))))
    done, report = execed(HEAD, [sys.executable, script, image], tmp_path, "--timeout", "2")
    assert done.returncode == 1
    assert report[-1]["ending"]["how"] == "timeout"
    assert not Path("/proc", (tmp_path / "pids").read_text(), "exe").exists()


def test_lines_that_were_read_too_slowly_are_missed_aloud_and_counted_all_the_same(tmp_path: Path) -> None:
    """The VMM stops policyc for a while: its guest goes on, and no count is lost."""
    needs()
    image, script = tmp_path / "guest.bin", tmp_path / "vmm.py"
    image.write_bytes(assemble("bits 16\norg 0x1000\nmov cx, 9000\nagain: out 0x10, al\nloop again\nhlt\n", 16))
    signals = (signal.SIGSTOP.value, signal.SIGCONT.value)
    body = "vm = machine(image)\nos.kill(os.getppid(), {})\nrun(vm)\nos.kill(os.getppid(), {})\n".format(*signals)
    script.write_text(VMM + body)
    before = time.monotonic()
    done, report = execed(
        HEAD + "a: intercept io 0x10 -> drop\n", [sys.executable, script, image], tmp_path, "--show", "exits"
    )
    assert time.monotonic() - before < 30
    assert done.returncode == 0, done.stderr
    told = sum(each["event"] == "exit" for each in report)
    missing = int(done.stderr.split("policyc: ")[1].split()[0].replace(",", ""))
    assert missing > 0
    assert told + missing == exits(report, "out", 0x10) == 9000


def test_a_thousand_machines_in_one_vmm_leave_no_descriptor_and_no_memory_behind(tmp_path: Path) -> None:
    """In C, so that a machine costs a millisecond. What the library remembers of each is gone with it."""
    needs()
    need("cc", compiler("gcc") is not None, "apt-get install gcc")
    source, program = tmp_path / "many.c", tmp_path / "many"
    source.write_text(MANY)
    subprocess.run([compiler("gcc"), "-O1", source, "-o", program], check=True)
    done, report = execed(HEAD + "a: intercept io 0x10 -> count, drop\n", [program, "1000"], tmp_path)
    assert done.returncode == 0, done.stderr
    first, last = json.loads(done.stdout)
    assert exits(report, "out", 0x10) == 1000
    assert last["descriptors"] == first["descriptors"]
    # One page for each machine would be 4,000 KiB.
    assert last["kilobytes"] - first["kilobytes"] < 2000


MANY = r"""
#include <dirent.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static void once(int kvm)
{
	static const unsigned char guest[] = {0xe6, 0x10, 0xf4};
	struct kvm_userspace_memory_region region = {0, 0, 0x1000, 0x1000, 0};
	const int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	const int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	const size_t bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	void *memory = mmap(0, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = 0x1000, .rflags = 2};

	memcpy(memory, guest, sizeof(guest));
	region.userspace_addr = (unsigned long)memory;
	ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
	ioctl(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	ioctl(vcpu, KVM_SET_SREGS, &sregs);
	ioctl(vcpu, KVM_SET_REGS, &regs);
	if (ioctl(vcpu, KVM_RUN, 0) != 0 || run->exit_reason != KVM_EXIT_HLT)
		exit(3);
	munmap(run, bytes);
	munmap(memory, 0x1000);
	close(vcpu);
	close(vm);
}

static void print(void)
{
	DIR *folder = opendir("/proc/self/fd");
	FILE *stat = fopen("/proc/self/statm", "r");
	long pages[2], count = 0;

	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	if (fscanf(stat, "%ld %ld", pages, pages + 1) != 2)
		exit(4);
	fclose(stat);
	printf("{\"descriptors\": %ld, \"kilobytes\": %ld}", count, 4 * pages[0]);
}

int main(int count, char **words)
{
	const int kvm = open("/dev/kvm", O_RDWR);
	long i;

	once(kvm);
	printf("[");
	print();
	for (i = count; i < atol(words[1]); i++)
		once(kvm);
	once(kvm);
	printf(", ");
	print();
	printf("]\n");
	return 0;
}
"""
