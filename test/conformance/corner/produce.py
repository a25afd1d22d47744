"""Produce, without transactions."""
import time

import wire
from kit import equal, error_is, fresh, true

# Old timestamps are used on purpose; retention must not eat them.
PROPS = {'log.retention.ms': -1, 'message.max.bytes': 100000}


def now():
    return int(time.time() * 1000)


def every_version(kit):
    t = kit.create()
    for version in range(3, 14):
        r = kit.produce(t, wire.batch([b'v%d' % version]), version=version)
        error_is(r['error_code'], 'NONE')
        equal(r['base_offset'], version - 3, 'offset at version %d' % version)
        if version >= 5:
            equal(r['log_start_offset'], 0, 'log start at version %d' % version)
    equal([b.records()[0]['value'] for b in kit.read(t)], [b'v%d' % v for v in range(3, 14)])


def acks_zero(kit):
    """No reply, not even for an error; then the connection is closed."""
    t = kit.create()
    with kit.conn() as c:
        c.send('produce', 9, kit.produce_body([(t, 0, wire.batch([b'a']))], acks=0), wait=False)
        c.send('metadata', 1, {'topics': []})
        c.recv()
        c.send('produce', 9, kit.produce_body([(t, 0, wire.batch([b'b'], crc=1))], acks=0),
               wait=False)
        true(c.is_closed(), 'connection stays open after an error with acks=0')
    kit.wait(lambda: len(kit.read(t)) == 1, 'the first batch is not there')


def acks_invalid(kit):
    t = kit.create()
    for acks in (2, -2, 32767):
        r = kit.refused(t, wire.batch([b'a']), 'INVALID_REQUIRED_ACKS', acks=acks)
        equal(r['log_start_offset'], -1)
    for acks in (1, -1):
        error_is(kit.produce(t, wire.batch([b'a']), acks=acks)['error_code'], 'NONE')


def unknown_places(kit):
    t = kit.create()
    kit.refused('no-such-topic', wire.batch([b'a']), 'UNKNOWN_TOPIC_OR_PARTITION')
    kit.refused(t, wire.batch([b'a']), 'UNKNOWN_TOPIC_OR_PARTITION', partition=1)
    kit.refused(t, wire.batch([b'a']), 'UNKNOWN_TOPIC_OR_PARTITION', partition=-1)
    for unknown in (b'\1' * 16, bytes(16)):
        kit.refused(unknown, wire.batch([b'a']), 'UNKNOWN_TOPIC_ID', version=13)
    equal(kit.call('produce', 9, kit.produce_body([]))['responses'], [])


def good_beside_bad(kit):
    """Partitions of one request are independent; every one is answered."""
    t = kit.create(partitions=4)
    body = kit.produce_body([(t, 0, wire.batch([b'a'])), (t, 1, wire.batch([b'b'], crc=5)),
                             (t, 9, wire.batch([b'c'])), (t, 3, wire.batch([b'd']))])
    rows = {p['index']: p for p in
            kit.call('produce', 9, body)['responses'][0]['partition_responses']}
    equal([wire.err(rows[i]['error_code']) for i in (0, 1, 9, 3)],
          ['NONE', 'CORRUPT_MESSAGE', 'UNKNOWN_TOPIC_OR_PARTITION', 'NONE'])
    equal(rows[3]['base_offset'], 0)


def no_batch_refuses_all(kit):
    """What cannot be the beginning of a batch refuses the whole request; what comes behind a batch only its partition."""
    t, batch = kit.create(partitions=2), wire.batch([b'a'])

    def codes(second):
        r = kit.call('produce', 9, kit.produce_body([(t, 0, batch), (t, 1, second)]))
        rows = r['responses'][0]['partition_responses']
        return [(wire.err(p['error_code']), p['error_message']) for p in rows]
    equal(codes(wire.batch([b'b'], magic=3)), [('CORRUPT_MESSAGE', 'Invalid magic found in record: 3')] * 2)
    equal(codes(bytes(20)), [('CORRUPT_MESSAGE', 'Record size 0 is less than the minimum record overhead (14)')] * 2)
    equal(kit.read(t), [], 'nothing was appended')
    equal([c for c, _ in codes(batch + bytes(12))], ['NONE', 'CORRUPT_MESSAGE'])
    equal([c for c, _ in codes(batch + bytes(11))], ['NONE', 'NONE'])


def leader_epoch_ignored(kit):
    """The client's leader epoch is overwritten; it lies outside the CRC."""
    t = kit.create()
    for epoch in (-1, 0, 77):
        kit.put(t, b'a', epoch=epoch)
    for b in kit.read(t):
        true(b.crc_ok(), 'CRC of batch at %d' % b.base_offset)
        equal(b.epoch, 0, 'leader epoch')


