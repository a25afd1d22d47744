"""confluent-kafka (1.7 of Debian, 2.16 of today): produce, read by assignment, offsets, admin. Prints PASS or FAIL lines."""
import sys
import time
import traceback
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

BOOT = sys.argv[1]
TOPIC = 'cck-' + uuid.uuid4().hex[:8]


def check(name):
    def wrap(f):
        try:
            f()
            print('PASS ' + name, flush=True)
        except Exception as e:  # noqa: BLE001 - every failure is a line
            print('FAIL %s: %s %s' % (name, type(e).__name__, str(e)[:300].replace('\n', ' ')), flush=True)
            traceback.print_exc()
    return wrap


def done(futures):
    for f in futures.values():
        f.result(10)


def produce(n, partition, **conf):
    failed = []
    offsets = []

    def report(err, m):
        failed.append(str(err)) if err else offsets.append(m.offset())
    p = Producer(dict({'bootstrap.servers': BOOT}, **conf))
    for i in range(n):
        p.produce(TOPIC, b'v%d' % i, b'k%d' % i, partition, headers=[('h', b'x')], on_delivery=report)
        p.poll(0)
    p.flush(20)
    assert not failed and len(offsets) == n, (failed[:3], len(offsets))
    return sorted(offsets)


def read(n, partition, offset):
    c = Consumer({'bootstrap.servers': BOOT, 'group.id': 'not-used', 'enable.auto.commit': False})
    c.assign([TopicPartition(TOPIC, partition, offset)])
    out = []
    end = time.time() + 15
    while len(out) < n and time.time() < end:
        m = c.poll(1)
        if m is not None:
            assert not m.error(), m.error()
            out.append(m)
    c.close()
    return out


@check('create-topic')
def _():
    a = AdminClient({'bootstrap.servers': BOOT})
    done(a.create_topics([NewTopic(TOPIC, 3, 1)]))


for name, conf in (('defaults', {}), ('idempotent', {'enable.idempotence': True}),
                   ('gzip', {'compression.type': 'gzip'}), ('snappy', {'compression.type': 'snappy'}),
                   ('lz4', {'compression.type': 'lz4'}), ('zstd', {'compression.type': 'zstd'}),
                   ('acks-1', {'acks': 1})):
    @check('produce-and-read-' + name)
    def _():
        offsets = produce(300, 0, **conf)
        assert offsets == list(range(offsets[0], offsets[0] + 300))
        got = read(300, 0, offsets[0])
        assert [m.value() for m in got] == [b'v%d' % i for i in range(300)], len(got)
        assert got[0].headers() == [('h', b'x')] and got[7].key() == b'k7'


@check('offsets')
def _():
    c = Consumer({'bootstrap.servers': BOOT, 'group.id': 'not-used', 'enable.auto.commit': False})
    low, high = c.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=10)
    assert (low, high) == (0, 2100), (low, high)
    assert c.offsets_for_times([TopicPartition(TOPIC, 0, 1)], timeout=10)[0].offset == 0
    c.close()


@check('admin')
def _():
    a = AdminClient({'bootstrap.servers': BOOT})
    done(a.create_partitions([NewPartitions(TOPIC, 5)]))
    r = ConfigResource('topic', TOPIC)
    r.set_config('retention.ms', '1000000')
    done(a.alter_configs([r]))
    got = list(a.describe_configs([ConfigResource('topic', TOPIC)]).values())[0].result(10)
    assert got['retention.ms'].value == '1000000', got['retention.ms'].value
    assert got['segment.bytes'].value == '1073741824', got['segment.bytes'].value
    done(a.delete_topics([TOPIC]))
