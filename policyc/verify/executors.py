"""All executors, in the order in which ``policyc verify`` runs them."""

from __future__ import annotations

from policyc.verify.emulated import EMULATED
from policyc.verify.handler import Handler
from policyc.verify.kvm import Kvm
from policyc.verify.results import Executor

EXECUTORS: tuple[Executor, ...] = (*EMULATED, Kvm(), Handler())
