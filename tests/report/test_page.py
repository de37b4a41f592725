"""The page of ``policyc report`` in a real browser: what it shows is what the evaluator says, and no text runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policyc import pipeline
from policyc.analyses.enforced import KINDS_OF_OUTCOME
from policyc.cli import frame
from policyc.database.names import load
from policyc.proof import evaluate as law
from policyc.semantics.policy import Policy, Variant
from policyc.vocabulary.access import COLUMN_WIDTHS, IO_COLUMNS, Access
from tests.report.browser import Page, started

EXAMPLES = Path(__file__).parents[2] / "examples"
KINDS = ("rdmsr", "wrmsr", "in", "in", "in", "out", "out", "out")

EVERY_ACTION = """\
language 1
target vmx, svm
default passthrough
default msr outside -> inject(gp)
uart: intercept io 0x3f8..0x3ff -> forward(uart)
intercept io 0x60 -> drop
intercept io 0x64 -> kill
intercept io 0x70 in width 1 -> const(0x12)
intercept io 0x80 width 1 -> notify
intercept io 0x92 -> exit
intercept msr 0x10 -> log, exit
efer: intercept msr IA32_EFER write -> mask(and=0xff)
intercept msr 0x12 -> shadow(init=1)
intercept msr 0x13 read -> const(7)
intercept msr 0x1b write -> inject(gp)
intercept msr 0xc0000101 -> count, passthrough
"""

HOSTILE = """\
language 1
default passthrough
## </script><script>window.hacked = 1</script><!-- <script> &lt; " ' <img src=x onerror="window.hacked = 2">
bad: intercept io 0x60 -> kill # </script><svg onload="window.hacked = 3">
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser.page()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


