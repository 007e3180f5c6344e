"""Tests of what the sandbox calls back."""
