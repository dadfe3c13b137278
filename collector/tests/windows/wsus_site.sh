#!/usr/bin/env bash
# A TLS server on loopback that stands in for a WSUS server, till it is ended. In DIR it makes a root (root.der), a
# certificate of that root for `localhost`, what OpenSSL says of both (server.txt, root.txt), and port.txt.
#
#     collector/tests/windows/wsus_site.sh DIR
set -euo pipefail
cd "$1"
rm -f port.txt

key=(-newkey rsa:2048 -nodes)
openssl req -x509 "${key[@]}" -keyout root.key -out root.pem -days 30 -subj '/O=Example/CN=Example Site Root' \
  -addext 'basicConstraints = critical, CA:true' -addext 'keyUsage = critical, keyCertSign, cRLSign' 2> /dev/null
openssl req -new "${key[@]}" -keyout server.key -out server.csr -subj '/O=Example/CN=localhost' 2> /dev/null
printf '%s\n' 'subjectAltName = DNS:localhost' 'extendedKeyUsage = serverAuth' 'basicConstraints = CA:false' > server.ext
openssl x509 -req -in server.csr -CA root.pem -CAkey root.key -set_serial 0x51c4 -days 20 -extfile server.ext \
  -out server.pem 2> /dev/null
openssl x509 -in root.pem -outform der -out root.der
for name in server root; do
  openssl x509 -in "$name.pem" -noout -fingerprint -sha1 -subject -issuer -nameopt RFC2253,sep_comma_plus_space \
    > "$name.txt"
done

# The server names its port once it listens.
mkfifo said 2> /dev/null || true
openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key -cert_chain root.pem -www > said 2>&1 &
server=$!
trap 'kill "$server"' EXIT
trap 'exit 0' TERM INT
while read -r line; do
  [[ $line == ACCEPT* ]] || continue
  echo "${line##*:}" > port.new && mv port.new port.txt
done < said