def drawn(folder: Path, *words: str | Path, name: str = "page.html") -> Path:
    place = folder / name
    assert frame.run(["report", *map(str, words), "-o", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def policy(folder: Path) -> Path:
    path = folder / "all.pol"
    path.write_text(EVERY_ACTION)
    return path


@pytest.fixture(scope="module")
def report(folder: Path, policy: Path) -> Path:
    return drawn(folder, policy, name="all.html")


def read(path: Path) -> Policy:
    return pipeline.front(str(path), database=load()).policy


def verdict(policy: Policy, column: int, address: int, target: str = "vmx") -> law.Verdict:
    return law.evaluate(policy, Variant(), Access(KINDS[column], address, COLUMN_WIDTHS[column]), target)


def kind(found: law.Verdict) -> str:
    if not found.exits:
        return "passes"
    name = found.actions[-1].name
    return "relayed" if name == "passthrough" else name


def port_kind(policy: Policy, port: int) -> str:
    """The strictest that is said of a port by itself in any direction and width; no rule of these policies has
    conditions."""
    reading = law.read(policy, Variant())
    said = []
    for column in IO_COLUMNS:
        (number,) = law.chain(reading, column, port)
        traps = number >= 0 and policy.rules[number].traps
        said.append(policy.rules[number].actions[-1].name if traps else "passes")
    return max(said, key=KINDS_OF_OUTCOME.index)


def focus(tab: Page, number: int) -> None:
    tab.run(f"document.querySelectorAll('.frame canvas')[{number}].focus()")


def spoken(tab: Page) -> str:
    return str(tab.run("document.getElementById('live').textContent"))


def here(tab: Page) -> str:
    return str(tab.run("document.getElementById('here').textContent"))


def find(tab: Page, text: str) -> str:
    """Type into the box; what it says it found."""
    tab.run("document.getElementById('find').value = ''")
    tab.run("document.getElementById('find').focus()")
    tab.call("Input.insertText", text=text)
    return str(tab.run("document.getElementById('matches').textContent"))


def choose(tab: Page, menu: str, value: str) -> None:
    tab.run(
        f"document.getElementById('{menu}').value = '{value}';"
        f"document.getElementById('{menu}').dispatchEvent(new Event('change'))"
    )


def seen(tab: Page) -> bool:
    """Whether the cell of the cursor lies in the window, with nothing over it, and its map in its frame as always."""
    script = """(() => {
      document.getAnimations().forEach((each) => each.finish());
      const box = document.querySelector('.cursor:not([hidden])'), { left, top, width, height } = box.getBoundingClientRect();
      const frame = box.parentElement, at = document.elementFromPoint(left + width / 2, top + height / 2);
      return frame.scrollTop + frame.scrollLeft === 0 && at === frame.querySelector('canvas');
    })()"""
    return bool(tab.run(script))


def css(tab: Page, name: str) -> tuple[int, ...]:
    text = str(tab.run(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()"))
    return tuple(int(text[at : at + 2], 16) for at in (1, 3, 5))


def cell(tab: Page, canvas: int, at: int) -> tuple[int, ...]:
    """The commonest colour of a cell of a map that is shown whole."""
    pixels = tab.run(
        f"""(() => {{
          const canvas = document.querySelectorAll('.frame canvas')[{canvas}], size = canvas.width / 256;
          const image = canvas.getContext('2d').getImageData({at % 256} * size, {at // 256} * size, size, size).data;
          return Array.from(image);
        }})()"""
    )
    colours = [tuple(pixels[at : at + 3]) for at in range(0, len(pixels), 4)]
    return max(set(colours), key=colours.count)


# loading


def test_a_page_loads_alone_and_without_a_complaint(tab: Page, folder: Path, report: Path) -> None:
    bundle = folder / "widths.bundle"
    assert frame.run(["compile", str(EXAMPLES / "widths.pol"), "-o", str(bundle)]) == 0
    pages = [
        report,
        drawn(folder, EXAMPLES / "profiles.pol", name="profiles.html"),
        drawn(folder, bundle, name="bundle.html"),
        drawn(folder, EXAMPLES / "hypervisors/xen_vmx.pol", EXAMPLES / "jailhouse/ivshmem_demo.pol", name="pair.html"),
    ]
    for page in pages:
        tab.open(page)
        assert (tab.errors, tab.requests) == ([], [page.as_uri()])
        assert here(tab).startswith("Port 0x")
        assert page.stat().st_size < 400_000


def test_no_text_of_a_policy_runs(tab: Page, folder: Path) -> None:
    """In a comment, and in the name of the file, which stands in the title as well."""
    place = folder / '"><img src=x onerror=window.hacked=4><!--\u2028.pol'
    place.write_text(HOSTILE)
    page = drawn(folder, place, name="hostile.html")
    tab.open(page)
    find(tab, "bad")
    tab.press("Enter")
    assert tab.run("window.hacked === undefined")
    assert (tab.errors, tab.requests) == ([], [page.as_uri()])
    shown = here(tab)
    assert "</script><script>window.hacked = 1</script><!-- <script> &lt; \" '" in shown
    assert '<img src=x onerror="window.hacked = 2">' in shown
    assert tab.run("document.querySelectorAll('img, svg, iframe, object').length") == 0
    assert tab.run("document.querySelector('h1').textContent") == place.name.replace("\u2028", "\\u2028")
    assert tab.run("document.scripts.length") == 2


def test_the_policy_of_the_page_lets_no_other_script_run(tab: Page, report: Path) -> None:
    tab.open(report)
    tab.run(
        "const added = document.createElement('script'); added.textContent = 'window.hacked = 1'; document.body.append(added)"
    )
    assert tab.run("window.hacked === undefined")
    assert any("Content Security Policy" in each for each in tab.errors)
    tab.run("fetch('https://example.invalid/').catch(() => { window.refused = true })")
    assert all(each == report.as_uri() for each in tab.requests)


# maps


def test_the_colour_of_every_kind_is_the_verdict_of_the_evaluator(tab: Page, report: Path, policy: Path) -> None:
    read_ = read(policy)
    ports = (0, 0x3F, 0x5D, 0x60, 0x61, 0x64, 0x6D, 0x70, 0x71, 0x80, 0x81, 0x92, 0x3F5, 0x3F8, 0x3FF, 0x400, 0xFFFF)
    msrs = [
        (1 + 2 * window + column, column, address, address - window * 0xC0000000)
        for window, addresses in enumerate(
            [(0x0F, 0x10, 0x11, 0x12, 0x13, 0x1B, 0x1FFF), (0xC0000080, 0xC0000081, 0xC0000101, 0xC0001FFF)]
        )
        for column in (0, 1)
        for address in addresses
    ]
    seen = set()
    for dark in (False, True):
        tab.open(report, dark=dark)
        colours = {each: css(tab, each) for each in KINDS_OF_OUTCOME}
        for port in ports:
            expected = port_kind(read_, port)
            seen.add(expected)
            assert cell(tab, 0, port) == colours[expected], hex(port)
        for canvas, column, address, at in msrs:
            expected = kind(verdict(read_, column, address))
            seen.add(expected)
            assert cell(tab, canvas, at) == colours[expected], (canvas, hex(address))
    assert seen == set(KINDS_OF_OUTCOME)


def test_one_kind_of_port_access_can_be_drawn_alone(tab: Page, report: Path, policy: Path) -> None:
    read_ = read(policy)
    tab.open(report)
    for column in IO_COLUMNS:
        choose(tab, "access", str(column))
        for port in (0x5D, 0x60, 0x64, 0x70, 0x7F, 0x80, 0x3F6, 0xFFFE, 0xFFFF):
            expected = css(tab, kind(verdict(read_, column, port)))
            assert cell(tab, 0, port) == expected, (column, hex(port))


def test_keys_lead_to_the_port_and_its_rule(tab: Page, report: Path, policy: Path) -> None:
    read_ = read(policy)
    tab.open(report)
    focus(tab, 0)
    tab.press("Home", control=True)
    walk = (
        ("ArrowDown", 3, 0x300), ("ArrowRight", 5, 0x305), ("End", 1, 0x3FF), ("ArrowLeft", 7, 0x3F8),
        ("ArrowLeft", 3, 0x3F5), ("ArrowLeft", 1, 0x3F4), ("Home", 1, 0x300), ("PageDown", 2, 0x2300),
        ("PageUp", 3, 0x0), ("n", 1, 0x60), ("ArrowRight", 4, 0x64), ("ArrowRight", 12, 0x70),
        ("ArrowRight", 16, 0x80), ("p", 1, 0x70), ("PageDown", 17, 0xFF70), ("ArrowDown", 1, 0xFF70), ("End", 1, 0xFFFF),
        ("ArrowRight", 1, 0xFFFF),
    )  # fmt: skip
    for key, times, address in walk:
        tab.press(key, times)
        said, shown = spoken(tab), here(tab)
        assert said.startswith(f"port {address:#x}"), key
        assert shown.startswith(f"Port {address:#x}")
        for column in IO_COLUMNS:
            found = verdict(read_, column, address)
            text = {"passes": "passes", "relayed": "exits, passed on"}.get(kind(found), found.actions[-1].name)
            assert text in said
            if found.rule is not None:
                rule = read_.rules[found.rule]
                assert f"all.pol:{rule.statement.line}" in said
                assert rule.statement.text in shown


def test_keys_lead_to_the_msr_and_its_rule(tab: Page, report: Path, policy: Path) -> None:
    read_ = read(policy)
    tab.open(report)
    for canvas, column, start in ((1, 0, 0), (2, 1, 0), (3, 0, 0xC0000000), (4, 1, 0xC0000000)):
        focus(tab, canvas)
        tab.press("Home", control=True)
        met = set()
        while True:
            tab.press("n")
            said = spoken(tab)
            address = int(said.split()[1].rstrip("."), 16)
            if address in met:
                break
            met.add(address)
            found = verdict(read_, column, address)
            assert found.rule is not None
            rule = read_.rules[found.rule]
            assert f"all.pol:{rule.statement.line}" in said
            assert rule.label is None or f"rule {rule.label}," in said
        traps = {address for address in range(start, start + 0x200) if verdict(read_, column, address).exits}
        assert met == traps


def test_the_pointer_shows_what_lies_under_it_also_where_the_map_is_enlarged(tab: Page, report: Path) -> None:
    tab.open(report)
    tab.run("document.querySelectorAll('.frame canvas')[0].scrollIntoView()")
    box = tab.run("(({x, y}) => [x, y])(document.querySelectorAll('.frame canvas')[0].getBoundingClientRect())")
    tab.point(box[0] + 3 * 0xF8 + 1, box[1] + 3 * 3 + 1)
    assert here(tab).startswith("Port 0x3f8COM1_DATA")
    focus(tab, 0)
    tab.press("Home", control=True)
    tab.press("+", times=3)
    box = tab.run("(({x, y}) => [x, y])(document.querySelectorAll('.frame canvas')[0].getBoundingClientRect())")
    tab.point(box[0] + 24 * 4 + 12, box[1] + 24 * 2 + 12)
    assert here(tab).startswith("Port 0x204")
    labels = tab.run("[...document.querySelectorAll('.down')[0].children].map((each) => each.textContent)")
    assert labels[:2] == ["0x0000", "0x0200"]
    tab.press("0")
    assert tab.run("document.querySelectorAll('.frame canvas')[0].width") == 768


@pytest.mark.parametrize(("width", "height"), [(320, 640), (320, 256), (1280, 600)])
def test_the_cell_of_the_cursor_is_in_the_window(tab: Page, report: Path, width: int, height: int) -> None:
    """320 by 256: a window of 1280 by 1024 at 400 %, where the map is wider than it, and half of it is taken."""
    tab.open(report, width=width, height=height)
    focus(tab, 0)
    assert seen(tab)
    for key, control in (
        ("End", True),
        ("Home", False),
        ("PageUp", False),
        ("End", False),
        ("Home", True),
        ("n", False),
    ):
        tab.press(key, control=control)
        assert seen(tab), key
    for words in ("io:0xffff", "io:0x80", "msr:0xc00000ff", "msr:0x1b"):
        find(tab, words)
        tab.press("Enter")
        assert seen(tab), words


def test_a_cell_that_is_clicked_stays_under_the_pointer(tab: Page, report: Path) -> None:
    tab.open(report, width=320, height=640)
    tab.run("document.querySelectorAll('.frame canvas')[0].scrollIntoView({ block: 'end' })")
    place = tab.run(
        "(({left, bottom}) => [left + 40, bottom - 200])(document.querySelector('.frame').getBoundingClientRect())"
    )
    before = tab.run("[scrollX, scrollY, document.querySelector('.plot').scrollLeft]")
    for kind in ("mousePressed", "mouseReleased"):
        tab.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)
    assert here(tab).startswith("Port 0x38")
    assert tab.run("[scrollX, scrollY, document.querySelector('.plot').scrollLeft]") == before


def test_the_arrow_keys_move_the_view_of_an_enlarged_map(tab: Page, report: Path) -> None:
    tab.open(report)
    focus(tab, 0)
    tab.press("Home", control=True)
    tab.press("+", times=4)
    tab.press("End")
    tab.press("PageDown")
    assert spoken(tab).startswith("port 0x10ff")
    box = tab.run("(({left, top, width}) => [left, top, width])(document.querySelector('.cursor').style)")
    left, top, width = (float(each.removesuffix("px")) for each in box)
    assert 0 <= left + width <= 768 + 5
    assert 0 <= top + width <= 768 + 5


# filter


def test_the_box_finds_numbers_names_labels_and_places(tab: Page, report: Path) -> None:
    tab.open(report)
    assert find(tab, "io:0x3f8..0x3ff") == "8 places found"
    assert find(tab, "msr:0x10,0x12") == "4 places found"
    assert find(tab, "0x10") == "3 places found"
    assert find(tab, "ia32_efer") == "2 places found"
    assert find(tab, "efer mask") == "1 place found"
    assert find(tab, "all.pol:5") == "8 places found"
    choose(tab, "access", "4")
    # Accesses of four bytes that start below the UART's ports reach them: 0x3f5..0x3ff.
    assert tab.run("document.getElementById('matches').textContent") == "11 places found"
    choose(tab, "access", "-1")
    tab.press("Enter")
    assert spoken(tab).startswith("port 0x3f8")
    assert tab.run("document.activeElement.tagName") == "CANVAS"
    rows = tab.run("[...document.querySelectorAll('#tables tbody th')].map((each) => each.textContent)")
    assert rows == ["0x3f8..0x3ff"]
    assert find(tab, "nothing has this name") == "0 places found"


def test_a_kind_can_be_shown_alone(tab: Page, report: Path, policy: Path) -> None:
    read_ = read(policy)
    tab.open(report)
    found = sum(port_kind(read_, port) == "kill" for port in range(0x40, 0x80))
    assert found == 1
    tab.run("document.querySelector('#legend button[data-kind=kill]').click()")
    assert tab.run("document.getElementById('matches').textContent") == "1 place found"
    assert tab.run("document.querySelector('#legend button[data-kind=kill]').getAttribute('aria-pressed')") == "true"
    assert cell(tab, 0, 0x64) == css(tab, "kill")
    assert cell(tab, 0, 0x60) != css(tab, "drop")
    assert tab.run("[...document.querySelectorAll('#tables tbody th')].map((each) => each.textContent)") == ["0x64"]


# tables, menus, findings


def test_the_tables_list_the_ranges_of_show(tab: Page, report: Path, policy: Path, capsys: Any) -> None:
    capsys.readouterr()
    assert frame.run(["show", str(policy), "--format", "json"]) == 0
    spaces = json.loads(capsys.readouterr().out)["spaces"]
    tab.open(report)
    for number, space in enumerate(["io", "msr"]):
        (ranges,) = [each["ranges"] for each in spaces if each["space"] == space]
        expected = {(each["lo"], each["hi"], each["access"]) for each in ranges if each["does"] != "passthrough"}
        rows = tab.run(
            f"[...document.querySelectorAll('#tables table')[{number}].tBodies[0].rows]"
            ".map((row) => [...row.cells].map((each) => each.textContent))"
        )
        shown = set()
        for address, _, access, does, *_ in rows:
            lo, _, hi = address.partition("..")
            if does != "passes":
                shown.add((int(lo, 16), int(hi or lo, 16), access))
        assert shown == expected


def test_profiles_vcpus_and_targets_can_be_chosen(tab: Page, folder: Path) -> None:
    tab.open(drawn(folder, EXAMPLES / "profiles.pol", "--target", "vmx,svm", name="profiles.html"))
    menu = "[...document.getElementById('{}').options].map((each) => each.value)"
    assert tab.run(menu.format("profile")) == ["base policy", "boot", "run", "hardened"]
    assert tab.run(menu.format("target")) == ["vmx", "svm"]
    assert tab.run("document.getElementById('vcpus-field').hidden")
    read_ = read(EXAMPLES / "profiles.pol")
    energy = 0x611
    for profile in ("run", "hardened"):
        choose(tab, "profile", profile)
        found = law.evaluate(read_, Variant(profile), Access("rdmsr", energy), "vmx")
        assert cell(tab, 1, energy) == css(tab, kind(found))
    choose(tab, "target", "svm")
    titles = tab.run("[...document.querySelectorAll('.map.msr h3')].map((each) => each.textContent)")
    assert titles[-1] == "WRMSR 0xc0010000..0xc0011fff"
    tab.open(drawn(folder, EXAMPLES / "widths.pol", name="vcpus.html"))
    assert tab.run(menu.format("vcpus")) == ["1..4095", "0"]


def test_a_profile_is_drawn_over_what_it_leaves_as_it_is(tab: Page, folder: Path) -> None:
    """Where a variant is another one in most places, the page holds the difference."""
    rules = [f"intercept io {port:#x} -> {('drop', 'exit')[port // 2 % 2]}" for port in range(0x100, 0x140, 2)]
    own = ["profile p {", "override intercept io 0x110..0x111 -> kill", "override allow io 0x120", "}"]
    place = folder / "over.pol"
    place.write_text("\n".join(["language 1", "target vmx", *rules, *own]))
    tab.open(drawn(folder, place, "--no-findings", name="over.html"))
    data = json.loads(tab.run("document.getElementById('data').textContent"))
    assert any("over" in each for each in data["sides"][0]["runs"])
    read_ = read(place)
    for profile, chosen in ((None, "base policy"), ("p", "p")):
        choose(tab, "profile", chosen)
        for port in (0x0FF, 0x100, *range(0x10E, 0x124), 0x13E, 0x140):
            found = law.evaluate(read_, Variant(profile), Access("out", port, 1), "vmx")
            assert cell(tab, 0, port) == css(tab, kind(found)), (chosen, port)
        captions = tab.run("[...document.querySelectorAll('#tables caption')].map((each) => each.textContent)")
        assert captions[0] == f"I/O ports: {65 if profile is None else 62} ranges"


def test_findings_lead_to_their_places(tab: Page, report: Path) -> None:
    tab.open(report)
    codes = tab.run("[...document.querySelectorAll('#findings tbody th')].map((each) => each.textContent)")
    assert any(each.startswith("S401 ") for each in codes)
    tab.run(
        "[...document.querySelectorAll('#findings tbody tr')].find((row) => row.textContent.includes('S401'))"
        ".querySelector('button').click()"
    )
    assert spoken(tab).startswith("MSR 0x3a IA32_FEATURE_CONTROL")


def test_an_image_that_opens_what_the_policy_closes_is_said_at_the_top(tab: Page, folder: Path) -> None:
    """A bundle whose image was altered, and whose hash was made to fit."""
    policy, bundle = folder / "uart.pol", folder / "uart.bundle"
    policy.write_text("language 1\ntarget vmx\ndefault passthrough\nintercept io 0x3f8..0x3ff\n")
    assert frame.run(["compile", str(policy), "-o", str(bundle)]) == 0
    tab.open(drawn(folder, bundle, name="honest.html"))
    assert tab.run("document.getElementById('warning').hidden")
    image, manifest = bundle / "io.bin", bundle / "manifest.json"
    old, new = image.read_bytes(), bytes(8192)
    image.write_bytes(new)
    hashes = [hashlib.sha256(data).hexdigest() for data in (old, new)]
    manifest.write_text(manifest.read_text().replace(*hashes))
    tab.open(drawn(folder, bundle, name="altered.html"))
    assert "an image lets pass what the decisions beside it trap" in tab.run(
        "document.getElementById('warning').textContent"
    )
    assert not tab.run("document.getElementById('warning').hidden")
    assert cell(tab, 0, 0x3F8) == css(tab, "passes")
    focus(tab, 0)
    find(tab, "io:0x3f8")
    tab.press("Enter")
    assert "passes, though the policy says exit" in here(tab)


# before and after


def test_a_comparison_shows_what_opens_in_its_colour(tab: Page, folder: Path) -> None:
    old, new = folder / "old.pol", folder / "new.pol"
    old.write_text("language 1\ndefault passthrough\nintercept io 0x60 -> kill\nintercept msr 0x10 write -> drop\n")
    new.write_text("language 1\ndefault passthrough\nintercept io 0x64 -> kill\nintercept msr 0x10 write -> exit\n")
    tab.open(drawn(folder, old, new, name="changes.html"))
    assert tab.errors == []
    expected = {0x60: "opens", 0x64: "closes", 0x65: "same"}
    assert {port: cell(tab, 0, port) for port in expected} == {port: css(tab, each) for port, each in expected.items()}
    assert cell(tab, 2, 0x10) == css(tab, "changes")
    for side, kinds in (("before", {0x60: "kill", 0x64: "passes"}), ("after", {0x60: "passes", 0x64: "kill"})):
        tab.run(f"document.querySelector('#side-field input[value={side}]').click()")
        assert {port: cell(tab, 0, port) for port in kinds} == {port: css(tab, each) for port, each in kinds.items()}
    tab.run("document.querySelector('#side-field input[value=change]').click()")
    focus(tab, 0)
    tab.press("Home", control=True)
    tab.press("n")
    assert spoken(tab).startswith("port 0x60 KBC_DATA. opens. in, out: any width: passes")
    assert "before: kill" in here(tab)
    assert "old.pol:3" in here(tab)
    first = tab.run("[...document.querySelector('#changes tbody tr').cells].map((each) => each.textContent)")
    assert first[:3] == ["opens", "0x60", "inout, width 1/2/4"]
    assert first[3:5] == [f"kill {old}:3", "passthrough (default)"]
    assert tab.run("document.getElementById('headline').firstChild.textContent") == "opens 1 port for in and out"


# to the eye


def luminance(colour: tuple[int, ...]) -> float:
    """WCAG 2.2, relative luminance."""
    linear = [each / 255 / 12.92 if each <= 10 else ((each / 255 + 0.055) / 1.055) ** 2.4 for each in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_and_letters_have_the_contrast_that_wcag_asks_for(tab: Page, report: Path, dark: bool) -> None:
    tab.open(report, dark=dark)
    for ground in ("back", "panel"):
        for text in ("text", "muted", "accent", "bad"):
            assert contrast(css(tab, text), css(tab, ground)) >= 4.5, (text, ground)
    assert contrast(css(tab, "accent-text"), css(tab, "accent")) >= 4.5
    assert contrast(css(tab, "text"), css(tab, "bad-back")) >= 4.5
    for each in (*KINDS_OF_OUTCOME, "opens", "closes", "changes", "same"):
        assert contrast(css(tab, f"{each}-ink"), css(tab, each)) >= 4.5, each
    back = tab.run("getComputedStyle(document.body).backgroundColor")
    assert back == f"rgb({', '.join(map(str, css(tab, 'back')))})"


def test_kinds_are_told_apart_without_colour(tab: Page, report: Path) -> None:
    """Every swatch has a pattern of its own; only what passes and the darkest, kill, are plain."""
    tab.open(report)
    patterns = {}
    for each in KINDS_OF_OUTCOME:
        pixels = tab.run(
            f"""(() => {{
              const canvas = document.querySelector('#legend canvas[data-kind={each}]');
              return Array.from(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, 24, 24).data.buffer));
            }})()"""
        )
        patterns[each] = tuple(pixel != max(set(pixels), key=pixels.count) for pixel in pixels)
    plain = {each for each, pattern in patterns.items() if not any(pattern)}
    assert plain == {"passes", "kill"}
    assert contrast(css(tab, "passes"), css(tab, "kill")) > 10
    assert len(set(patterns.values())) == len(patterns) - 1


def test_a_page_that_is_open_follows_the_colours_of_the_system(tab: Page, report: Path, folder: Path) -> None:
    tab.open(report)
    tab.picture(folder / "light.png")
    tab.scheme("dark")
    assert cell(tab, 0, 0) == css(tab, "passes")
    tab.picture(folder / "dark.png")
    assert (folder / "light.png").read_bytes() != (folder / "dark.png").read_bytes()
    assert luminance(css(tab, "back")) < 0.05


@pytest.mark.parametrize("width", [1280, 700, 400, 320])
def test_nothing_is_wider_than_the_window(tab: Page, report: Path, width: int) -> None:
    """320: a window of 1280 at 400 %, which WCAG 2.1 asks for (1.4.10)."""
    tab.open(report, width=width)
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_a_long_name_is_broken(tab: Page, folder: Path, policy: Path) -> None:
    path = policy.rename(folder / f"{'a' * 240}.pol")
    page = drawn(folder, path, name="long.html")
    path.rename(policy)
    tab.open(page)
    assert tab.run("document.documentElement.scrollWidth") <= 1280


def test_a_screen_of_few_colours_shows_the_focus_and_what_is_chosen(tab: Page, folder: Path) -> None:
    """Forced colours take backgrounds and shadows away."""
    tab.open(drawn(folder, EXAMPLES / "quickstart.pol", EXAMPLES / "widths.pol", name="forced.html"))
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
    tab.drawn()
    focus(tab, 0)
    tab.press("ArrowRight")
    assert tab.run("getComputedStyle(document.activeElement.parentNode).outlineStyle") == "solid"
    backs = tab.run(
        "[...document.querySelectorAll('#side-field label')].map((each) => getComputedStyle(each).backgroundColor)"
    )
    assert len(set(backs)) == 2
    tab.scheme("light")


def test_the_focus_is_never_lost(tab: Page, folder: Path) -> None:
    """A button that goes away with what it did leaves the focus where one reads on."""
    many = folder / "many.pol"
    lines = "".join(f"intercept io {port:#x} -> forward(h{port})\n" for port in range(0, 1400, 4))
    many.write_text(f"language 1\ntarget kvm\ndefault passthrough\n{lines}intercept msr 0x4b564d00 read -> exit\n")
    tab.open(drawn(folder, many, name="many.html"))
    more = "document.querySelector('#tables .more')"
    tab.run(f"{more}.focus(), {more}.click()")
    assert tab.run("document.activeElement.rowIndex") == 301
    assert tab.run(f"{more} === null")
    last = "[...document.querySelectorAll('#tables .where')].at(-1)"
    tab.run(f"{last}.focus(), {last}.click()")
    assert tab.run("document.getElementById('matches').textContent") == "0 places found"
    assert tab.run("document.activeElement.id") == "find"


def test_a_table_of_thousands_grows_in_steps(tab: Page, folder: Path) -> None:
    """All rows of a policy of 20,000 rules at once held the page up for 25 seconds."""
    many = folder / "thousands.pol"
    lines = "".join(f"intercept io {port:#x} -> forward(h{port})\n" for port in range(1500))
    many.write_text(f"language 1\ntarget vmx\ndefault passthrough\n{lines}")
    tab.open(drawn(folder, "--no-findings", many, name="thousands.html"))
    more, rows = "document.querySelector('#tables .more')", "document.querySelectorAll('#tables tbody')[0].rows.length"
    total = int(str(tab.run("document.querySelector('#tables caption').textContent")).split()[2].replace(",", ""))
    assert total > 1300
    assert (tab.run(rows), tab.run(f"{more}.textContent")) == (300, f"Show 1,000 more of {total:,}")
    tab.run(f"{more}.click()")
    assert (tab.run(rows), tab.run(f"{more}.textContent")) == (1300, f"Show all {total:,}")
    tab.run(f"{more}.click()")
    assert (tab.run(rows), tab.run(f"{more} === null")) == (total, True)


def test_a_rule_of_a_file_with_a_blank_before_its_name_is_found(tab: Page, folder: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(folder)
    Path(" vm.pol").write_text("language 1\ndefault passthrough\nintercept io 0x60 -> kill\n")
    tab.open(drawn(folder, " vm.pol", name="blank.html"))
    tab.run("document.querySelector('#tables .where').click()")
    assert tab.run("document.getElementById('matches').textContent") == "1 place found"


def test_profiles_that_come_and_go_are_told(tab: Page, folder: Path) -> None:
    text = "language 1\ntarget vmx\ndefault passthrough\nprofile NAME {\n    intercept io 0x61 -> kill\n}\n"
    old, new = folder / "old.pol", folder / "new.pol"
    old.write_text(text.replace("NAME", "gone"))
    new.write_text(text.replace("NAME", "fresh"))
    tab.open(drawn(folder, old, new, name="profiles-change.html"))
    said = "[...document.querySelectorAll('#headline li')].map((each) => each.textContent)"
    assert tab.run(said) == ["No access fares differently.", "profile gone is gone"]
    choose(tab, "profile", "fresh")
    told = ["profile fresh is new; it is compared with the old base policy", "profile gone is gone"]
    assert tab.run(said) == ["closes 1 port for in and out", *told]


def test_every_control_has_a_name_and_the_tables_have_headings(tab: Page, report: Path) -> None:
    tab.open(report)
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "combobox", "searchbox", "application", "table"}
    found = [each for each in tree if each.get("role", {}).get("value") in roles and not each.get("ignored")]
    assert {each["role"]["value"] for each in found} == roles
    assert all(each.get("name", {}).get("value") for each in found)
    assert tab.run("document.querySelectorAll('table thead th[scope=col]').length") >= 17
    assert tab.run("document.getElementById('live').getAttribute('aria-live')") == "polite"


def test_the_focus_is_seen(tab: Page, report: Path) -> None:
    tab.open(report)
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    assert tab.run("getComputedStyle(document.activeElement).position") == "fixed"
    for _ in range(40):
        if tab.run("document.activeElement.tagName") == "CANVAS":
            break
        tab.press("Tab")
        assert tab.run(
            "(() => { const style = getComputedStyle(document.activeElement);"
            "return document.activeElement.tagName === 'CANVAS' || style.outlineStyle === 'solid' })()"
        )
    assert tab.run("getComputedStyle(document.activeElement.parentNode).boxShadow") != "none"
