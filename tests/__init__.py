"""Tests, by what they need: nothing (unit, property), real servers (integration), patience (chaos)."""
