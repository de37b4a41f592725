"""What ``diff`` and ``prove`` are given: a policy, a bundle's folder, a raw image, or a policy of another revision."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policyc.analyses.diff import Side
    from policyc.database.names import Database


def policy_side(word: str, names: Database) -> Side:
    """The policy at a path (``-``: standard input), decided.

    Raises UnreadableError, and PolicyError also where rules contradict each other: then nobody knows what it means.
    """
    from policyc import pipeline
    from policyc.analyses.diff import side
    from policyc.semantics.conflicts import conflicts
    from policyc.vocabulary.diagnostic import PolicyError

    policy = pipeline.front(word, database=names).policy
    clashes = conflicts(policy, names)
    if clashes:
        raise PolicyError(clashes)
    return side(policy)


def is_policy(word: str) -> bool:
    """Whether a word names a policy, rather than a bundle's folder or a raw image."""
    from policyc.analyses.images import kinds_of

    if word == "-" or word.endswith(".pol"):
        return True
    if os.path.isdir(word):
        return False
    try:
        with open(word, "rb") as stream:
            return not kinds_of(stream.read(1 << 24))
    except OSError:
        return True  # The front end says what is wrong with it.
