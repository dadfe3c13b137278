"""Lines per CPU-second of `wulog-processor parse` and of rsyslog over the same file, in one run and without network.

    cargo build --release --bin wulog-processor
    python3 processor/benches/peers/run.py [LINES [PASSES]]      (500,000 lines, 3 passes)

Peers are Debian's packages `rsyslog` and `liblognorm-utils`; those that are not installed are left out, and said. The
file has the mix of `benches/normalize.rs`: the logs of tests/corpus in turn, 16 lines each, without blank ones, which
imfile drops. All write JSON into a pipe that is read to the end here. What is counted is user and system time of the
process, from its start to its end; of several passes the best, since other work on the machine costs caches.

The peers do much less than wulog: they cut the columns and leave the rest of the line alone (`columns.rulebase`): no time
zones, codes, updates, REPORT EVENT, state of processes, or ECS.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
WULOG = ROOT / "target/release/wulog-processor"

# Longest time of one pass; the slowest known takes a tenth.
SECONDS_MAX = 120
LINES_AT_A_TIME = 16


def write_log(path, lines):
    """Writes the file; gives how many bytes it has."""
    logs = [log.read_bytes().split(b"\n") for log in sorted((ROOT / "tests/corpus").glob("*/in.log"))]
    logs = [[line for line in log if line.strip()] for log in logs]
    written, turn = 0, 0
    with open(path, "wb") as out:
        while written < lines:
            log = logs[turn % len(logs)]
            start = turn // len(logs) * LINES_AT_A_TIME
            for at in range(start, start + min(LINES_AT_A_TIME, lines - written)):
                out.write(log[at % len(log)] + b"\n")
                written += 1
            turn += 1
    return path.stat().st_size


def drain(descriptor, lines, on_end):
    """Reads a pipe; calls `on_end` once as many lines came, for a peer that does not end by itself."""
    came, size = 0, 0
    while chunk := os.read(descriptor, 1 << 20):
        size += len(chunk)
        came, before = came + chunk.count(b"\n"), came
        if before < lines <= came and on_end:
            on_end()
    return came, size


def measure(command, lines, stdin=None, fifo=None):
    """Lines and bytes that came out, and the CPU-seconds of the command."""
    if fifo:
        # Open for both, so that neither side waits for the other; closed for writing by hand at the end.
        reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        holding = os.open(fifo, os.O_WRONLY)
        os.set_blocking(reading, True)
        output = subprocess.DEVNULL
    else:
        reading, output = os.pipe()
    source = open(stdin, "rb") if stdin else subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=source, stdout=output, stderr=subprocess.DEVNULL)
    if not fifo:
        os.close(output)
    watch = threading.Timer(SECONDS_MAX, process.kill)
    watch.start()
    if fifo:
        result = []
        stop = lambda: process.send_signal(signal.SIGTERM)
        reader = threading.Thread(target=lambda: result.append(drain(reading, lines, stop)))
        reader.start()
    else:
        result = [drain(reading, lines, None)]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.cancel()
    if fifo:
        os.close(holding)
        reader.join()
    os.close(reading)
    return *result[0], usage.ru_utime + usage.ru_stime, process.returncode


def rsyslog(work):
    """rsyslogd as a daemon has it: it reads on until it is told to stop."""
    for state in work.glob("imfile-state*"):
        state.unlink()
    return ["rsyslogd", "-n", "-f", work / "rsyslog.conf", "-i", work / "rsyslogd.pid"]


def version(name):
    """Of a package, or of wulog."""
    if name == WULOG:
        return subprocess.run([name, "--version"], capture_output=True, text=True).stdout.strip()
    said = subprocess.run(["dpkg-query", "--show", name], capture_output=True, text=True).stdout
    return " ".join(said.split()) or f"{name}, of unknown version"


def main():
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    passes = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    if not WULOG.exists():
        sys.exit(f"{WULOG.relative_to(ROOT)} is not built: cargo build --release --bin wulog-processor")
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        log = work / "in.log"
        size = write_log(log, lines)
        shutil.copy(HERE / "columns.rulebase", work)
        (work / "rsyslog.conf").write_text((HERE / "rsyslog.conf").read_text().replace("WORK", str(work)))
        os.mkfifo(work / "out")
        peers = [("wulog-processor parse", WULOG, lambda: [WULOG, "parse", log], {})]
        if shutil.which("rsyslogd"):
            peers.append(("rsyslog imfile + mmnormalize", "rsyslog", lambda: rsyslog(work), {"fifo": work / "out"}))
        if shutil.which("lognormalizer"):
            rules = work / "columns.rulebase"
            command = lambda: ["lognormalizer", "-r", rules, "-e", "json"]
            peers.append(("lognormalizer (liblognorm)", "liblognorm-utils", command, {"stdin": log}))
        for missing in [name for name in ("rsyslogd", "lognormalizer") if not shutil.which(name)]:
            print(f"{missing} is not installed and left out: apt-get install rsyslog liblognorm-utils")

        print(f"{lines:,} lines, {size / 1e6:.0f} MB, best of {passes}\n")
        print(f"{'':30} {'lines/CPU-s':>12} {'of wulog':>9} {'CPU-s':>7} {'wall s':>7} {'bytes out':>10}  version")
        first = None
        for name, package, command, options in peers:
            best, wall = None, None
            for _ in range(passes):
                started = time.monotonic()
                came, out, cpu, code = measure(command(), lines, **options)
                if came < lines:
                    sys.exit(f"{name}: only {came:,} lines of {lines:,} came out; it ended with {code}")
                if best is None or cpu < best:
                    best, wall = cpu, time.monotonic() - started
            rate = lines / best
            first = first or rate
            figures = f"{rate:12,.0f} {rate / first:9.2f} {best:7.2f} {wall:7.2f} {out / lines:10.0f}"
            print(f"{name:30} {figures}  {version(package)}")


main()
