"""The peers, from Debian's packages, unpacked under target/peers: nothing is installed, and packages that exclude each
other (rsyslog, syslog-ng) stand side by side."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
PEERS = ROOT / "target/peers"
TREE = PEERS / "root"
WANTED = ["kcat", "rsyslog", "rsyslog-kafka", "syslog-ng-core", "syslog-ng-mod-rdkafka"]


def ensure():
    """Fetches what is missing; says why where that fails."""
    PEERS.mkdir(parents=True, exist_ok=True)
    archives = PEERS / "archives"
    if not (TREE / "complete").exists():
        shutil.rmtree(archives, ignore_errors=True)
        archives.mkdir()
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "download", "-qq", *dependencies()], cwd=archives, check=True)
        for archive in archives.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, TREE], check=True)
        (TREE / "complete").touch()
    libraries = [str(path) for path in (TREE / "usr/lib/x86_64-linux-gnu", TREE / "lib/x86_64-linux-gnu")]
    os.environ["LD_LIBRARY_PATH"] = ":".join(libraries + [str(path) for path in TREE.glob("usr/lib/syslog-ng*/")] + [str(path) for path in TREE.glob("usr/lib/syslog-ng/3*/")])


def dependencies():
    """All that the wanted packages need beside the base system, whether it is installed or not."""
    command = ["apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks"]
    command += ["--no-replaces", "--no-enhances", *WANTED]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    needed = {line for line in listed if line and line[0].isalnum()}
    status = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Status}\n"], capture_output=True, text=True).stdout
    there = {line.split()[0] for line in status.splitlines() if line.endswith(" installed")}
    return sorted(set(WANTED) | (needed - there))


def versions():
    """Name and version of each peer."""
    for archive in sorted((PEERS / "archives").glob("*.deb")):
        name, version, _ = archive.name.split("_")
        if name in WANTED:
            yield f"{name} {version}"
