"""ListOffsets, OffsetForLeaderEpoch, DeleteRecords, and what tells about logs: InitProducerId, DescribeProducers, DescribeLogDirs."""
import time

import wire
from kit import equal, error_is, true

# Old timestamps are used on purpose; retention must not eat them.
PROPS = {'log.retention.ms': -1}

T = 1700000000000


def offset(kit, t, timestamp, **kw):
    r = kit.list_offset(t, timestamp, **kw)
    error_is(r['error_code'], 'NONE')
    return r['offset'], r['timestamp']


def timed_topic(kit, codec='none'):
    """Three batches of three records, one second apart: offsets 0-8 at T … T+8000."""
    t = kit.create()
    for i in range(0, 9, 3):
        kit.put(t, *[{'value': b'%d' % (i + k), 'ts_delta': k * 1000} for k in range(3)],
                timestamp=T + i * 1000, codec=codec)
    return t


def every_version(kit):
    t = timed_topic(kit)
    for version in range(1, 12):
        for spec, want in ((-1, 9), (-2, 0), (T + 4500, 5)):
            r = kit.list_offset(t, spec, version=version)
            error_is(r['error_code'], 'NONE')
            equal(r['offset'], want, 'offset of %d at version %d' % (spec, version))
            if version >= 4:
                equal(r['leader_epoch'], 0, 'leader epoch of %d' % spec)
        equal(kit.list_offset(t, -1, version=version)['timestamp'], -1)


def special_offsets(kit):
    """-3 from version 7, -4 from 8, -5 from 9, -6 from 11; before, UNSUPPORTED_VERSION."""
    t = timed_topic(kit)
    kit.put(t, b'late', timestamp=T + 2500)
    for spec, since, want in ((-3, 7, (8, T + 8000)), (-4, 8, (0, -1)), (-5, 9, (-1, -1)),
                              (-6, 11, (-1, -1))):
        for version in range(1, 12):
            r = kit.list_offset(t, spec, version=version)
            if version < since:
                error_is(r['error_code'], 'UNSUPPORTED_VERSION')
                equal((r['offset'], r['timestamp']), (-1, -1))
            else:
                error_is(r['error_code'], 'NONE')
                equal((r['offset'], r['timestamp']), want, '%d at version %d' % (spec, version))
    error_is(kit.list_offset(t, -7, version=11)['error_code'], 'UNSUPPORTED_VERSION')
    equal(offset(kit, kit.create(), -3), (-1, -1), 'largest timestamp of an empty log')


def by_timestamp(kit):
    """The first record at or after the time, inside compressed batches too."""
    for codec in ('none', 'gzip', 'snappy-xerial', 'snappy', 'lz4', 'zstd'):
        t = timed_topic(kit, codec)
        for ts, want in ((T, (0, T)), (T - 1, (0, T)), (0, (0, T)), (T + 1, (1, T + 1000)),
                         (T + 1000, (1, T + 1000)), (T + 2001, (3, T + 3000)),
                         (T + 7999, (8, T + 8000)), (T + 8000, (8, T + 8000))):
            equal(offset(kit, t, ts), want, 'T%+d with %s' % (ts - T, codec))
        equal(offset(kit, t, T + 8001), (-1, -1), 'after the last')
    equal(offset(kit, kit.create(), T), (-1, -1), 'in an empty log')


def timestamps_out_of_order(kit):
    t = kit.create()
    for ts in (T + 5000, T, T + 9000, T + 1000):
        kit.put(t, b'x', timestamp=ts)
    equal(offset(kit, t, T), (0, T + 5000), 'the first in the log, not in time')
    equal(offset(kit, t, T + 6000), (2, T + 9000))
    equal(offset(kit, t, -3), (2, T + 9000))


def isolation(kit):
    t = timed_topic(kit)
    equal(offset(kit, t, -1, isolation=1)[0], 9)
    equal(offset(kit, t, T + 8000, isolation=1)[0], 8)


