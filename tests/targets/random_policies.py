"""Random policies whose ranges lie at the edges that matter: of the windows, of the pages, of the spaces."""

from __future__ import annotations

from hypothesis import strategies as st

from policyc.semantics.policy import EXIT, LAYER_MAIN, LAYER_OVERRIDE, Defaults, Policy, Rule
from tests.proof.build import PASS, TRAP, policy, rule, value

MSR_EDGES = (0, 7, 8, 0x10, 0x7FF, 0x800, 0x8FF, 0x900, 0x1FFF, 0x2000, 0x40000000, 0xBFFFFFFF, 0xC0000000, 0xC0000080,
             0xC0001FFF, 0xC0002000, 0xC0010000, 0xC0011FFF, 0xC0012000, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
PORT_EDGES = (0, 1, 7, 8, 0x3F8, 0x7FFC, 0x7FFF, 0x8000, 0x8001, 0xFFF8, 0xFFFD, 0xFFFE, 0xFFFF)


@st.composite
def rules(draw: st.DrawFn, space: str) -> Rule:
    edges = MSR_EDGES if space == "msr" else PORT_EDGES
    pairs = []
    for _ in range(draw(st.integers(1, 2))):
        lo = draw(st.sampled_from(edges))
        hi = draw(st.sampled_from([lo, lo, *(each for each in edges if each >= lo)]))
        pairs.append((lo, hi))
    verb = draw(st.sampled_from(["intercept", "allow"]))
    columns = draw(st.integers(1, 3)) if space == "msr" else draw(st.integers(1, 63)) << 2
    when = draw(st.sampled_from([(), (), (value("==", 1),)]))
    return rule(
        space, *pairs, verb=verb, columns=columns, when=when, layer=draw(st.sampled_from([LAYER_MAIN, LAYER_OVERRIDE]))
    )


def policies() -> st.SearchStrategy[Policy]:
    default = st.sampled_from([PASS, TRAP])
    return st.builds(
        lambda some, msr, io: policy(*some, defaults=Defaults(msr, io, EXIT, None)),
        st.lists(st.sampled_from(["msr", "io"]).flatmap(rules), max_size=7),
        default,
        default,
    )
