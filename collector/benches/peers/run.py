"""wulog-collector beside rsyslog and syslog-ng, and kcat as the ceiling, in one run against one real Kafka.

    cargo build --release -p wulog-collector
    python3 collector/benches/peers/run.py [LINES [IDLE_SECONDS]]      (1,000,000 lines, 60 s)

Needs Debian's apt, Java 17, and the jars of tests/kafka (bin/fetch.sh). The peers are unpacked under target/peers. All
ship lines of 157 bytes to a topic of one partition on 127.0.0.1, with lz4, idempotence and acks=all, and are counted
there. CPU is user and system time of the process from its start to its end; memory is VmHWM and VmRSS.

load       one file that is there at the start, until all is on the topic
idle       after 100 lines and a rest of 15 s
outage     Kafka is stopped, 1,000 lines are written, the agent is stopped, Kafka and the agent are started. The peers
           run twice: as for the load, and with what their manuals have against loss (disk queues)
shorter    1,000 lines; rewritten in place as the last 500 and 10 new ones
overwritten 1,000 lines; overwritten without truncation by the last 900 and 200 new ones
"""

import collections
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import packages
from agents import Kcat, Rsyslog, SyslogNg, Wulog, cpu_seconds, memory, threads

KAFKA = packages.ROOT / "tests/kafka/bin"
# Far from the ports of the tests.
PORT = 41000
LINE_BYTES = 157
# Longest wait for lines; the slowest known takes a tenth.
SECONDS_MAX = 240
# No more lines are expected when none came for so long.
STILL_SECONDS = 15
REST_SECONDS = 15


