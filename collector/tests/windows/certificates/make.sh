#!/usr/bin/env bash
# Makes the certificates of the test beside it, and what OpenSSL says about each: NAME.der and NAME.txt. The keys are
# deleted, so that nobody can sign anything that a machine with these certificates trusts.
#
#     collector/tests/windows/certificates/make.sh
set -euo pipefail
cd "$(dirname "$0")"
keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT

issued() {
  local name=$1 key=$2 hash=$3 serial=$4 days=$5 subject=$6
  shift 6
  openssl genpkey -quiet $key -out "$keys/$name.key"
  openssl req -new -utf8 -key "$keys/$name.key" -subj "$subject" -out "$keys/$name.csr"
  printf '%s\n' "$@" > "$keys/$name.ext"
  local signer=(-CA "$keys/root.pem" -CAkey "$keys/root.key")
  [ "$name" = root ] && signer=(-key "$keys/root.key")
  openssl x509 -req -in "$keys/$name.csr" "${signer[@]}" -"$hash" -set_serial "0x$serial" -days "$days" \
    -extfile "$keys/$name.ext" -out "$keys/$name.pem" 2> /dev/null
  openssl x509 -in "$keys/$name.pem" -outform der -out "$name.der"
  local said=(openssl x509 -in "$keys/$name.pem" -noout)
  {
    "${said[@]}" -fingerprint -sha1
    "${said[@]}" -fingerprint -sha256
    "${said[@]}" -serial
    "${said[@]}" -startdate -enddate -dateopt iso_8601
    "${said[@]}" -subject -issuer -nameopt RFC2253,sep_comma_plus_space,-esc_msb,utf8
    "${said[@]}" -text -certopt no_sigdump | sed -nE '
      s/^ *(Signature Algorithm|Public-Key): /\1: /p
      /Extended Key Usage/ { s/.*/Usage: /; N; s/\n *//p; }'
  } > "$name.txt"
}

# Wine 8 puts some names in quotes which need none: those of an odd number of letters with a blank in the middle letter.
rsa='-algorithm RSA -pkeyopt rsa_keygen_bits:'
issued root "${rsa}3072" sha384 2b1f0c9a7d 7300 '/DC=com/DC=example/CN=Example Root Authority' \
  'basicConstraints = critical, CA:true' 'keyUsage = keyCertSign, cRLSign'
issued publishing "${rsa}2048" sha256 4a5d8b1f7c2e9d4f8a6b3c1d2e0f9a8b 1826 \
  '/C=DE/O=Müller Beispiel GmbH/CN=Example WSUS Publishing' 'extendedKeyUsage = emailProtection, codeSigning'
issued tls '-algorithm EC -pkeyopt ec_paramgen_curve:P-256' sha256 4c10c0 397 \
  '/O=Example/CN=wsus01.corp.example' 'extendedKeyUsage = serverAuth'
