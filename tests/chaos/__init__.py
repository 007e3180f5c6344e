"""Faults on purpose: everything that can die or go silent does, and the provider's own record is the judge."""
