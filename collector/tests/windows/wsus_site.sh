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
cat server.pem root.pem > chain.pem
for name in server root; do
  openssl x509 -in "$name.pem" -noout -fingerprint -sha1 -subject -issuer -nameopt RFC2253,sep_comma_plus_space \
    > "$name.txt"
done

# The port is named once the server listens. `openssl s_server` is not used: it serves one client at a time, and answers no
# HEAD.
exec python3 - << 'END'
import http.server, os, ssl

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("chain.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
with open("port.new", "w") as file:
    print(server.server_port, file=file)
os.rename("port.new", "port.txt")
server.serve_forever()
END
