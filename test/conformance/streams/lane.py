"""Kafka Streams' own smoke test (StreamsSmokeTest of Apache's test jar) with exactly-once-v2: a topology of joins, windows, aggregates
and suppression whose results the driver knows. Broker and application are killed while it runs. The short form has one application
and a kill of each, the long one more of them; BrokerCompatibilityTest goes first.
"""
import os
import re
import subprocess
import time

import broker as brokers
from kit import Kit
from main import CannotRun

CLASS = 'org.apache.kafka.streams.tests.'
TOPICS = ('echo data min min-suppressed min-raw max sum sws-raw sws-suppressed dif cnt avg wcnt '
          'tagg').split()
SMOKE = {
    'processing.guarantee': 'exactly_once_v2', 'num.stream.threads': 2, 'replication.factor': 1,
    'buffered.records.per.partition': 100, 'commit.interval.ms': 1000, 'acks': 'all',
    'auto.offset.reset': 'earliest', 'session.timeout.ms': 10000,
    'acceptable.recovery.lag': 9223372036854775807,
}


class Java:
    """A JVM of the lane, its output in a file."""

    def __init__(self, lane, broker, name, *arguments):
        self.log = os.path.join(lane.tmp, name + '.log')
        with open(self.log, 'w', encoding='utf-8') as out:
            self.process = subprocess.Popen(
                ['java', '-Xmx512m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC',
                 '-Dlog4j2.configurationFile=' + os.path.join(broker.dir, 'log4j2.yaml'),
                 '-cp', os.path.join(brokers.CACHE, 'libs-streams', '*')] + list(arguments),
                stdout=out, stderr=subprocess.STDOUT, cwd=lane.tmp)

    def text(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def wait(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return 124

    def wait_for(self, pattern, seconds):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text()):
            if time.monotonic() > end or self.process.poll() is not None:
                return False
            time.sleep(0.2)
        return True

    def kill(self):
        self.process.kill()
        self.process.wait()


def properties(lane, broker, name, **more):
    path = os.path.join(lane.tmp, name + '.properties')
    rows = dict(SMOKE, **{'bootstrap.servers': broker.bootstrap,
                          'application.id': name, 'state.dir': os.path.join(lane.tmp, name)})
    rows.update(more)
    with open(path, 'w', encoding='utf-8') as f:
        f.writelines('%s=%s\n' % row for row in rows.items())
    return path


def compatibility(lane, broker, kit):
    for topic in ('brokerCompatibilitySourceTopic', 'brokerCompatibilitySinkTopic'):
        kit.create(topic)
    config = properties(lane, broker, 'compatibility')
    java = Java(lane, broker, 'compatibility', CLASS + 'BrokerCompatibilityTest', config,
                'exactly_once_v2')
    code = java.wait(90)
    lane.check('broker-compatibility', code == 0 and 'close Kafka' in java.text(),
               'exit %s: %s' % (code, java.text()[-600:]))


def smoke(lane, broker, kit, kills):
    for topic in TOPICS:
        kit.create(topic, partitions=5)
    config = properties(lane, broker, 'smoke')
    application = Java(lane, broker, 'process-0', CLASS + 'StreamsSmokeTest', config, 'process')
    lane.check('smoke-runs', application.wait_for('REBALANCING -> RUNNING', 60),
               application.text()[-600:])
    driver = Java(lane, broker, 'driver', CLASS + 'StreamsSmokeTest', config, 'run')
    for i in range(kills):
        time.sleep(15)
        if driver.process.poll() is not None:
            break
        if i % 2 == 0:
            broker.kill()
            broker.start()
        else:
            application.kill()
            application = Java(lane, broker, 'process-%d' % (i + 1), CLASS + 'StreamsSmokeTest',
                               config, 'process')
    code = driver.wait(300)
    text = driver.text()
    lane.check('smoke-verified', code == 0 and re.search(r'^SUCCESS', text, re.M) is not None,
               'exit %s: %s' % (code, text[-1200:]))
    lane.check('smoke-all-delivered', 'ALL-RECORDS-DELIVERED' in text, text[-600:])
    application.process.terminate()
    application.wait(60)
    lane.check('smoke-application', 'UNCAUGHT' not in application.text(),
               application.text()[-600:])


def run(lane):
    lane.need('java')
    lane.install('streams')
    if not os.path.exists(os.path.join(brokers.CACHE, 'libs-streams')):
        raise CannotRun('the jars of Kafka Streams are not installed')
    b = lane.broker({'num.partitions': 1, 'group.initial.rebalance.delay.ms': 0,
                     'transaction.abort.timed.out.transaction.cleanup.interval.ms': 1000})
    b.write_properties()
    kit = Kit(lane, b)
    compatibility(lane, b, kit)
    smoke(lane, b, kit, 5 if lane.long else 2)
    lane.stop(b)
