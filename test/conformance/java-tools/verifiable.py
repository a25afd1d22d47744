"""Apache Kafka's VerifiableProducer and VerifiableConsumer as its system tests use them: two consumers share a topic while it is written,
one is killed, one comes, one leaves. What they print as JSON events is counted exactly: every acknowledged record is consumed, twice
only what a killed consumer had not committed; the committed offsets are the ends. In both group protocols.
"""
import json
import os
import signal
import subprocess
import time

from main import Failed

PARTITIONS, RECORDS = 6, 6000
SESSION_MS = 6000
# Of the broker: consumers of the new protocol have the same session timeout as those of the old one ask for.
PROPS = {'group.consumer.session.timeout.ms': SESSION_MS, 'group.consumer.min.session.timeout.ms': SESSION_MS,
         'group.consumer.heartbeat.interval.ms': 1000, 'group.consumer.min.heartbeat.interval.ms': 1000,
         'group.consumer.assignment.interval.ms': 0}


class Program:
    """A verifiable program; events() are the JSON lines that it has printed."""

    def __init__(self, tools, name, cls, arguments):
        self.path = os.path.join(tools.lane.tmp, name + '.events')
        command = tools.lane.java('4.3.1', 'org.apache.kafka.tools.' + cls, '--bootstrap-server', tools.broker.bootstrap, *arguments,
                                  heap='128m', log4j=os.path.join(tools.broker.dir, 'log4j2.yaml'))
        with open(self.path, 'wb') as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def events(self, name=None):
        with open(self.path, encoding='utf-8') as f:
            lines = f.read().split('\n')[:-1]
        rows = [json.loads(line) for line in lines if line.startswith('{')]
        return [r for r in rows if name is None or r['name'] == name]

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(20)


class Consumer(Program):
    def __init__(self, tools, name, topic, group, protocol):
        more = ['--session-timeout', str(SESSION_MS)] if protocol == 'classic' else []
        super().__init__(tools, name, 'VerifiableConsumer', [
            '--topic', topic, '--group-id', group, '--group-protocol', protocol, '--reset-policy', 'earliest', *more])

    def owned(self):
        """Its partitions by the events of the rebalances: what was assigned less what was revoked or lost."""
        own = set()
        for e in self.events():
            ids = {p['partition'] for p in e.get('partitions', [])} if e['name'].startswith('partitions_') else set()
            own = own | ids if e['name'] == 'partitions_assigned' else own - ids
        return own

    def consumed(self):
        """Partition -> the offsets, in the order of consumption; an event's range is whole."""
        out = {}
        for e in self.events('records_consumed'):
            for p in e['partitions']:
                if p['count'] != p['maxOffset'] - p['minOffset'] + 1:
                    raise Failed('an event with gaps: %r' % p)
                out.setdefault(p['partition'], []).extend(range(p['minOffset'], p['maxOffset'] + 1))
        return out

    def committed(self):
        out = {}
        for e in self.events('offsets_committed'):
            if not e['success']:
                continue
            for p in e['offsets']:
                out[p['partition']] = max(out.get(p['partition'], 0), p['offset'])
        return out


def wait(test, text, seconds=40):
    end = time.time() + seconds
    while time.time() < end:
        if test():
            return
        time.sleep(0.1)
    raise Failed(text() if callable(text) else text)


def share(consumers):
    """Whether they have all partitions, each one exactly once, and everybody some."""
    own = [c.owned() for c in consumers]
    return all(own) and sum(len(o) for o in own) == PARTITIONS == len(set().union(*own))


def session(tools, kit, protocol):
    topic, group = 'verifiable-' + protocol, 'verifiable-group-' + protocol
    kit.create(topic, PARTITIONS)
    producer = Program(tools, 'producer-' + protocol, 'VerifiableProducer', [
        '--topic', topic, '--max-messages', str(RECORDS), '--throughput', '400', '--acks', '-1'])
    started = []

    def consumer():
        started.append(Consumer(tools, 'consumer-%d-%s' % (len(started), protocol), topic, group, protocol))
        return started[-1]
    try:
        one, two = consumer(), consumer()
        wait(lambda: share([one, two]), lambda: 'two do not share: %r' % [one.owned(), two.owned()])
        wait(lambda: two.consumed() and two.committed(), 'the second consumes nothing')
        two.end(signal.SIGKILL)
        three = consumer()
        wait(lambda: share([one, three]), lambda: 'not shared after a kill: %r' % [one.owned(), three.owned()])
        one.end()
        wait(lambda: share([three]), lambda: 'the last one has not all: %r' % three.owned())
        producer.process.wait(60)
        acked = check_producer(producer)
        wait(lambda: total(started) >= acked, lambda: '%d of %d records were consumed' % (total(started), acked))
        ends = {p: kit.list_offset(topic, -1, p)['offset'] for p in range(PARTITIONS)}
        wait(lambda: committed(started) == ends, lambda: 'committed %r, the ends are %r' % (committed(started), ends))
        three.end()
        check_counts(started, two, ends, acked)
        check_group(kit, group, topic, ends)
    finally:
        for p in started + [producer]:
            p.end(signal.SIGKILL)


def total(consumers):
    seen = {}
    for c in consumers:
        for p, offsets in c.consumed().items():
            seen.setdefault(p, set()).update(offsets)
    return sum(len(o) for o in seen.values())


def committed(consumers):
    """What they have committed between them; a partition without records has nothing to commit."""
    rows = [c.committed() for c in consumers]
    return {p: max(r.get(p, 0) for r in rows) for p in range(PARTITIONS)}


def check_producer(producer):
    data = producer.events('tool_data')
    if not data or (data[0]['sent'], data[0]['acked']) != (RECORDS, RECORDS) or len(producer.events('producer_send_success')) != RECORDS:
        raise Failed('producer: %r' % data)
    return RECORDS


def check_counts(consumers, killed, ends, acked):
    if sum(ends.values()) != acked:
        raise Failed('the log has %d records, %d were acknowledged' % (sum(ends.values()), acked))
    for p, end in ends.items():
        runs = [c.consumed().get(p, []) for c in consumers]
        if any(r != sorted(r) or len(r) != len(set(r)) for r in runs):
            raise Failed('a consumer saw records of partition %d out of order or twice' % p)
        if set().union(*runs) != set(range(end)):
            raise Failed('partition %d: not all of %d' % (p, end))
        twice = {o for i, r in enumerate(runs) for other in runs[i + 1:] for o in set(r) & set(other)}
        safe = killed.committed().get(p, 0)
        lost = set(killed.consumed().get(p, []))
        if any(o not in lost or o < safe for o in twice):
            raise Failed('partition %d: consumed twice though committed: %r' % (p, sorted(twice)[:5]))


def check_group(kit, group, topic, ends):
    row = kit.call('offset_fetch', 7, {'group_id': group, 'topics': [{'name': topic, 'partition_indexes': sorted(ends)}]})
    got = {p['partition_index']: max(p['committed_offset'], 0) for p in row['topics'][0]['partitions']}
    if got != ends:
        raise Failed('the group has %r, the ends are %r' % (got, ends))
    listed = {g['group_id']: g['group_state'] for g in kit.call('list_groups', 5, {})['groups']}
    if listed.get(group) != 'Empty':
        raise Failed('the group is %s after everybody left' % listed.get(group))
