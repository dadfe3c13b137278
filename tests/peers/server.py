"""A TLS peer that is not ours, from Python's standard library: an HTTPS endpoint, or a mail server with TLS, with STARTTLS or
without either. Prints its port, then one JSON object for each request or mail, as `http.server` and `email` read them.

server.py https|smtps|starttls|smtp CERTIFICATE KEY [CA-OF-CLIENTS]
"""
import email
import email.policy
import http.server
import json
import socketserver
import ssl
import sys

mode, certificate, key, *client_ca = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
if client_ca:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client_ca[0])


def tell(**what):
    print(json.dumps(what), flush=True)


def name_of(connection):
    """The common name that the client has shown; null without TLS or certificate."""
    shown = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    return dict(pair for (pair,) in shown["subject"])["commonName"] if shown else None


class Https(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        tell(client=name_of(self.connection), key=self.headers["idempotency-key"], id=json.loads(body)["id"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def mail(raw, secured):
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    parts = {part.get_content_type(): part.get_content() for part in parsed.walk() if not part.is_multipart()}
    headers = {name: str(parsed[name]) for name in parsed.keys()}
    defects = [str(defect) for part in parsed.walk() for defect in part.defects]
    tell(secured=secured, headers=headers, type=parsed.get_content_type(), parts=parts, defects=defects)


class Smtp(socketserver.BaseRequestHandler):
    def handle(self):
        self.secured = mode == "smtps"
        self.open()
        self.say("220 peer")
        while line := self.lines.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"EHLO":
                self.say("250-peer\r\n250 STARTTLS" if mode == "starttls" and not self.secured else "250 peer")
            elif verb == b"STARTTLS":
                self.say("220 go ahead")
                self.request = context.wrap_socket(self.request, server_side=True)
                self.secured = True
                self.open()
            elif verb == b"DATA":
                self.say("354 go ahead")
                raw = b""
                while (line := self.lines.readline()) not in (b".\r\n", b""):
                    raw += line[1:] if line.startswith(b".") else line
                mail(raw, self.secured)
                self.say("250 taken")
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def open(self):
        self.lines = self.request.makefile("rb")

    def say(self, text):
        self.request.sendall(text.encode() + b"\r\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def finish_request(self, request, address):
        # Here, in a thread of the connection, and not where connections are accepted: a client may refuse the handshake.
        if mode in ("https", "smtps"):
            request = context.wrap_socket(request, server_side=True)
        super().finish_request(request, address)

    def handle_error(self, *_):
        tell(failed=f"{type(sys.exc_info()[1]).__name__}: {sys.exc_info()[1]}")


with Server(("127.0.0.1", 0), Https if mode == "https" else Smtp) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
