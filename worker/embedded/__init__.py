"""The embedded Valkey: a real server for the demo, for one machine, and for tests.

The server is a child of the process that starts it and never outlives it: a small shell that waits for the
end of its parent ends the server too, also after a SIGKILL. A data directory belongs to one server at a time;
other processes find a running server through `find_running`.

It listens on loopback only, asks for a random password that only the owner of the data directory can read,
and never evicts. With ``appendfsync everysec`` a power cut can take the last second of writes or two, and so can a
kill while the disk is syncing; with ``always`` neither can.
"""

from worker.embedded.directory import Running, find_running, find_running_server
from worker.embedded.server import EmbeddedValkey
from worker.embedded.store import resolve_store

__all__ = ["EmbeddedValkey", "Running", "find_running", "find_running_server", "resolve_store"]