def places_and_epochs(kit):
    t = timed_topic(kit)
    error_is(kit.list_offset('no-such-topic', -1)['error_code'], 'UNKNOWN_TOPIC_OR_PARTITION')
    error_is(kit.list_offset(t, -1, partition=9)['error_code'], 'UNKNOWN_TOPIC_OR_PARTITION')
    error_is(kit.list_offset(t, -1, epoch=0)['error_code'], 'NONE')
    error_is(kit.list_offset(t, -1, epoch=3)['error_code'], 'UNKNOWN_LEADER_EPOCH')


def named_twice(kit):
    t = kit.create(partitions=2)
    row = {'partition_index': 0, 'timestamp': -1, 'current_leader_epoch': -1}
    body = {'replica_id': -1, 'isolation_level': 0,
            'topics': [{'name': t, 'partitions': [row, dict(row, partition_index=1), row]}]}
    rows = kit.call('list_offsets', 7, body)['topics'][0]['partitions']
    equal(sorted((r['partition_index'], wire.err(r['error_code'])) for r in rows)[-1], (1, 'NONE'))
    equal([wire.err(r['error_code']) for r in rows if r['partition_index'] == 0],
          ['INVALID_REQUEST'])
    body['topics'] = [{'name': n, 'partitions': [row]} for n in ('no-such-1', 'no-such-2')]
    topics = kit.call('list_offsets', 7, body)['topics']
    equal([[wire.err(p['error_code']) for p in x['partitions']] for x in topics],
          [['UNKNOWN_TOPIC_OR_PARTITION']] * 2)


def own_writes(kit):
    """Who wrote with acks=1 and then asks sees what he wrote, also before it is synced."""
    t = kit.create(partitions=2)
    for i in range(50):
        ts = T + i
        error_is(kit.produce(t, wire.batch([b'x'], timestamp=ts), acks=1)['error_code'], 'NONE')
        spec, want = ((-1, (i + 1, -1)), (-3, (i, ts)), (ts, (i, ts)))[i % 3]
        equal(offset(kit, t, spec), want, 'offset of %d' % spec)
        if i % 10 == 9:
            r = kit.delete_records(t, i + 1 if i % 20 == 9 else -1)
            equal((wire.err(r['error_code']), r['low_watermark']), ('NONE', i + 1))
    equal(offset(kit, t, -1, isolation=1)[0], 50)


def many_lookups(kit):
    """Lookups by time on many partitions of one request."""
    t = kit.create(partitions=60)
    kit.call('produce', 9, kit.produce_body(
        [(t, i, wire.batch([b'a', b'b'], codec='gzip', timestamp=T)) for i in range(60)]))
    rows = [{'partition_index': i, 'timestamp': T, 'current_leader_epoch': -1} for i in range(60)]
    r = kit.call('list_offsets', 10, {'replica_id': -1, 'isolation_level': 0, 'timeout_ms': 20000,
                                      'topics': [{'name': t, 'partitions': rows}]})
    equal([(p['error_code'], p['offset']) for p in r['topics'][0]['partitions']], [(0, 0)] * 60)


# ---- OffsetForLeaderEpoch

def epoch_end(kit, t, epoch, current=-1, partition=0, version=4):
    row = {'partition': partition, 'current_leader_epoch': current, 'leader_epoch': epoch}
    r = kit.call('offset_for_leader_epoch', version,
                 {'replica_id': -1, 'topics': [{'topic': t, 'partitions': [row]}]}
                 if version >= 3 else {'topics': [{'topic': t, 'partitions': [row]}]})
    p = r['topics'][0]['partitions'][0]
    return wire.err(p['error_code']), p['leader_epoch'], p['end_offset']


def epoch_ends(kit):
    t = timed_topic(kit)
    for version in (2, 3, 4):
        equal(epoch_end(kit, t, 0, version=version), ('NONE', 0, 9))
        equal(epoch_end(kit, t, 1, version=version), ('NONE', -1, -1), 'a future epoch')
        equal(epoch_end(kit, t, -1, version=version), ('NONE', -1, -1))
    equal(epoch_end(kit, t, 0, current=0), ('NONE', 0, 9))
    equal(epoch_end(kit, t, 0, current=7), ('UNKNOWN_LEADER_EPOCH', -1, -1))
    equal(epoch_end(kit, t, 0, partition=5), ('UNKNOWN_TOPIC_OR_PARTITION', -1, -1))
    equal(epoch_end(kit, 'no-such-topic', 0), ('UNKNOWN_TOPIC_OR_PARTITION', -1, -1))
    equal(epoch_end(kit, kit.create(), 0), ('NONE', 0, 0), 'of an empty log')


