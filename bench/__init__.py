"""Every timing of policyc: ``python -m bench`` runs all of them, prints one table and compares with the commit before.

A bench is one file here, and one line in ``bench.__main__.BENCHES``. It has

* ``SUMMARY``: one line that says what it measures;
* ``lacking() -> str``: what this machine lacks for it, and how to get it; empty where it can run;
* ``result(quick: bool) -> Result``: the figures, and plots by file name. quick: fewer rounds, for a first look.

Figures that carry a promise are ratios of two things measured in turn in one run (``bench.common.cost``), or counts of
instructions: both stay the same on a busy machine. What is measured is the ``policyc`` that Python imports, so that
``--against`` can hand these same files another commit's.
"""
