#!/bin/bash
# acls.sh: gives each principal of wulog the rights that it needs on Kafka, and no other.
#
#   deploy/kafka/acls.sh --bootstrap-server kafka-1:9092 --command-config admin.properties
#
# All arguments go to kafka-acls. The environment names the rest:
#   PREFIX      topic_prefix of the configurations (wulog)
#   COLLECTOR   principal of the collectors        (User:collector)
#   PROCESSOR   principal of the processors        (User:processor)
#   READER      principal of a SIEM, of `alerts list`, of whoever reads events and alerts (User:reader)
#   KAFKA_ACLS  the command                        (kafka-acls.sh)
#
# It only adds; a second run changes nothing. The grants do not depend on each other, so they run side by side: each
# starts a Java machine. The brokers need an authorizer, such as
# authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer. `topics create` is an administrator's.
set -euo pipefail
PREFIX=${PREFIX:-wulog}
COLLECTOR=${COLLECTOR:-User:collector}
PROCESSOR=${PROCESSOR:-User:processor}
READER=${READER:-User:reader}
read -ra acls <<< "${KAFKA_ACLS:-kafka-acls.sh}"

# allow PRINCIPAL OPERATIONS RESOURCE...: OPERATIONS is a list such as Read,Write
allow() {
  local principal=$1 operations=() operation; shift
  for operation in ${1//,/ }; do operations+=(--operation "$operation"); done; shift
  "${acls[@]}" "${arguments[@]}" --add --force --allow-principal "$principal" "${operations[@]}" "$@" &
  grants+=($!)
}
arguments=("$@")
grants=()

# A collector appends lines, and asks how many partitions there are.
allow "$COLLECTOR" Write,Describe --topic "$PREFIX.raw"

# A processor reads lines and appends ticks to them; it alone writes what comes of them.
allow "$PROCESSOR" Read,Write,Describe,DescribeConfigs --topic "$PREFIX.raw" --topic "$PREFIX.signals" \
  --topic "$PREFIX.alerts" --topic "$PREFIX.state"
allow "$PROCESSOR" Write,Describe,DescribeConfigs --topic "$PREFIX.events"
# Its groups and transactions are named PREFIX-MACHINE and PREFIX-MACHINE-INSTANCE.
allow "$PROCESSOR" Read,Describe --group "$PREFIX-" --resource-pattern-type prefixed
allow "$PROCESSOR" Write,Describe --transactional-id "$PREFIX-" --resource-pattern-type prefixed

# A reader sees events and alerts, and neither the lines nor what the detector knows.
allow "$READER" Read,Describe --topic "$PREFIX.events" --topic "$PREFIX.alerts"
allow "$READER" Read --group "$PREFIX-reader" --resource-pattern-type prefixed

failed=0
for grant in "${grants[@]}"; do wait "$grant" || failed=$((failed + 1)); done
[ $failed = 0 ] || { echo "acls.sh: $failed of ${#grants[@]} grants failed; what is above says why, and a second run is harmless" >&2; exit 1; }
