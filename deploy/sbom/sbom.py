#!/usr/bin/env python3
"""Writes a CycloneDX 1.5 bill of materials of wulog's binaries, made from Cargo.lock by `cargo metadata`.

    deploy/sbom/sbom.py [BINARY] > wulog.cdx.json

BINARY is wulog-collector or wulog-processor (the default). Only packages that end up in the binary are listed: normal
and build dependencies on 64-bit Linux, without those of tests. C libraries that a package brings along (librdkafka,
OpenSSL, zstd, mimalloc, ...) are components of their own, since advisories name them and not the crate.
The output depends on Cargo.lock alone: two runs give the same bytes.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = "x86_64-unknown-linux-gnu"
# Packages that bring a C library along, and how its version is found: behind the "+" of the package's own version, or
# in a header of the package.
BUNDLED = {
    "rdkafka-sys": ("librdkafka", None),
    "openssl-src": ("openssl", None),
    "zstd-sys": ("zstd", None),
    "libsqlite3-sys": ("sqlite", ("sqlite3/sqlite3.h", r'#define SQLITE_VERSION\s+"([^"]+)"')),
    "libz-sys": ("zlib", ("src/zlib/zlib.h", r'#define ZLIB_VERSION "([^"]+)"')),
    "libmimalloc-sys": ("mimalloc", None),
}


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def reachable(graph, root):
    """Ids of the packages that `root` is built of."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    found, left = set(), [root]
    while left:
        package = left.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                left.append(dependency["pkg"])
    return found


def checksums():
    """SHA-256 of each package by name and version, as Cargo.lock has it."""
    found = {}
    for block in (ROOT / "Cargo.lock").read_text(encoding="utf-8").split("[[package]]"):
        fields = dict(re.findall(r'^(\w+) = "(.*)"$', block, re.MULTILINE))
        if "checksum" in fields:
            found[fields["name"], fields["version"]] = fields["checksum"]
    return found


def component(package, hashes):
    name, version = package["name"], package["version"]
    purl = f"pkg:cargo/{name}@{version.replace('+', '%2B')}"
    made = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "licenses": [{"expression": re.sub(r"\s*/\s*", " OR ", package["license"])}],
        "purl": purl,
    }
    if (name, version) in hashes:
        made["hashes"] = [{"alg": "SHA-256", "content": hashes[name, version]}]
    if package.get("repository"):
        made["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    if name in BUNDLED:
        made["components"] = [bundled(package)]
    return made


def bundled(package):
    """The C library that a package brings along."""
    library, header = BUNDLED[package["name"]]
    _, _, version = package["version"].partition("+")
    version = version.removeprefix(library + ".")
    if header:
        text = (Path(package["manifest_path"]).parent / header[0]).read_text(encoding="utf-8", errors="replace")
        version = re.search(header[1], text)[1]
    made = {"type": "library", "name": library, "bom-ref": f"pkg:generic/{library}"}
    if version:
        made |= {"version": version, "purl": f"pkg:generic/{library}@{version}", "bom-ref": f"pkg:generic/{library}@{version}"}
    return made


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "wulog-processor"
    graph = metadata()
    packages = {package["id"]: package for package in graph["packages"]}
    roots = [package for package in graph["packages"] if package["name"] == binary]
    if not roots:
        sys.exit(f"sbom.py: no package is called {binary}")
    root, hashes = roots[0], checksums()
    ids = reachable(graph, root["id"])
    parts = sorted((packages[id] for id in ids if id != root["id"]), key=lambda part: (part["name"], part["version"]))
    refs = {id: component(packages[id], hashes)["bom-ref"] for id in ids}
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    dependencies = [
        {"ref": refs[id], "dependsOn": sorted(refs[d["pkg"]] for d in nodes[id]["deps"] if d["pkg"] in ids)} for id in ids
    ]
    main_component = component(root, hashes) | {"type": "application"}
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": main_component},
        "components": [component(part, hashes) for part in parts],
        "dependencies": sorted(dependencies, key=lambda dependency: dependency["ref"]),
    }
    json.dump(bom, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
