#!/bin/bash
# hold.sh ID: runs a prepared node for as long as standard input stays open, then kills it and removes $KV_RUN.
# A test holds the other end of that pipe: however the test ends, the broker ends with it.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
trap '' INT HUP   # a Ctrl-C is for the test; its end is seen at the pipe
exec 3<&0
(exec_node "$1" 3<&-) &
broker=$!
cat <&3 > /dev/null &
watch=$!
exec 3<&-
echo "$broker" > "$KV_RUN/node$1/pid.new" && mv "$KV_RUN/node$1/pid.new" "$KV_RUN/node$1/pid"
exec 2> /dev/null   # the shell would announce a broker that was killed on purpose
wait -n "$broker" "$watch"
if kill -0 "$watch" 2>/dev/null; then   # the broker ended by itself, or was killed: it may be started again
  kill "$watch"
else
  kill -KILL "$broker" 2>/dev/null
  wait "$broker" 2>/dev/null
  rm -rf "$KV_RUN"
fi
