#!/usr/bin/env bash
# Makes the signed files of the test `failed_files.rs`, and what OpenSSL says about the certificates: NAME.txt. The keys
# are deleted, so that nobody can sign anything with these certificates. Needs osslsigncode 2.8 or newer, Python, and
# MinGW-w64.
#
#     collector/tests/windows/signed/make.sh
set -euo pipefail
cd "$(dirname "$0")"
out=$PWD
rm -f ./*.cab ./*.exe ./*.p7 ./*.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

issued() {
  local name=$1 issuer=$2 subject=$3
  shift 3
  openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$name.key"
  openssl req -new -utf8 -key "$name.key" -subj "$subject" -out "$name.csr"
  printf '%s\n' "$@" > "$name.ext"
  local signer=(-CA "$issuer.pem" -CAkey "$issuer.key")
  [ "$name" = "$issuer" ] && signer=(-key "$name.key")
  openssl x509 -req -in "$name.csr" "${signer[@]}" -sha256 -set_serial "0x$(openssl rand -hex 8)" -days 7300 \
    -extfile "$name.ext" -out "$name.pem" 2> /dev/null
  openssl x509 -in "$name.pem" -noout -fingerprint -sha1 > "$out/$name.txt"
  openssl x509 -in "$name.pem" -noout -fingerprint -sha256 -subject -issuer -nameopt RFC2253,sep_comma_plus_space \
    >> "$out/$name.txt"
}

issued root root '/DC=com/DC=example/CN=Example Root Authority' 'basicConstraints = critical, CA:true'
issued middle root '/DC=com/DC=example/CN=Example Signing Authority' 'basicConstraints = critical, CA:true'
issued publisher middle '/C=DE/O=Example/CN=Example Publisher' 'extendedKeyUsage = codeSigning'
issued self self '/O=Example/CN=Example WSUS Publishing' 'extendedKeyUsage = codeSigning'
issued stamp root '/O=Example/CN=Example Time Stamps' 'extendedKeyUsage = critical, timeStamping'
# What is asked about the time stamp is only that there is one.
rm "$out/stamp.txt"

# A cabinet with one file of one block without compression.
python3 - << 'END'
import struct
name, data = b"update.txt\0", b"an update\r\n"
folder_at, file_at = 36, 36 + 8
data_at = file_at + 16 + len(name)
block = struct.pack("<IHH", 0, len(data), len(data)) + data
header = b"MSCF" + struct.pack("<IIIIIBBHHHHH", 0, data_at + len(block), 0, file_at, 0, 3, 1, 1, 1, 0, 1, 0)
folder = struct.pack("<IHH", data_at, 1, 0)
file = struct.pack("<IIHHHH", len(data), 0, 0, 0x5921, 0, 0x20) + name
open("plain.cab", "wb").write(header + folder + file + block)
END
printf 'void start(void) {}\n' > program.c
x86_64-w64-mingw32-gcc -nostdlib -s -Wl,-e,start -o plain.exe program.c

sign() { osslsigncode sign -h sha256 "$@" > /dev/null; }
sign -certs publisher.pem -key publisher.key -ac <(cat middle.pem root.pem) -in plain.cab -out "$out/chain.cab"
sign -certs self.pem -key self.key -TSA-certs <(cat stamp.pem root.pem) -TSA-key stamp.key -in plain.exe \
  -out "$out/stamped.exe"
cp plain.cab "$out/unsigned.cab"
osslsigncode extract-signature -in "$out/chain.cab" -out "$out/chain.p7" > /dev/null
osslsigncode extract-signature -in "$out/stamped.exe" -out "$out/stamped.p7" > /dev/null
