"""Inputs of the fuzz targets: files for libFuzzer, and in the tree one text file a target with one input a line.

    inputs.py seeds TARGET CORPUS FOLDER   the logs of the corpus as inputs of a target
    inputs.py unpack TEXT FOLDER           the inputs of a text file, one file each
    inputs.py pack FILE                    a file as text: bytes that are no printable ASCII, and backslashes, as \\xNN
    inputs.py pack FOLDER BYTES            its files, the shortest first, as far as the text stays below so many bytes
"""

import hashlib
import pathlib
import re
import sys


def write(folder, data):
    (pathlib.Path(folder) / hashlib.sha1(data).hexdigest()).write_bytes(data)


def escaped(data):
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in data)


def unescaped(text):
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), text.encode("ascii"))


def seeds(target, log):
    """A log as inputs of a target: the files whole, to the others each line by itself."""
    if target == "normalize":
        yield log
        yield b"\x01\x01\n" + log + b"\n\x0b\n\x04\x00\n\x02\xff\xff\x0f\n\x0f"
    elif target == "frame":
        yield b"\x07\x3f\x00\xff" + log
        yield b"\x07\x3f\x00\xff" + b"\xff\xfe" + log.decode("utf-8", "replace").encode("utf-16le")
    elif target == "report":
        for line in log.splitlines():
            _, marked, record = line.partition(b"REPORT EVENT: ")
            if marked or line.startswith(b"{"):
                yield record if marked else line[1:]
    else:
        yield from log.splitlines()


def main():
    match sys.argv[1:]:
        case ["seeds", target, corpus, folder]:
            for log in sorted(pathlib.Path(corpus).glob("*/in.log")):
                for data in seeds(target, log.read_bytes()):
                    write(folder, data)
        case ["unpack", text, folder]:
            for line in pathlib.Path(text).read_text("ascii").splitlines():
                write(folder, unescaped(line))
        case ["pack", file]:
            print(escaped(pathlib.Path(file).read_bytes()))
        case ["pack", folder, room]:
            room = int(room)
            # In an order that does not depend on names, so that what stays the same is the same line again.
            found = (file.read_bytes() for file in pathlib.Path(folder).iterdir())
            for data in sorted(found, key=lambda data: (len(data), data)):
                text = escaped(data)
                room -= len(text) + 1
                if room < 0:
                    break
                print(text)
        case _:
            sys.exit(__doc__)


main()
