"""kafka-python (2.0 of Debian, 3.0 of today): produce, read by assignment, offsets, admin. Prints PASS or FAIL lines."""
import sys
import time
import traceback
import uuid

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

BOOT = sys.argv[1]
TOPIC = 'kpy-' + uuid.uuid4().hex[:8]


def check(name):
    def wrap(f):
        try:
            f()
            print('PASS ' + name, flush=True)
        except Exception as e:  # noqa: BLE001 - every failure is a line
            print('FAIL %s: %s %s' % (name, type(e).__name__, str(e)[:300].replace('\n', ' ')), flush=True)
            traceback.print_exc()
    return wrap


def read(n, partition=0, offset=0, **kw):
    c = KafkaConsumer(bootstrap_servers=BOOT, consumer_timeout_ms=10000, **kw)
    tp = TopicPartition(TOPIC, partition)
    c.assign([tp])
    c.seek(tp, offset)
    out = []
    for r in c:
        out.append(r)
        if len(out) == n:
            break
    c.close()
    return out


@check('create-topic')
def _():
    a = KafkaAdminClient(bootstrap_servers=BOOT)
    a.create_topics([NewTopic(TOPIC, 3, 1)])
    for _ in range(50):
        if TOPIC in a.list_topics():
            break
        time.sleep(0.1)
    assert TOPIC in a.list_topics()
    a.close()


@check('produce-defaults')
def _():
    p = KafkaProducer(bootstrap_servers=BOOT)
    futures = [p.send(TOPIC, b'v%d' % i, b'k', headers=[('h', b'x')], partition=0) for i in range(200)]
    p.flush()
    assert [f.get(10).offset for f in futures] == list(range(200))
    p.close()


@check('read')
def _():
    got = read(200)
    assert [r.value for r in got] == [b'v%d' % i for i in range(200)], len(got)
    assert [(k, bytes(v)) for k, v in got[0].headers] == [('h', b'x')]


for codec in ('gzip', 'snappy', 'lz4', 'zstd'):
    @check('codec-' + codec)
    def _():
        try:
            p = KafkaProducer(bootstrap_servers=BOOT, compression_type=codec, linger_ms=20)
        except AssertionError as e:
            if 'not found' in str(e) or 'ibraries' in str(e):
                print('SKIP codec-%s: %s' % (codec, e))
                return
            raise
        first = p.send(TOPIC, b'x' * 1000, partition=1).get(10).offset
        for i in range(100):
            p.send(TOPIC, b'%d ' % i + b'abc' * 100, partition=1)
        p.flush()
        p.close()
        got = read(101, 1, first)
        assert len(got) == 101 and got[1].value.startswith(b'0 ') and got[100].value.startswith(b'99 ')


@check('offsets')
def _():
    c = KafkaConsumer(bootstrap_servers=BOOT)
    tp = TopicPartition(TOPIC, 0)
    assert c.beginning_offsets([tp])[tp] == 0
    assert c.end_offsets([tp])[tp] == 200
    at = c.offsets_for_times({tp: 1})[tp]
    assert at.offset == 0, at
    assert c.offsets_for_times({tp: int(time.time() * 1000) + 3600000})[tp] is None
    c.close()


@check('admin')
def _():
    a = KafkaAdminClient(bootstrap_servers=BOOT)
    a.create_partitions({TOPIC: NewPartitions(5)})
    a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, {'retention.ms': '1000000'})])
    text = str(a.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)]))
    assert '1000000' in text, text[:300]
    assert len(a.describe_cluster()['brokers']) == 1
    a.delete_topics([TOPIC])
    for _ in range(50):
        if TOPIC not in a.list_topics():
            break
        time.sleep(0.1)
    assert TOPIC not in a.list_topics()
    a.close()
