#!/bin/sh
# Becomes the Valkey server, and leaves one small shell behind that ends the server when our parent is gone.
#
#   $1     the server's binary
#   $2     a temporary directory to remove after an orphaned server, or ""
#   stdin  a pipe from the parent: a line means "stopped in good order", its end means "the parent is gone"
#
# exec keeps the process id, so that $$ is the server's and no moment is left in which nobody watches it.
exec 3<&0
(
  if read -r _word <&3; then exit 0; fi
  kill -TERM $$
  tries=0
  while kill -0 $$ && [ $tries -lt 300 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -KILL $$
  if [ -n "$2" ]; then rm -rf -- "$2"; fi
) >/dev/null 2>&1 &
exec "$1" valkey.conf </dev/null 3<&-