def max_timestamp_recomputed(kit):
    """Old Sarama leaves MaxTimestamp at -1."""
    t = kit.create()
    ts = now() - 5000
    kit.put(t, {'value': b'a'}, {'value': b'b', 'ts_delta': 1000}, timestamp=ts, max_ts=-1)
    b = kit.read(t)[0]
    equal(b.max_ts, ts + 1000, 'max timestamp')
    true(b.crc_ok(), 'CRC')


def one_batch(kit):
    """Exactly one batch of magic 2."""
    t = kit.create()
    one = wire.batch([b'a'])
    for what, records in (('none', b''), ('two', one + one), ('magic 0', wire.legacy_message(b'a', 0)),
                          ('magic 1', wire.legacy_message(b'a', 1)), ('half', one[:-1]),
                          ('header only', one[:40])):
        r = kit.produce(t, records)
        true(wire.err(r['error_code']) == 'INVALID_RECORD', '%s: %s' % (what, wire.err(r['error_code'])))
    kit.refused(t, wire.batch([b'a'], magic=3), 'CORRUPT_MESSAGE')
    equal(kit.read(t), [], 'stored batches')


def batch_size_limit(kit):
    """max.message.bytes is compared with the batch as it comes, compressed."""
    t = kit.create(config={'max.message.bytes': '2000'})
    kit.refused(t, wire.batch([bytes(3000)]), 'MESSAGE_TOO_LARGE')
    kit.put(t, bytes(50000), codec='gzip')
    size = 2000 - len(wire.batch([b''])) - 2  # two lengths grow by a byte each
    equal(len(wire.batch([bytes(size)])), 2000)
    kit.put(t, bytes(size))
    kit.refused(t, wire.batch([bytes(size + 1)]), 'MESSAGE_TOO_LARGE')
    kit.refused(kit.create(), wire.batch([bytes(100001)]), 'MESSAGE_TOO_LARGE')


def zstd_old_version(kit):
    t = kit.create()
    kit.refused(t, wire.batch([b'a'], codec='zstd'), 'UNSUPPORTED_COMPRESSION_TYPE', version=6)
    error_is(kit.produce(t, wire.batch([b'a'], codec='zstd'), version=7)['error_code'], 'NONE')


def unknown_codec(kit):
    """Kafka answers UNKNOWN_SERVER_ERROR; ours says what is wrong."""
    t = kit.create()
    for codec in (5, 6, 7):
        kit.refused(t, wire.batch([b'a'], codec=codec),
                    'UNSUPPORTED_COMPRESSION_TYPE' if kit.ours else 'UNKNOWN_SERVER_ERROR')


def codecs(kit):
    """Every form is accepted and stored as it came."""
    t = kit.create()
    sent = []
    for codec in wire.CODECS:
        records = wire.batch([b'x' * 100, b'y' * 100], codec=codec)
        error_is(kit.produce(t, records)['error_code'], 'NONE')
        sent.append(records)
    for want, got in zip(sent, kit.read(t)):
        equal(got.data[16:], want[16:], 'stored bytes behind the leader epoch')


def bad_crc(kit):
    t = kit.create()
    kit.refused(t, wire.batch([b'a'], crc=0), 'CORRUPT_MESSAGE')
    good = bytearray(wire.batch([b'abcdef']))
    good[-3] ^= 1
    kit.refused(t, bytes(good), 'CORRUPT_MESSAGE')


def headers_that_lie(kit):
    t = kit.create()
    kit.refused(t, wire.batch([b'a', b'b'], count=3), 'INVALID_RECORD')
    kit.refused(t, wire.batch([b'a', b'b'], count=0, last_delta=-1), 'INVALID_RECORD')
    kit.refused(t, wire.batch([b'a', b'b'], last_delta=7), 'INVALID_RECORD')
    kit.refused(t, wire.batch([b'a'], base_offset=5), 'INVALID_RECORD')
    equal(kit.read(t), [])


def control_batch(kit):
    t = kit.create()
    kit.refused(t, wire.batch([(b'\0\0\0\1', b'\0\0\0\0\0\0')], attributes=32), 'INVALID_RECORD')


def compacted_without_key(kit):
    """KIP-467: which record, and why."""
    t = kit.create(config={'cleanup.policy': 'compact'})
    r = kit.refused(t, wire.batch([(b'k', b'v'), (None, b'w'), (b'k', b'x'), (None, b'y')]),
                    'INVALID_RECORD')
    equal([e['batch_index'] for e in r['record_errors']], [1, 3], 'record errors')
    equal(r['record_errors'][0]['batch_index_error_message'],
          'Compacted topic cannot accept message without key in topic partition %s-0' % t)
    true(r['error_message'].startswith('One or more records have been rejected due to 2 record '
                                       'errors in total, and only showing the first three errors'),
         r['error_message'])
    for codec in ('gzip', 'zstd'):
        kit.refused(t, wire.batch([b'v'], codec=codec), 'INVALID_RECORD')
    kit.put(t, (b'k', None))


