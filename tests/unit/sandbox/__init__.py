"""The sandbox, judged without sockets."""
