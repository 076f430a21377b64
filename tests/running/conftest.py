"""Fixtures of the tests of runners."""

from support.queued import attentive, pace, reference
from support.shelf import shelf

__all__ = ["attentive", "pace", "reference", "shelf"]