# ---- DeleteRecords

def delete_records(kit):
    """The start is visible at once; -1 means up to the high watermark."""
    t = timed_topic(kit)
    r = kit.delete_records(t, 4)
    equal((r['error_code'], r['low_watermark']), (0, 4))
    equal(offset(kit, t, -2)[0], 4)
    equal(offset(kit, t, T)[0], 4, 'by time, behind the start')
    error_is(kit.fetch(t, 3)['error_code'], 'OFFSET_OUT_OF_RANGE')
    p = kit.fetch(t, 4)
    equal((wire.batches(p['records'])[0].base_offset, p['log_start_offset']), (3, 4))
    # What was passed already changes nothing.
    equal(kit.delete_records(t, 2)['low_watermark'], 4)
    equal(kit.delete_records(t, -1)['low_watermark'], 9)
    equal((offset(kit, t, -2)[0], offset(kit, t, -1)[0]), (9, 9))
    equal(kit.put(t, b'next'), 9)
    equal(kit.produce(t, wire.batch([b'x']))['log_start_offset'], 9)


def delete_records_refused(kit):
    t = timed_topic(kit)
    for o in (10, 1 << 60, -2):
        r = kit.delete_records(t, o)
        error_is(r['error_code'], 'OFFSET_OUT_OF_RANGE')
        equal(r['low_watermark'], -1)
    error_is(kit.delete_records('no-such-topic', 0)['error_code'], 'UNKNOWN_TOPIC_OR_PARTITION')
    error_is(kit.delete_records(t, 0, partition=3)['error_code'], 'UNKNOWN_TOPIC_OR_PARTITION')
    compact = kit.create(config={'cleanup.policy': 'compact'})
    kit.put(compact, (b'k', b'v'))
    error_is(kit.delete_records(compact, 1)['error_code'], 'POLICY_VIOLATION')
    both = kit.create(config={'cleanup.policy': 'compact,delete'})
    kit.put(both, (b'k', b'v'))
    equal(kit.delete_records(both, 1)['low_watermark'], 1)


# ---- Markers

def write_markers(kit):
    """An operator ends a transaction by hand (KIP-664): the marker is in the log, once per partition."""
    t = kit.create(partitions=2)
    pid, epoch = kit.producer_id()
    kit.put(t, b'plain')
    for version, commit in ((1, False), (1, True), (2, True)):
        r = kit.call('write_txn_markers', version, {'markers': [
            {'producer_id': pid, 'producer_epoch': epoch, 'transaction_result': commit,
             'coordinator_epoch': 3, 'topics': [{'name': t, 'partition_indexes': [0, 1, 9]},
                                                {'name': 'no-such-topic',
                                                 'partition_indexes': [0]}]}]})
        m = r['markers'][0]
        equal(m['producer_id'], pid)
        equal(sorted((x['name'], p['partition_index'], wire.err(p['error_code']))
                     for x in m['topics'] for p in x['partitions']),
              sorted([(t, 0, 'NONE'), (t, 1, 'NONE'), (t, 9, 'UNKNOWN_TOPIC_OR_PARTITION'),
                      ('no-such-topic', 0, 'UNKNOWN_TOPIC_OR_PARTITION')]))
    rows = [b for b in kit.read(t) if b.is_control]
    equal([(b.pid, b.pid_epoch, b.sequence, b.count, b.attributes) for b in rows],
          [(pid, epoch, -1, 1, 48)] * 3)
    equal([b.records()[0]['key'] for b in rows], [b'\0\0\0\0', b'\0\0\0\1', b'\0\0\0\1'])
    equal(rows[0].records()[0]['value'], b'\0\0\0\0\0\3')
    true(all(b.crc_ok() for b in rows), 'CRC of a marker')
    equal(kit.fetch(t, 0, isolation=1)['last_stable_offset'], 4)


# ---- Producers, directories

