"""Brokers under test: Taccola, or Apache Kafka of either version, as one local process each.

A broker owns a directory: server.properties, server.log and data/ (the log directory). It can be
stopped cleanly, killed, and started again; another kind of broker may be started on the same
directory (lane exchange does). Ports are below 32768, where no ephemeral port gets in the way.
"""
import os
import random
import shlex
import signal
import socket
import subprocess
import time

import wire

CACHE = os.environ.get('TACCOLA_CACHE') or os.path.join(os.path.expanduser('~'), '.cache', 'taccola')
REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TACCOLA = os.environ.get('TACCOLA') or os.path.join(REPO, 'build', 'release', 'taccola')
HEAP = os.environ.get('TACCOLA_APACHE_HEAP', '512m')


class BrokerError(Exception):
    """The broker did not start, stop or format; the text says why."""


_given = set()


def free_port():
    while True:
        port = random.randrange(12000, 32000)
        if port in _given:
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(('127.0.0.1', port))
            except OSError:
                continue
        _given.add(port)
        return port


def libs(version='4.3.1'):
    return os.path.join(CACHE, 'libs-' + version)


def java(version, *args, heap='256m', log4j=None, options=()):
    """The command line of a main class of Apache Kafka."""
    out = ['java', '-Xmx' + heap, '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']
    if log4j:
        out.append('-Dlog4j2.configurationFile=' + log4j)
    return out + list(options) + ['-cp', libs(version) + '/*', *args]


LOG4J = '''Configuration:
  status: "off"
  Appenders:
    Console:
      name: out
      target: SYSTEM_OUT
      PatternLayout:
        pattern: "[%d] %p %m (%c)%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: out
'''


class Broker:
    def __init__(self, kind, where, props=None, node_id=1):
        self.kind, self.dir, self.node_id = kind, where, node_id
        self.port, self.controller_port = free_port(), free_port()
        self.props, self.process, self.log = dict(props or {}), None, None
        self.started_ms = None
        os.makedirs(where, exist_ok=True)
        self.data = os.path.join(where, 'data')

    # ---- properties

    @property
    def bootstrap(self):
        return '127.0.0.1:%d' % self.port

    @property
    def controller(self):
        return '127.0.0.1:%d' % self.controller_port

    def properties(self):
        listeners = 'PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d' % (
            self.port, self.controller_port)
        out = {
            'process.roles': 'broker,controller', 'node.id': self.node_id,
            'controller.quorum.bootstrap.servers': self.controller,
            'controller.listener.names': 'CONTROLLER',
            'listeners': listeners, 'advertised.listeners': listeners, 'log.dirs': self.data,
            'offsets.topic.replication.factor': 1, 'transaction.state.log.replication.factor': 1,
            'transaction.state.log.min.isr': 1,
            'share.coordinator.state.topic.replication.factor': 1,
            'share.coordinator.state.topic.min.isr': 1,
            'group.initial.rebalance.delay.ms': 0, 'log.index.size.max.bytes': 65536,
        }
        out.update(self.props)
        return {k: v for k, v in out.items() if v is not None}

    def write_properties(self):
        path = os.path.join(self.dir, 'server.properties')
        with open(path, 'w', encoding='utf-8') as f:
            for key, value in self.properties().items():
                f.write('%s=%s\n' % (key, value))
        with open(os.path.join(self.dir, 'log4j2.yaml'), 'w', encoding='utf-8') as f:
            f.write(LOG4J)
        return path

    # ---- commands

    def version(self):
        return '4.4.0' if self.kind == 'apache-4.4.0' else '4.3.1'

    def command(self):
        path = self.write_properties()
        if self.kind == 'taccola':
            return [TACCOLA, 'start', path]
        return java(self.version(), 'kafka.Kafka', path, heap=HEAP,
                    log4j=os.path.join(self.dir, 'log4j2.yaml'))

    def format(self, *flags, cluster=None, kind=None):
        """Formats data/ with this broker's own storage tool (or that of another kind)."""
        kind = kind or self.kind
        path = self.write_properties()
        args = ['format', '-t', cluster or new_uuid(), '-c', path, *(flags or ('--standalone',))]
        if kind == 'taccola':
            command = [TACCOLA, 'storage', *args]
        else:
            version = '4.4.0' if kind == 'apache-4.4.0' else '4.3.1'
            command = java(version, 'kafka.tools.StorageTool', *args,
                           log4j=os.path.join(self.dir, 'log4j2.yaml'))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=self.dir)
        if done.returncode:
            raise BrokerError('format: ' + (done.stdout + done.stderr).strip()[-500:])
        return done.stdout

    def start(self, wait=True, timeout=60):
        if self.kind != 'taccola' and not os.path.exists(os.path.join(self.data, 'meta.properties')):
            self.format()
        if self.kind == 'taccola' and not os.access(TACCOLA, os.X_OK):
            raise BrokerError('no binary at ' + TACCOLA)
        self.log = open(os.path.join(self.dir, 'server.log'), 'ab')
        begin = time.time()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, cwd=self.dir)
        if wait:
            self.wait_ready(timeout)
            self.started_ms = int((time.time() - begin) * 1000)
        return self

    def log_tail(self, n=800):
        with open(os.path.join(self.dir, 'server.log'), 'rb') as f:
            return f.read()[-n:].decode(errors='replace').strip()

    def log_text(self):
        with open(os.path.join(self.dir, 'server.log'), 'rb') as f:
            return f.read().decode(errors='replace')

    def wait_ready(self, timeout=60):
        """Until Metadata shows a broker; a process that ends first is an error with its last words."""
        end = time.time() + timeout
        while time.time() < end:
            if self.process.poll() is not None:
                raise BrokerError('%s ended with %d: %s' % (
                    self.kind, self.process.returncode, self.log_tail()))
            try:
                with wire.Conn(self.port, timeout=5) as c:
                    if c.call('metadata', 1, {'topics': []})['brokers']:
                        return
            except (OSError, wire.Closed, wire.WireError):
                pass
            time.sleep(0.1)
        raise BrokerError('%s does not answer after %d s: %s' % (self.kind, timeout, self.log_tail()))

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout=40):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise BrokerError('%s did not stop within %d s' % (self.kind, timeout)) from None
        self._close()
        return self.process.returncode if self.process else None

    def kill(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._close()

    def _close(self):
        if self.log:
            self.log.close()
            self.log = None

    def rss_kb(self):
        with open('/proc/%d/status' % self.process.pid, encoding='utf-8') as f:
            for line in f:
                if line.startswith('VmRSS:'):
                    return int(line.split()[1])
        return 0

    def conn(self, **kw):
        return wire.Conn(self.port, **kw)

    def describe(self):
        return shlex.join(self.command())


def new_uuid():
    """A random id in Kafka's text form."""
    import base64
    while True:
        text = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip('=')
        if not text.startswith('-'):
            return text
