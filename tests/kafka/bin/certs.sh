#!/bin/bash
# certs.sh FOLDER: a CA, a certificate of it for the broker and for a client, and a CA that signed neither. PEM, PKCS#8, 2 days.
set -euo pipefail
mkdir -p "$1"; cd "$1"
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
for ca in ca other-ca; do
  openssl req -x509 "${key[@]}" -days 2 -subj "/CN=test-$ca" -keyout $ca.key -out $ca.pem 2> /dev/null
done
printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n' > extensions
for name in broker client; do
  openssl req "${key[@]}" -subj "/CN=$name" -keyout $name.key -out $name.csr 2> /dev/null
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out $name.crt 2> /dev/null
  cat $name.key $name.crt > $name.pem
done
