"""The command line: ``msg91-destination COMMAND``. One file per group of commands."""
