"""kill -9 at random moments while idempotent producers write and consumers read: what was acknowledged is there,
once, in order, at the offset that was told; what a consumer saw stays as it was; a retry over the kill stores nothing twice.
"""
import random
import threading
import time

import transactions
import wire
from kit import Kit, true
from main import Failed

IN_FLIGHT = 5
PARTITIONS = 6


class Producer(threading.Thread):
    """Writes numbered records to one partition, five batches under way, over any number of broker deaths."""

    def __init__(self, kit, topic, partition, seed):
        super().__init__(daemon=True)
        self.kit, self.topic, self.partition = kit, topic, partition
        self.rng = random.Random(seed)
        self.pid, self.epoch = kit.producer_id()
        self.stop, self.error = threading.Event(), None
        self.sequence = 0
        self.waiting = []  # (sequence, values) in order
        self.acked = []    # (base offset, values)
        self.retried = 0

    def body(self, sequence, values):
        records = wire.batch(values, pid=self.pid, pid_epoch=self.epoch, sequence=sequence,
                             timestamp=int(time.time() * 1000),
                             codec=('none', 'gzip')[sequence % 2])
        return self.kit.produce_body([(self.topic, self.partition, records)], timeout=30000)

    def more(self):
        values = [b'%d-%d' % (self.partition, self.sequence + i)
                  for i in range(self.rng.randrange(1, 8))]
        batch = (self.sequence, values)
        self.sequence += len(values)
        self.waiting.append(batch)
        return batch

    def run_connected(self, conn):
        sent = 0
        for batch in self.waiting:  # all that was not answered, again and in order
            conn.send('produce', 9, self.body(*batch))
            sent += 1
            self.retried += 1
        while self.waiting or not self.stop.is_set():
            while sent < IN_FLIGHT and not self.stop.is_set():
                conn.send('produce', 9, self.body(*self.more()))
                sent += 1
            if not sent:
                break
            row = conn.recv()['responses'][0]['partition_responses'][0]
            if row['error_code']:
                # A broker that is stopping or starting; anything else is a finding.
                name = wire.err(row['error_code'])
                if name in ('NOT_LEADER_OR_FOLLOWER', 'UNKNOWN_TOPIC_OR_PARTITION',
                            'KAFKA_STORAGE_ERROR', 'REQUEST_TIMED_OUT'):
                    raise wire.Closed(name)
                raise Failed('partition %d, sequence %d: %s' % (
                    self.partition, self.waiting[0][0], name))
            sent -= 1
            self.acked.append((row['base_offset'], self.waiting.pop(0)[1]))

    def run(self):
        while self.waiting or not self.stop.is_set():
            try:
                with self.kit.conn(timeout=30) as conn:
                    self.run_connected(conn)
            except (OSError, wire.Closed):
                time.sleep(0.02)
            except Exception as e:  # noqa: BLE001 - reported by the lane
                self.error = e
                return


class Consumer(threading.Thread):
    """Follows one partition and remembers what it saw."""

    def __init__(self, kit, topic, partition):
        super().__init__(daemon=True)
        self.kit, self.topic, self.partition = kit, topic, partition
        self.stop, self.error, self.seen = threading.Event(), None, {}

    def follow(self, conn):
        offset = len(self.seen)
        while not self.stop.is_set():
            r = conn.call('fetch', 11, self.kit.fetch_body(
                [(self.topic, self.partition, offset)], max_wait=100, isolation=1))
            p = r['responses'][0]['partitions'][0]
            name = wire.err(p['error_code'])
            if name == 'OFFSET_OUT_OF_RANGE':
                raise Failed('offset %d was seen and is gone' % offset)
            if p['error_code']:
                raise wire.Closed(name)
            for b in wire.batches(p['records']):
                for row in b.records():
                    if row['offset'] >= offset:
                        self.seen[row['offset']] = row['value']
                offset = b.last_offset + 1

    def run(self):
        while not self.stop.is_set():
            try:
                with self.kit.conn(timeout=30) as conn:
                    self.follow(conn)
            except (OSError, wire.Closed):
                time.sleep(0.02)
            except Exception as e:  # noqa: BLE001 - reported by the lane
                self.error = e
                return


def stored(kit, topic, partition):
    """{offset: value} of the whole partition."""
    out = {}
    for b in kit.read(topic, partition):
        for row in b.records():
            true(row['offset'] not in out, 'offset %d twice' % row['offset'])
            out[row['offset']] = row['value']
    return out


def check_partition(kit, topic, producer, consumer):
    log = stored(kit, topic, producer.partition)
    true(sorted(log) == list(range(len(log))), 'offsets have gaps')
    values = [log[o] for o in sorted(log)]
    expected = [b'%d-%d' % (producer.partition, i) for i in range(producer.sequence)]
    true(values == expected, 'partition %d holds %d records, %d were sent; first difference at %s' % (
        producer.partition, len(values), len(expected),
        next((i for i, (a, b) in enumerate(zip(values, expected)) if a != b),
             min(len(values), len(expected)))))
    for base, batch in producer.acked:
        got = [log.get(base + i) for i in range(len(batch))]
        true(got == batch, 'acknowledged at %d: %r, stored: %r' % (base, batch, got))
    for offset, value in consumer.seen.items():
        true(log.get(offset) == value, 'a consumer saw %r at %d' % (value, offset))


def one_run(lane, b, title, kills, seed):
    rng = random.Random(seed)
    kit = Kit(lane, b)
    topic = kit.create('t-' + title, partitions=PARTITIONS, config={'segment.ms': '500'})
    producers = [Producer(kit, topic, p, rng.random()) for p in range(PARTITIONS)]
    consumers = [Consumer(kit, topic, p) for p in range(PARTITIONS)]
    for thread in producers + consumers:
        thread.start()
    slowest = 0
    for _ in range(kills):
        time.sleep(rng.uniform(0.05, 0.8))
        b.kill()
        b.start()
        slowest = max(slowest, b.started_ms)
    time.sleep(0.3)
    for thread in producers:
        thread.stop.set()
    for thread in producers:
        thread.join(60)
    for thread in consumers:
        thread.stop.set()
        thread.join(30)

    def verdict():
        for thread in producers + consumers:
            if thread.error:
                raise thread.error
            true(not thread.is_alive(), 'a client does not come to its end')
        true(sum(p.retried for p in producers) >= kills, 'nothing was retried: the kills hit nobody')
        for producer, consumer in zip(producers, consumers):
            check_partition(kit, topic, producer, consumer)

    lane.attempt(title, verdict)
    print('  %s: %d kills, %d records, %d batches retried, slowest start %d ms' % (
        title, kills, sum(p.sequence for p in producers), sum(p.retried for p in producers),
        slowest))


def run(lane):
    kills = 40 if lane.options.long else 8
    seed = random.randrange(1 << 30)
    print('  seed %d' % seed)
    # Acknowledged records are old enough to be deleted by nobody; a small segment makes rolls frequent.
    base = {'log.retention.ms': -1, 'log.index.interval.bytes': 512}
    for title, props in (('fsync', {}), ('page-cache', {'taccola.durability': 'page-cache'}),
                         ('three-reactors', {'taccola.reactors': 3})):
        b = lane.broker(dict(base, **props), name=title)
        one_run(lane, b, title, kills, seed)
        if title != 'page-cache' or lane.long:
            transactions.run(lane, b, title + '/transactions', seed)
        lane.stop(b)
