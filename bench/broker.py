"""The processes that a bench measures: Taccola, the ceiling probe, or Apache Kafka out of its jars, each in a
directory of its own."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CACHE = pathlib.Path(os.environ.get("TACCOLA_CACHE") or pathlib.Path.home() / ".cache/taccola")
# As people run it: server JIT, G1, one gigabyte.
JAVA = ["java", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]
UNLIMITED = "9223372036854775807"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(core, words):
    return ["taskset", "-c", str(core)] + words if os.cpu_count() > 1 else words


class Server:
    """kind: broker, probe or apache. `durability` is taccola.durability; Apache Kafka has page-cache only."""

    def __init__(self, options, kind, durability="page-cache", settings=None):
        self.kind, self.options = kind, options
        self.directory = tempfile.mkdtemp(prefix="taccola-bench-", dir=options.directory)
        self.port, self.controller = free_port(), free_port()
        self.settings = {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.controller}",
            "log.dirs": f"{self.directory}/data", "log.flush.interval.messages": UNLIMITED,
            "taccola.durability": durability, "taccola.internal.topics.durability": durability} | (settings or {})
        self.process = None
        if kind == "probe":
            self.words = [str(options.build / "bench_probe"), str(self.port), self.directory, "50"]
            if durability == "fsync":
                self.words.append("sync")
        elif kind == "broker":
            self.words = [str(options.build / "taccola"), "start"]
            for key, value in self.settings.items():
                self.words += ["--override", f"{key}={value}"]
        else:
            self.words = self.format_apache()

    def format_apache(self):
        """Apache Kafka formats its directory by another program first. Returns how it is started."""
        jars = CACHE / f"libs-{self.options.apache}"
        if not jars.is_dir():
            sys.exit(f"{jars} is not there: run tools/install-clients.sh java")
        self.settings |= {
            "process.roles": "broker,controller", "node.id": "1", "controller.listener.names": "CONTROLLER",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}",
            "offsets.topic.replication.factor": "1", "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1"}
        path = pathlib.Path(self.directory) / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in self.settings.items()
                                if not key.startswith("taccola.")))
        quiet = pathlib.Path(self.directory) / "log4j2.yaml"
        quiet.write_text("Configuration:\n  Loggers:\n    Root:\n      level: \"off\"\n")
        words = JAVA + [f"-Dlog4j2.configurationFile={quiet}", "-cp", f"{jars}/*"]
        subprocess.run(words + ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(path),
                                "--standalone"], check=True, capture_output=True)
        return words + ["kafka.Kafka", str(path)]

    def start(self):
        self.log = open(os.path.join(self.directory, "stderr"), "ab")
        self.process = subprocess.Popen(pinned(0, self.words), stdout=self.log, stderr=self.log)
        return self

    def wait(self):
        for _ in range(12000):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{self.kind} ended: " + open(self.log.name).read()[-2000:])
                time.sleep(0.005)
        sys.exit(f"{self.kind} does not listen")

    def stop(self):
        self.process.send_signal(signal.SIGKILL if self.kind == "probe" else signal.SIGTERM)
        self.process.wait()
        self.log.close()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, program, words):
        """A generator against this process, on the other core; returns its JSON."""
        command = [str(self.options.build / program)] + words + ["--port", str(self.port), "--process",
                                                                 str(self.process.pid)]
        done = subprocess.run(pinned(1, command), capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}\n" + open(self.log.name).read()[-2000:])
        return json.loads(done.stdout)
