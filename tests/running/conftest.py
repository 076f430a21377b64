"""Fixtures of the tests of runners."""

from support.queued import attentive, pace, reference

__all__ = ["attentive", "pace", "reference"]