def log_append_time(kit):
    """The batch gets the broker's time, and the answer says it."""
    t = kit.create(config={'message.timestamp.type': 'LogAppendTime'})
    for codec in ('none', 'gzip'):
        before = now()
        r = kit.produce(t, wire.batch([b'a', b'b'], codec=codec, timestamp=1000))
        error_is(r['error_code'], 'NONE')
        true(before - 1000 <= r['log_append_time_ms'] <= now() + 1000,
             'append time %d' % r['log_append_time_ms'])
        b = kit.read(t)[-1]
        equal(b.max_ts, r['log_append_time_ms'], 'max timestamp')
        true(b.attributes & 8, 'timestamp type bit')
        true(b.crc_ok(), 'CRC')
    r = kit.produce(kit.create(), wire.batch([b'a']))
    equal(r['log_append_time_ms'], -1, 'append time with CreateTime')


def timestamp_range(kit):
    t = kit.create(config={'message.timestamp.before.max.ms': '60000',
                           'message.timestamp.after.max.ms': '60000'})
    kit.put(t, b'a', timestamp=now())
    for ts in (now() - 600000, now() + 600000):
        r = kit.refused(t, wire.batch([b'a', b'b'], timestamp=ts), 'INVALID_TIMESTAMP')
        equal([e['batch_index'] for e in r['record_errors']], [0, 1])
        equal(r['error_message'],
              'One or more records have been rejected due to invalid timestamp')
    # One hour ahead is the default limit; the past has none.
    plain = kit.create()
    kit.refused(plain, wire.batch([b'a'], timestamp=now() + 7200000), 'INVALID_TIMESTAMP')
    kit.put(plain, b'a', timestamp=0)
    # The records of a batch count, not only its header.
    rows = [{'value': b'a'}, {'value': b'b', 'ts_delta': -600000}, {'value': b'c'}]
    r = kit.refused(t, wire.batch(rows, timestamp=now()), 'INVALID_TIMESTAMP')
    equal([e['batch_index'] for e in r['record_errors']], [1])


def odd_timestamps(kit):
    """Deltas of 64 bits; timestamps of -1 and below the first."""
    t = kit.create()
    kit.put(t, {'value': b'a'}, {'value': b'b', 'ts_delta': -(1 << 40)},
            {'value': b'c', 'ts_delta': 5}, timestamp=now() - 10)
    kit.put(t, b'none', timestamp=-1)
    rows = kit.read(t)[0].records()
    equal(rows[1]['ts'], rows[0]['ts'] - (1 << 40))


def min_insync(kit):
    """KIP-966: never more than there are replicas."""
    t = kit.create(config={'min.insync.replicas': '2'})
    kit.put(t, b'a')


def internal_topic(kit):
    if '__consumer_offsets' not in {x['name'] for x in kit.metadata(None)['topics']}:
        kit.create('__consumer_offsets')
    kit.refused('__consumer_offsets', wire.batch([(b'k', b'v')]), 'INVALID_TOPIC_EXCEPTION')


def recompression(kit):
    """compression.type of the topic is what is stored."""
    for name, code in (('gzip', 1), ('snappy', 2), ('lz4', 3), ('zstd', 4), ('uncompressed', 0)):
        t = kit.create(config={'compression.type': name})
        for codec in ('none', 'gzip'):
            kit.put(t, b'x' * 200, b'y', codec=codec)
        for b in kit.read(t):
            equal(b.codec, code, 'stored codec of %s' % name)
            equal((b.count, b.last_delta), (2, 1))
            true(b.crc_ok(), 'CRC')


def decompression_bomb(kit):
    """A batch that unpacks to much more than it may: refused, or stored as it came, and nothing lost."""
    t = kit.create(config={'cleanup.policy': 'compact', 'max.message.bytes': '1000000'})
    with kit.conn() as c:
        bomb = wire.batch([], codec='gzip', count=1, last_delta=0,
                          payload=wire.gzip_frame(bytes(300 << 20)))
        body = kit.produce_body([(t, 0, bomb)])
        r = c.call('produce', 9, body)['responses'][0]['partition_responses'][0]
        true(r['error_code'] != 0, 'accepted')
    true(kit.broker.alive(), 'broker is gone')


