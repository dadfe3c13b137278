#!/bin/bash
# prepare.sh single|cluster|secure: writes each node's configuration and formats its storage, once
set -euo pipefail
. "$(dirname "$0")/lib.sh"
case ${1:-single} in
  single|secure) ids="1"; rf=1; min_isr=1;;
  cluster) ids="1 2 3"; rf=3; min_isr=2;;
  *) die "usage: prepare.sh single|cluster|secure";;
esac
# Fixed directory ids (16 bytes in base64url), so that --initial-controllers is the same text on each node.
dirid=(x a3Yta2Fma2EtZGlyLTAwMQ a3Yta2Fma2EtZGlyLTAwMg a3Yta2Fma2EtZGlyLTAwMw)
controllers=""; initial=""
for i in $ids; do
  c=127.0.0.1:$((KV_PORT+4+i)); controllers="$controllers,$c"; initial="$initial,$i@$c:${dirid[$i]}"
done
parts=("$HERE/conf/broker.properties"); users=()
if [ "${1:-}" = secure ]; then
  "$HERE/bin/certs.sh" "$KV_RUN/certs"
  parts+=("$HERE/conf/secure.properties")   # later lines win
  for user in collector processor reader; do users+=(--add-scram "SCRAM-SHA-512=[name=$user,password=$KV_PASSWORD]"); done
fi
jobs=()
for i in $ids; do
  d=$KV_RUN/node$i; mkdir -p "$d"
  sed -e "s#@ID@#$i#g; s#@DIR@#$d#g; s#@RF@#$rf#g; s#@MINISR@#$min_isr#g; s#@CONTROLLERS@#${controllers#,}#g" \
    -e "s#@PORT@#$((KV_PORT+i))#g; s#@CONTROLLER_PORT@#$((KV_PORT+4+i))#g" -e "s#@SCRAM_PORT@#$((KV_PORT+8+i))#g; s#@MTLS_PORT@#$((KV_PORT+12+i))#g; s#@CERTS@#$KV_RUN/certs#g" \
    "${parts[@]}" > "$d/server.properties"
  [ -f "$d/data/meta.properties" ] && continue
  # shellcheck disable=SC2086
  "$JAVA" $KV_TOOL_JVM -Dlog4j2.configurationFile="file:$HERE/conf/tools-log4j2.properties" -cp "$(classpath)" \
    kafka.tools.StorageTool format -t "$KV_CLUSTER_ID" -c "$d/server.properties" --initial-controllers "${initial#,}" "${users[@]}" \
    > "$d/format.log" 2>&1 &
  jobs+=("$!:$i")
done
for job in "${jobs[@]}"; do
  wait "${job%%:*}" || { cat "$KV_RUN/node${job##*:}/format.log" >&2; die "cannot format node ${job##*:}"; }
done