class Kafka:
    """One broker, in a folder of its own."""

    def __init__(self, folder):
        self.environment = dict(os.environ, KV_RUN=str(folder), KV_PORT=str(PORT))
        self.brokers = f"127.0.0.1:{PORT + 1}"
        self.call("up.sh", "single")

    def call(self, script, *arguments):
        subprocess.run([KAFKA / script, *arguments], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def make(self, topic):
        self.call("tool.sh", "topics", "--bootstrap-server", self.brokers, "--create", "--topic", topic, "--partitions", "1")

    def end(self, topic):
        """How many records the topic has."""
        said = self.kcat("-Q", "-t", f"{topic}:0:-1")
        return int(said.split()[-1]) if said.strip() else 0

    def lines(self, topic):
        """What the topic holds, heartbeats left out."""
        records = self.kcat("-C", "-e", "-q", "-t", topic, "-f", "%s\n").splitlines()
        return collections.Counter(line for line in records if not line.startswith("{"))

    def kcat(self, *arguments):
        command = [packages.TREE / "usr/bin/kcat", "-b", self.brokers, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


def line(number):
    """A line of Windows 10 of exactly so many bytes with its ending, different from all others."""
    text = f"2022/11/15 00:09:04.1234567 1234  5678  Agent           WARNING: line {number:08} "
    return text.ljust(LINE_BYTES - 1, "x") + "\n"


def lines(start, end):
    return "".join(line(number) for number in range(start, end))


def until(kafka, agents, count, seconds=SECONDS_MAX):
    """Waits until each agent's topic has so many records; says who does not come so far."""
    end = time.monotonic() + seconds
    left = list(agents)
    while left and time.monotonic() < end:
        for agent in left:
            agent.look()
        left = [agent for agent in left if kafka.end(agent.topic) < count]
        time.sleep(0.2)
    for agent in left:
        print(f"({agent.name}: {kafka.end(agent.topic)} of {count} records after {seconds} s)", file=sys.stderr)


def until_still(kafka, agents):
    """Waits until nothing more comes."""
    since, before, end = time.monotonic(), None, time.monotonic() + SECONDS_MAX
    while time.monotonic() < min(since + STILL_SECONDS, end):
        now = [kafka.end(agent.topic) for agent in agents]
        if now != before:
            since, before = time.monotonic(), now
        time.sleep(0.5)


class Bench:
    def __init__(self, work):
        self.work, self.made = work, []
        self.kafka = Kafka(work / "kafka")

    def agents(self, kinds, safe=False):
        """New agents with topics of their own."""
        made = []
        for kind in kinds:
            place = len(self.made) + 1
            topic = f"bench{place}.raw"
            self.kafka.make(topic)
            agent = kind(kind.__name__, self.work / f"agent{place}", self.kafka.brokers, topic)
            agent.safe = safe
            made.append(agent)
            self.made.append(agent)
        return made

    def load(self, count):
        """One after the other, so that none disturbs another; twice, and the better pass counts."""
        text = lines(0, count)
        rows = {}
        for agent in self.agents([Wulog, Kcat, SyslogNg, Rsyslog] * 2):
            agent.log.write_text(text)
            began = time.monotonic()
            agent.start()
            if isinstance(agent, Kcat):
                cpu = agent.wait()
            else:
                # Heartbeats come on top.
                until(self.kafka, [agent], count)
                cpu, _ = agent.stop()
            wall = time.monotonic() - began
            missing = count - len(self.kafka.lines(agent.topic))
            agent.log.unlink()
            found = (cpu * 1e6 / count, agent.peak_kb, wall, missing)
            rows[agent.name] = min(found, rows.get(agent.name, found))
        kcat = rows["Kcat"][0]
        table(["", "CPU-s per 1M lines", "of kcat", "peak RSS, MB", "wall, s", "lines missing"])
        for name, (cpu, peak_kb, wall, missing) in rows.items():
            row(name, f"{cpu:.2f}", f"{cpu / kcat:.2f}", f"{peak_kb / 1024:.1f}", f"{wall:.1f}", missing)

    def idle(self, seconds):
        agents = self.agents([Wulog, SyslogNg, Rsyslog])
        for agent in agents:
            agent.log.write_text(lines(0, 100))
            agent.start()
        until(self.kafka, agents, 100)
        time.sleep(REST_SECONDS)
        before = [cpu_seconds(agent.process.pid) for agent in agents]
        time.sleep(seconds)
        table([f"idle for {seconds} s", "RSS, MB", "CPU, % of a core", "threads"])
        for agent, then in zip(agents, before):
            pid = agent.process.pid
            share = (cpu_seconds(pid) - then) / seconds
            row(agent.name, f"{memory(pid, 'VmRSS') / 1024:.1f}", f"{share * 100:.3f}", threads(pid))
        for agent in agents:
            agent.stop()

    def outage(self):
        agents = self.agents([Wulog, SyslogNg, Rsyslog])
        safe = self.agents([SyslogNg, Rsyslog], safe=True)
        for agent in safe:
            agent.name += ", disk queue"
        agents += safe
        self.ship(agents, lines(0, 1000))
        self.kafka.call("node.sh", "1", "stop")
        for agent in agents:
            append(agent.log, lines(1000, 2000))
        # The agents read, and see that nobody is there.
        time.sleep(10)
        ends = [agent.stop() for agent in agents]
        self.kafka.call("node.sh", "1", "start")
        for agent in agents:
            agent.start()
        until_still(self.kafka, agents)
        self.compare("outage", agents, lines(0, 2000), [", killed: it did not stop" * killed for _, killed in ends])

    def rewrite(self, what, keep, new):
        agents = self.agents([Wulog, SyslogNg, Rsyslog])
        self.ship(agents, lines(0, 1000))
        for agent in agents:
            with open(agent.log, "r+") as file:
                if what == "shorter":
                    file.truncate()
                file.write(lines(1000 - keep, 1000 + new))
        until_still(self.kafka, agents)
        self.compare(what, agents, lines(0, 1000 + new), [""] * len(agents))

    def ship(self, agents, text):
        for agent in agents:
            agent.log.write_text(text)
            agent.start()
        until(self.kafka, agents, text.count("\n"))
        # Positions are kept once in a while.
        time.sleep(3)

    def compare(self, what, agents, written, notes):
        expect = set(written.splitlines())
        table([what, "lines lost", "lines repeated"])
        for agent, note in zip(agents, notes):
            got = self.kafka.lines(agent.topic)
            row(agent.name + note, len(expect - set(got)), sum(count - 1 for count in got.values()))
            if agent.process.returncode is None:
                agent.stop()


def append(path, text):
    with open(path, "a") as file:
        file.write(text)


def table(columns):
    print()
    row(*columns)
    row(*["---"] + ["---:"] * (len(columns) - 1))


def row(*cells):
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    idle_seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    only = sys.argv[3].split(",") if len(sys.argv) > 3 else ["load", "idle", "outage", "shorter", "overwritten"]
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    packages.ensure()
    print(f"{count:,} lines of {LINE_BYTES} bytes; wulog-collector and " + ", ".join(packages.versions()))
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(pathlib.Path(work))
        try:
            if "load" in only:
                bench.load(count)
            if "idle" in only:
                bench.idle(idle_seconds)
            if "outage" in only:
                bench.outage()
            if "shorter" in only:
                bench.rewrite("shorter", 500, 10)
            if "overwritten" in only:
                bench.rewrite("overwritten", 900, 200)
        finally:
            for agent in bench.made:
                if agent.process and agent.process.returncode is None:
                    agent.process.kill()
                    agent.process.wait()
            bench.kafka.call("down.sh", "--wipe")


main()
