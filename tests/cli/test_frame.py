"""What holds for every command: exit codes, honest endings, help."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from policyc import __version__
from policyc.cli import commands, frame, version
from policyc.cli.parser import Arguments
from tests.cli.sample import write
from tests.demand import need_git

ROOT = Path(__file__).parents[2]
CACHE = TemporaryDirectory(prefix="policyc-compiled-")
"""Where the many short runs keep their compiled modules, so that only the first is slow."""
COMMAND = [sys.executable, "-m", "policyc"]
Captured = pytest.CaptureFixture[str]


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in which ``policyc`` is this checkout's."""
    text = f'policyc() {{ "{sys.executable}" -m policyc "$@"; }}\n{script}'
    env = {**os.environ, "PYTHONPYCACHEPREFIX": CACHE.name, **environment}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, env=env, timeout=60, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ["compile", "gone.pol"],
        ["check", "gone.pol"],
        ["test", "gone.pol"],
        ["lint", "gone.pol"],
        ["explain", "gone.pol", "rdmsr", "0x10"],
        ["show", "gone.pol"],
        ["diff", "gone.pol", "gone.pol"],
        ["prove", "implies", "gone.pol", "gone.pol"],
        ["audit", "gone.bin"],
    ],
)
def test_why_a_command_ends_with_2_is_on_standard_error_in_json_too(
    words: list[str], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert frame.run([*words, "--format", "json"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("policyc: ")
    assert "gone." in err
    assert out == "" or json.loads(out)["format_version"] == 1


def test_the_version_is_one_line() -> None:
    done = shell("policyc --version")
    assert (done.stdout, done.stderr, done.returncode) == (f"policyc {__version__}\n", "", 0)


@pytest.mark.parametrize(
    ("words", "said", "help"),
    [
        (["versoin"], "there is no command `versoin`", "did you mean `policyc version`?"),
        (["frobnicate"], "there is no command `frobnicate`", "`policyc help` lists them"),
        (["--frob", "version"], "policyc has no option --frob", "an option stands behind its command"),
        (["version", "--formt=json"], "`policyc version` has no option --formt", "did you mean --format?"),
        (["version", "--format", "yaml"], "--format cannot be `yaml`", "it takes one of text, json"),
        (["version", "extra"], "`extra` is one word too many", "usage: policyc version [OPTION...]"),
        (["help", "versoin"], "there is no command `versoin`", "did you mean `policyc help version`?"),
    ],
)
def test_usage_errors_exit_2_and_say_what_to_write(words: list[str], said: str, help: str, capsys: Captured) -> None:
    assert frame.run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"policyc: {said}\n  help: ")
    assert help in err


def test_a_file_in_the_place_of_a_command(tmp_path: object, capsys: Captured) -> None:
    assert frame.run([str(tmp_path)]) == 2
    assert f"to check a file: policyc check {tmp_path}" in capsys.readouterr().err


def test_without_words_the_commands_are_listed_as_an_error(capsys: Captured) -> None:
    assert frame.run([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert all(f"  {name} " in err for name in commands.NAMES)
    assert frame.run(["--help"]) == 0
    assert capsys.readouterr().out == err


@pytest.mark.parametrize("name", commands.NAMES)
def test_help_of_a_command_has_examples_of_it(name: str, capsys: Captured) -> None:
    assert frame.run([name, "--nonsense", "--help"]) == 0
    shown = capsys.readouterr().out
    assert frame.run(["help", name]) == 0
    assert capsys.readouterr().out == shown
    assert shown.startswith(f"usage: policyc {name}")
    examples = shown.partition("\nexamples:\n")[2]
    assert f"policyc {name}" in examples
    assert max(len(line) for line in shown.splitlines()) <= 110


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """`policyc version` raises what stands in the list."""
    raised: list[BaseException] = []

    def run(args: Arguments) -> int:
        raise raised[0]

    monkeypatch.setattr(version, "run", run)
    return raised


def test_a_bug_says_so(broken: list[BaseException], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLICYC_DEBUG", raising=False)
    broken.append(KeyError("x"))
    assert frame.run(["version"]) == 3
    err = capsys.readouterr().err
    assert err.startswith(f"policyc: this is a bug in policyc {__version__}: KeyError: 'x'\n  at policyc/cli/frame.py:")
    assert "Traceback" not in err
    monkeypatch.setenv("POLICYC_DEBUG", "1")
    assert frame.run(["version"]) == 3
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reason", "status", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (MemoryError(), 2, "policyc: not enough memory\n"),
        (
            FileNotFoundError(2, "No such file or directory", "a\x1b.pol"),
            2,
            "policyc: a\\x1b.pol: No such file or directory\n",
        ),
    ],
)
def test_other_ends(
    reason: BaseException, status: int, said: str, broken: list[BaseException], capsys: Captured
) -> None:
    broken.append(reason)
    assert frame.run(["version"]) == status
    assert capsys.readouterr().err == said


def test_a_reader_that_goes_away_is_no_failure_worth_words() -> None:
    done = shell("policyc help | true; echo ${PIPESTATUS[0]}; policyc help version | head -1")
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] in ("0", "141")
    assert done.stdout.splitlines()[1].startswith("usage: policyc version")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize("words", ["--version", "help version"])
def test_a_full_disk_is_told(words: str) -> None:
    done = shell(f"policyc {words} > /dev/full")
    assert (done.returncode, done.stderr) == (2, "policyc: the output cannot be written: No space left on device\n")


def test_a_closed_output_is_told() -> None:
    done = shell("policyc --version >&-")
    assert (done.returncode, done.stderr) == (2, "policyc: the output cannot be written: standard output is closed\n")


def test_a_closed_standard_error_changes_no_exit_code() -> None:
    assert shell("policyc frobnicate 2>&-").returncode == 2


def examples() -> list[tuple[str, str]]:
    """Every example of every help page, with its command."""
    found = []
    for name in commands.NAMES:
        lines = str(frame.load(name).EPILOG).splitlines()
        found += [(name, line) for line in lines if line and not line.startswith("#")]
    return found


FILES = """
sed -i 's/target vmx, svm/target vmx, svm, kvm/' vm.pol
policyc compile vm.pol -o vm.bundle > /dev/null
cp vm.bundle/msr.bin vm.bundle/io.bin .
cp vm.bundle/msrpm.bin bitmap.dat
{ echo "u8 msr_bitmap[] = {"; od -An -v -tu1 msr.bin | sed "s/$/ /; s/ \\+/,/g; s/^,//"; echo "};"; } > vmx.c
mkdir -p policies ~/.zfunc ~/.local/share/bash-completion/completions ~/.config/fish/completions
cp vm.pol policies/one.pol; cp vm.pol old.pol; cp vm.pol new.pol
printf "language 1\\ndefault exit\\n" > closed.pol; printf "language 1\\nnever allow msr 0x3a\\n" > baseline.pol
command -v xxd > /dev/null || xxd() { od -Ax -tx1 -v "$1"; }
if command -v git > /dev/null; then
    git init -q . && git add vm.pol && git -c user.name=a -c user.email=a@b.invalid commit -qm first
fi
cat > site.yaml <<end
- name: SITE_SCRATCH
  index: 0x1234
  about: A register of our own.
  access: rw
  vendor: any
  tags: []
  source: our data sheet
- name: SITE_DOOR
  ports: 0x680
  about: Opens the door.
  access: w
  vendor: any
  tags: []
  source: our data sheet
end
"""
"""What the examples take for granted, beside vm.pol."""

GUESTS = {"boot.bin": b"\x0f\x32\xf4", "spin.bin": b"\x0f\x32\xeb\xfc"}
"""RDMSR and HLT; RDMSR for ever."""
LISTENING = f"""
"{sys.executable}" -m policyc run vm.bundle --guest spin.bin --show summary --timeout 60 --control vm.sock > /dev/null 2>&1 3>&- &
trap "kill $!" EXIT
until [ -S vm.sock ]; do sleep 0.02; done
"""
"""A run that listens, for the examples of `policyc profile`."""


def executable() -> bytes:
    """The least ELF file that runs: one segment of one HLT."""
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x200078, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0x78, 0x200078, 0x200078, 1, 1, 1) + b"\xf4"


ELSEWHERE = ("verify", "exec")
"""Commands whose examples run emulators: tests/verify and tests/runtime have them."""


FINDING = ("audit", "lint")
"""Commands whose examples find something: 1 is an answer, and diagnostics are what was asked for."""


@pytest.mark.parametrize("name", [each for each in commands.NAMES if each not in ELSEWHERE])
def test_examples_do_what_they_say(name: str, tmp_path: Path) -> None:
    write(tmp_path)
    lines = [line for command, line in examples() if command == name]
    assert lines
    if any("git:" in line for line in lines):
        need_git()
    for guest, data in {**GUESTS, "kernel.elf": executable()}.items():
        (tmp_path / guest).write_bytes(data)
    files = FILES + (LISTENING if name == "profile" else "")
    most = int(name in FINDING)
    script = "".join(f'{line}\nstatus=$?; [ $status -le {most} ] || echo "$status {line}" >&3\n' for line in lines)
    done = shell(
        f"cd {tmp_path}; exec 3>&1; generate-policy() {{ cat vm.pol; }}\n{files}{{\n{script}}} > /dev/null",
        HOME=str(tmp_path),
        PYTHONPATH=str(ROOT),
    )
    assert (done.stdout, "" if name in FINDING else done.stderr) == ("", "")


def on_a_terminal(words: list[str], **environment: str) -> str:
    """What a command writes to standard output where that is a terminal."""
    import pty

    leader, follower = pty.openpty()
    env = {"TERM": "xterm", **{key: text for key, text in os.environ.items() if "COLOR" not in key}, **environment}
    done = subprocess.Popen([*COMMAND, *words], stdout=follower, stderr=follower, env=env)
    os.close(follower)
    out = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # EIO: the other side is closed.
            break
        if not part:
            break
        out += part
    os.close(leader)
    done.wait(timeout=60)
    return out.decode()


@pytest.mark.parametrize(
    ("words", "environment", "coloured"),
    [
        ([], {}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"TERM": "dumb"}, False),
        (["--color=never"], {}, False),
    ],
)
def test_colour_on_a_terminal(words: list[str], environment: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    path = write(tmp_path, "intercept io 0x3ff..0x3f8\n")
    got = on_a_terminal(["check", path, *words], **environment)
    assert "reversed-range" in got
    assert ("\x1b[" in got) is coloured


def test_no_colour_in_a_pipe_unless_forced(tmp_path: Path) -> None:
    path = write(tmp_path, "intercept io 0x3ff..0x3f8\n")
    assert "\x1b[" not in shell(f"policyc check {path}").stderr
    assert "\x1b[" in shell(f"policyc check {path}", FORCE_COLOR="1").stderr
    assert "\x1b[" in shell(f"policyc --color always check {path}").stderr


def test_a_map_is_drawn_on_a_terminal(tmp_path: Path) -> None:
    assert "█ all exit" in on_a_terminal(["show", write(tmp_path)])
    assert "# all exit" in on_a_terminal(["show", write(tmp_path)], LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
