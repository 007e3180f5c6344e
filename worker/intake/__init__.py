"""The doors: where events come in."""