def transactional_without_id(kit):
    pid, epoch = kit.producer_id()
    r = kit.produce(kit.create(), wire.batch([b'a'], pid=pid, pid_epoch=epoch, sequence=0,
                                             attributes=16))
    equal(r['error_code'], 53, 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED')


# ---- Idempotence

class Producer:
    def __init__(self, kit, topic, pid=None, epoch=0):
        self.kit, self.topic = kit, topic
        self.pid, self.epoch = (pid, epoch) if pid is not None else kit.producer_id()

    def send(self, sequence, *values, epoch=None):
        return self.kit.produce(self.topic, wire.batch(
            list(values) or [b'%d' % sequence], pid=self.pid, sequence=sequence,
            pid_epoch=self.epoch if epoch is None else epoch))

    def ok(self, sequence, *values, **kw):
        r = self.send(sequence, *values, **kw)
        error_is(r['error_code'], 'NONE')
        return r['base_offset']

    def fails(self, name, sequence, *values, **kw):
        r = self.send(sequence, *values, **kw)
        error_is(r['error_code'], name)
        equal(r['base_offset'], -1)


def duplicates(kit):
    """A duplicate of one of the last five batches gets its first offset, and is stored once."""
    t = kit.create()
    kit.put(t, b'before')
    p = Producer(kit, t)
    offsets = [p.ok(i * 2, b'%d' % i, b'x') for i in range(6)]
    equal(offsets, [1, 3, 5, 7, 9, 11])
    for i in (5, 3, 1):
        equal(p.ok(i * 2, b'%d' % i, b'x'), offsets[i], 'offset of a duplicate')
    equal(sum(b.count for b in kit.read(t)), 13, 'records')
    p.fails('OUT_OF_ORDER_SEQUENCE_NUMBER', 0, b'0', b'x')  # too old to be known


def out_of_order(kit):
    t = kit.create()
    p = Producer(kit, t)
    p.ok(0)
    p.fails('OUT_OF_ORDER_SEQUENCE_NUMBER', 2)
    p.ok(1)
    p.fails('OUT_OF_ORDER_SEQUENCE_NUMBER', 0, b'a', b'b')
    p.ok(2)


def unknown_producer(kit):
    """A producer that the partition does not know may begin at any sequence."""
    t = kit.create()
    equal(Producer(kit, t, pid=123456789).ok(41), 0)
    equal(Producer(kit, t, pid=123456790, epoch=7).ok(0), 1)


def sequence_wrap(kit):
    t = kit.create()
    p = Producer(kit, t, pid=123456791)
    p.ok(2147483646, b'a')
    p.ok(2147483647, b'b', b'c')  # ends at 0
    p.ok(1)
    equal(p.ok(2147483647, b'b', b'c'), 1, 'offset of a duplicate over the wrap')
    p.fails('OUT_OF_ORDER_SEQUENCE_NUMBER', 0, b'x')


def producer_epochs(kit):
    t = kit.create()
    p = Producer(kit, t)
    p.ok(0)
    p.fails('OUT_OF_ORDER_SEQUENCE_NUMBER', 1, epoch=1)  # a new epoch begins at 0
    p.ok(0, epoch=1)
    p.fails('INVALID_PRODUCER_EPOCH', 1, epoch=0)
    p.ok(1, epoch=1)


def negative_sequence(kit):
    t = kit.create()
    r = kit.produce(t, wire.batch([b'a'], pid=5, pid_epoch=0, sequence=-1))
    error_is(r['error_code'], 'INVALID_RECORD')


def producers_do_not_mix(kit):
    """Sequences are per producer and partition."""
    t = kit.create(partitions=2)
    pid, epoch = kit.producer_id()
    for partition in (0, 1):
        for sequence in (0, 1):
            kit.put(t, b'x', partition=partition, pid=pid, pid_epoch=epoch, sequence=sequence)
    other = Producer(kit, t)
    true(other.pid != pid, 'the same producer id twice')
    other.ok(0)
    equal(sum(b.count for b in kit.read(t, 0)), 3)


def big_request(kit):
    """Many partitions in one request."""
    t = kit.create(fresh('wide'), partitions=50)
    body = kit.produce_body([(t, i, wire.batch([b'%d' % i])) for i in range(50)])
    rows = kit.call('produce', 9, body)['responses'][0]['partition_responses']
    equal(sorted((r['index'], r['error_code'], r['base_offset']) for r in rows),
          [(i, 0, 0) for i in range(50)])


def run(kit, attempt):
    for test in (every_version, acks_zero, acks_invalid, unknown_places, good_beside_bad, no_batch_refuses_all,
                 leader_epoch_ignored, max_timestamp_recomputed, one_batch, batch_size_limit,
                 zstd_old_version, unknown_codec, codecs, bad_crc, headers_that_lie, control_batch,
                 compacted_without_key, log_append_time, timestamp_range, odd_timestamps,
                 min_insync, internal_topic, recompression, decompression_bomb,
                 transactional_without_id, duplicates, out_of_order, unknown_producer,
                 sequence_wrap, producer_epochs, negative_sequence, producers_do_not_mix,
                 big_request):
        attempt('produce/' + test.__name__.replace('_', '-'), test, kit)