def producer_ids(kit):
    seen = set()
    for version in range(0, 6):
        body = {'transactional_id': None, 'transaction_timeout_ms': 60000}
        r = kit.call('init_producer_id', version, body)
        if r['error_code'] == 14 and not kit.ours:
            time.sleep(1)
            r = kit.call('init_producer_id', version, body)
        error_is(r['error_code'], 'NONE')
        equal(r['producer_epoch'], 0)
        seen.add(r['producer_id'])
    for _ in range(1200):  # more than a block of ids
        seen.add(kit.producer_id()[0])
    equal(len(seen), 1206, 'different producer ids')
    for pid, epoch in ((5, -1), (-1, 5)):
        r = kit.call('init_producer_id', 4, {
            'transactional_id': None, 'transaction_timeout_ms': 60000, 'producer_id': pid,
            'producer_epoch': epoch})
        error_is(r['error_code'], 'INVALID_REQUEST')
        equal((r['producer_id'], r['producer_epoch']), (-1, -1))
    r = kit.call('init_producer_id', 4, {'transactional_id': '', 'transaction_timeout_ms': 60000})
    error_is(r['error_code'], 'INVALID_REQUEST')


def describe_producers(kit):
    t = kit.create(partitions=2)
    pid, epoch = kit.producer_id()
    kit.put(t, b'a', b'b', b'c', pid=pid, pid_epoch=epoch, sequence=0, timestamp=T)
    r = kit.call('describe_producers', 0, {'topics': [
        {'name': t, 'partition_indexes': [0, 1, 7]},
        {'name': 'no-such-topic', 'partition_indexes': [0]},
        {'name': 'bad name', 'partition_indexes': [0]}]})
    rows = r['topics'][0]['partitions']
    equal([wire.err(p['error_code']) for p in rows],
          ['NONE', 'NONE', 'UNKNOWN_TOPIC_OR_PARTITION'])
    p = rows[0]['active_producers'][0]
    equal((p['producer_id'], p['producer_epoch'], p['last_sequence'], p['last_timestamp'],
           p['coordinator_epoch'], p['current_txn_start_offset']), (pid, epoch, 2, T, -1, -1))
    equal(rows[1]['active_producers'], [])
    p = r['topics'][1]['partitions'][0]
    equal((wire.err(p['error_code']), p['error_message']),
          ('UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.'))
    error_is(r['topics'][2]['partitions'][0]['error_code'], 'INVALID_TOPIC_EXCEPTION')


def describe_log_dirs(kit):
    t = kit.create(partitions=3)
    kit.put(t, bytes(1000), partition=1)
    for version in range(1, 6):
        rows = kit.call('describe_log_dirs', version, {'topics': None})['results']
        equal(len(rows), 1)
        equal(rows[0]['error_code'], 0)
        mine = {p['partition_index']: p for x in rows[0]['topics'] if x['name'] == t
                for p in x['partitions']}
        equal(sorted(mine), [0, 1, 2])
        true(1000 < mine[1]['partition_size'] < 1200, mine[1])
        equal((mine[0]['partition_size'], mine[0]['offset_lag'], mine[0]['is_future_key']),
              (0, 0, False))
        if version >= 4:
            true(0 < rows[0]['usable_bytes'] <= rows[0]['total_bytes'], rows[0])
    rows = kit.call('describe_log_dirs', 4, {'topics': [
        {'topic': t, 'partitions': [2, 0, 2, 9]}, {'topic': 'no-such-topic', 'partitions': [0]}]})
    topics = rows['results'][0]['topics']
    equal([(x['name'], sorted(p['partition_index'] for p in x['partitions'])) for x in topics],
          [(t, [0, 2])])
    equal(kit.call('describe_log_dirs', 4, {'topics': []})['results'][0]['topics'], [])


def run(kit, attempt):
    for test in (every_version, special_offsets, by_timestamp, timestamps_out_of_order, isolation,
                 places_and_epochs, named_twice, own_writes, many_lookups, epoch_ends, delete_records,
                 delete_records_refused, write_markers, producer_ids,
                 describe_producers, describe_log_dirs):
        attempt('offsets/' + test.__name__.replace('_', '-'), test, kit)
