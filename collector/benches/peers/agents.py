"""The agents: how each is configured and started, and what it costs."""

import os
import pathlib
import signal
import subprocess
import threading
import time

from packages import ROOT, TREE

TICKS = os.sysconf("SC_CLK_TCK")
# Longest graceful stop; each of them needs less than 10 s when it comes to an end at all.
STOP_SECONDS_MAX = 60


class Agent:
    """One agent, its log, its state and its topic."""

    def __init__(self, name, folder, brokers, topic):
        self.name, self.folder, self.brokers, self.topic = name, folder, brokers, topic
        self.log, self.state = folder / "in.log", folder / "state"
        self.state.mkdir(parents=True)
        self.process = None
        self.peak_kb = 0

    def start(self):
        """Starts it as a service manager would: in the foreground, silent."""
        command = self.command()
        output = open(self.folder / "said", "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder)

    def stop(self):
        """Stops it gracefully; gives CPU-seconds of its whole life, and whether it had to be killed."""
        self.look()
        self.process.send_signal(signal.SIGTERM)
        killed = []
        watch = threading.Timer(STOP_SECONDS_MAX, lambda: (killed.append(True), self.process.kill()))
        watch.start()
        cpu = self.wait()
        watch.cancel()
        return cpu, bool(killed)

    def wait(self):
        """Waits for one that ends by itself; gives its CPU-seconds."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime

    def look(self):
        """Notes the peak of its memory: not from getrusage, which counts this script's own before the exec."""
        self.peak_kb = max(self.peak_kb, memory(self.process.pid, "VmHWM"))

    def command(self):
        """Writes the configuration; gives the command."""
        raise NotImplementedError


class Wulog(Agent):
    """The collector."""

    def command(self):
        (self.folder / "collector.toml").write_text(f"""\
topic_prefix = "{self.topic.removesuffix('.raw')}"
state_dir = "{self.state}"
[kafka]
"bootstrap.servers" = "{self.brokers}"
[[input]]
paths = ["{self.log}"]
""")
        return [ROOT / "target/release/wulog-collector", "run", "--config", self.folder / "collector.toml"]


class Rsyslog(Agent):
    """imfile and omkafka; `safe` with all that its manual has against loss."""

    safe = False

    def command(self):
        safe = f"""
    keepFailedMessages="on" failedMsgFile="{self.state}/failed" resubmitOnFailure="on"
    queue.type="LinkedList" queue.filename="kafka" queue.saveOnShutdown="on" queue.maxDiskSpace="1g\"""" * self.safe
        kafka = f"{TREE}/usr/lib/x86_64-linux-gnu/rsyslog"
        (self.folder / "rsyslog.conf").write_text(f"""\
global(workDirectory="{self.state}" maxMessageSize="64k")
module(load="imfile" mode="inotify")
template(name="line" type="string" string="%msg%")
input(type="imfile" file="{self.log}" tag="wu" ruleset="out" reopenOnTruncate="on")
module(load="omkafka")
ruleset(name="out") {{
  action(type="omkafka" broker=["{self.brokers}"] topic="{self.topic}" template="line" action.resumeRetryCount="-1"
    confParam=["compression.codec=lz4", "enable.idempotence=true", "acks=all"]{safe})
}}
""")
        arguments = ["-n", "-M", kafka, "-f", self.folder / "rsyslog.conf", "-i", self.state / "pid"]
        return [TREE / "usr/sbin/rsyslogd", *arguments]


class SyslogNg(Agent):
    """file() and kafka-c(); `safe` with a reliable disk buffer."""

    safe = False

    def command(self):
        safe = "disk-buffer(reliable(yes) disk-buf-size(104857600) dir(\"STATE\"))".replace("STATE", str(self.state))
        modules = TREE / "usr/lib/syslog-ng/3.38"
        (self.folder / "syslog-ng.conf").write_text(f"""\
@version: 3.38
options {{ stats-freq(0); keep-hostname(yes); log-msg-size(65536); }};
source s {{ file("{self.log}" flags(no-parse) follow-freq(1)); }};
destination d {{
  kafka-c(bootstrap-servers("{self.brokers}") topic("{self.topic}") message("$MSG") {safe * self.safe}
    config(compression.codec("lz4") enable.idempotence("true") acks("all")));
}};
log {{ source(s); destination(d); flags(flow-control); }};
""")
        state = ["--persist-file", self.state / "persist", "--pidfile", self.state / "pid"]
        state += ["--control", self.state / "control", "--module-path", modules]
        return [TREE / "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", self.folder / "syslog-ng.conf", *state]


class Kcat(Agent):
    """No agent: it ships a file and ends. What its librdkafka costs is the least that any of them could cost."""

    def command(self):
        options = ["-X", "enable.idempotence=true", "-X", "acks=all", "-z", "lz4"]
        return [TREE / "usr/bin/kcat", "-P", "-l", "-b", self.brokers, "-t", self.topic, *options, self.log]

    def start(self):
        super().start()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        """It ends by itself, so its memory is looked at while it runs."""
        while self.process.returncode is None:
            self.look()
            time.sleep(0.02)


def memory(pid, what):
    """A line of /proc/PID/status, in KiB; 0 where the process is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(what + ":")), 0)


def cpu_seconds(pid):
    """User and system time of a running process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def threads(pid):
    """How many threads it has."""
    return len(list(pathlib.Path(f"/proc/{pid}/task").iterdir()))
