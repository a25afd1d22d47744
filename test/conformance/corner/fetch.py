"""Fetch and its sessions."""
import random
import threading
import time

import wire
from kit import equal, error_is, true

# Old timestamps are used on purpose; retention must not eat them. A cap of the broker that tests can reach.
PROPS = {'log.retention.ms': -1, 'fetch.max.bytes': 60000,
         'max.incremental.fetch.session.cache.slots': 64}


def later(seconds, run):
    timer = threading.Timer(seconds, run)
    timer.start()
    return timer


def timed(run):
    begin = time.time()
    result = run()
    return time.time() - begin, result


def fill(kit, sizes, partition=0, topic=None, **kw):
    """One batch of one record per size; answers the topic."""
    t = topic or kit.create(**kw)
    for size in sizes:
        kit.put(t, bytes(size), partition=partition)
    return t


def got(p):
    return [b.base_offset for b in wire.batches(p['records'])]


def every_version(kit):
    t = fill(kit, [10, 20])
    for version in range(4, 19):
        p = kit.fetch(t, 0, version=version)
        error_is(p['error_code'], 'NONE')
        equal(got(p), [0, 1], 'batches at version %d' % version)
        equal((p['high_watermark'], p['last_stable_offset']), (2, 2), 'ends at version %d' % version)
        if version >= 5:
            equal(p['log_start_offset'], 0)
        equal(p['aborted_transactions'], None, 'aborted transactions of read_uncommitted')


def read_committed(kit):
    t = fill(kit, [10])
    p = kit.fetch(t, 0, isolation=1)
    equal(got(p), [0])
    equal(p['aborted_transactions'], [])
    equal(kit.fetch(t, 1, isolation=1)['aborted_transactions'], [])


def first_batch_whole(kit):
    """The first batch comes whole, whatever max_bytes and partition_max_bytes say."""
    t = fill(kit, [5000, 10])
    for kw in ({'part_bytes': 100}, {'max_bytes': 100}, {'max_bytes': 1, 'part_bytes': 1},
               {'part_bytes': 0}):
        equal(got(kit.fetch(t, 0, **kw)), [0], str(kw))
    # Only the first of the request, not the first of each partition.
    t = kit.create(partitions=2)
    fill(kit, [5000], 0, t)
    fill(kit, [5000], 1, t)
    r = kit.fetch_all([(t, 0, 0), (t, 1, 0)], part_bytes=100, max_bytes=1000)
    rows = {p['partition_index']: p for p in r['responses'][0]['partitions']}
    equal([bool(got(rows[0])), bool(got(rows[1]))], [True, False])


def inside_a_batch(kit):
    t = kit.create()
    kit.put(t, *[b'%d' % i for i in range(10)])
    kit.put(t, b'next')
    for offset in (0, 5, 9):
        equal(got(kit.fetch(t, offset)), [0, 10], 'from offset %d' % offset)
    equal(got(kit.fetch(t, 10)), [10])


def empty_not_null(kit):
    """No data or an error: records of length 0, never null; the high watermark is told."""
    t = fill(kit, [10])
    for version in (4, 11, 12, 17):
        p = kit.fetch(t, 1, version=version)
        error_is(p['error_code'], 'NONE')
        equal(p['records'], b'', 'records at version %d' % version)
        equal(p['high_watermark'], 1)
    for extra in ((t, 0, 99), (t, 7, 0), ('no-such-topic', 0, 0)):
        p = kit.fetch_all([extra])['responses'][0]['partitions'][0]
        true(p['error_code'], 'no error for %s' % (extra,))
        equal(p['records'], b'', 'records of %s' % (extra,))


def out_of_range(kit):
    t = fill(kit, [10, 10, 10])
    kit.delete_records(t, 2)
    for offset in (4, 1000000, 1, 0, -1, -5):
        p = kit.fetch(t, offset)
        error_is(p['error_code'], 'OFFSET_OUT_OF_RANGE')
        equal((p['high_watermark'], p['last_stable_offset'], p['log_start_offset']), (-1, -1, -1))
    p = kit.fetch(t, 2)
    equal((got(p), p['log_start_offset']), ([2], 2))
    error_is(kit.fetch(t, 3)['error_code'], 'NONE')


def unknown_places(kit):
    t = fill(kit, [1])
    r = kit.fetch_all([(t, 0, 0), (t, 5, 0), (t, -1, 0), ('no-such-topic', 0, 0)])
    codes = [wire.err(p['error_code']) for x in r['responses'] for p in x['partitions']]
    equal(sorted(codes), ['NONE'] + ['UNKNOWN_TOPIC_OR_PARTITION'] * 3)
    for unknown in (b'\1' * 16, bytes(16)):
        r = kit.fetch_all([(unknown, 0, 0)], version=13)
        error_is(r['responses'][0]['partitions'][0]['error_code'], 'UNKNOWN_TOPIC_ID')


def leader_epochs(kit):
    t = fill(kit, [1])
    for version in (9, 12, 16):
        for epoch, name in ((-1, 'NONE'), (0, 'NONE'), (1, 'UNKNOWN_LEADER_EPOCH')):
            p = kit.fetch(t, 0, version=version, extra={'current_leader_epoch': epoch})
            error_is(p['error_code'], name)


def diverging_epoch(kit):
    """KIP-595: the last fetched epoch must not end before the offset."""
    t = fill(kit, [1, 1])
    p = kit.fetch(t, 1, version=12, extra={'last_fetched_epoch': 0})
    equal(got(p), [1])
    true(p['diverging_epoch'].get('epoch', -1) == -1, 'divergence %s' % p['diverging_epoch'])
    p = kit.fetch(t, 2, version=12, extra={'last_fetched_epoch': 0})
    error_is(p['error_code'], 'NONE')
    p = kit.fetch(t, 3, version=12, extra={'last_fetched_epoch': 0})
    error_is(p['error_code'], 'NONE')
    equal((p['diverging_epoch']['epoch'], p['diverging_epoch']['end_offset']), (0, 2))
    equal(p['records'], b'')
    p = kit.fetch(t, 1, version=12, extra={'last_fetched_epoch': 5})
    error_is(p['error_code'], 'OFFSET_OUT_OF_RANGE')


def caps(kit):
    """partition_max_bytes, max_bytes in the order of the request, fetch.max.bytes of the broker."""
    t = kit.create(partitions=3)
    for p in range(3):
        fill(kit, [1000] * 5, p, t)
    equal(len(got(kit.fetch(t, 0, part_bytes=2500))), 2)
    r = kit.fetch_all([(t, 0, 0), (t, 1, 0), (t, 2, 0)], max_bytes=6000)
    sizes = [len(p['records']) for p in r['responses'][0]['partitions']]
    true(sizes[0] > 5000 and sum(sizes) <= 6000, 'sizes %s' % sizes)
    big = fill(kit, [20000] * 5)
    true(len(kit.fetch(big, 0)['records']) <= 60000, 'beyond fetch.max.bytes')
    equal(got(kit.fetch(big, 0))[:2], [0, 1])


def waits_at_the_end(kit):
    """At the high watermark a fetch waits max_wait; an append ends the wait."""
    t = fill(kit, [1])
    took, p = timed(lambda: kit.fetch(t, 1, max_wait=400))
    true(0.3 < took < 3, 'took %.2f s' % took)
    equal(p['records'], b'')
    with kit.conn() as other:
        body = kit.produce_body([(t, 0, wire.batch([b'wake']))])
        timer = later(0.3, lambda: other.call('produce', 9, body))
        took, p = timed(lambda: kit.fetch(t, 1, max_wait=8000))
        timer.join()
    true(0.2 < took < 4, 'took %.2f s' % took)
    equal(got(p), [1])


def min_bytes(kit):
    t = fill(kit, [100])
    took, p = timed(lambda: kit.fetch(t, 0, max_wait=400, min_bytes=100000))
    true(0.3 < took < 3, 'took %.2f s' % took)
    equal(got(p), [0], 'what there is, when the time is over')
    took, p = timed(lambda: kit.fetch(t, 0, max_wait=5000, min_bytes=50))
    true(took < 2, 'took %.2f s' % took)
    # No data and no minimum: at once.
    took, p = timed(lambda: kit.fetch(t, 1, max_wait=5000, min_bytes=0))
    true(took < 2, 'took %.2f s' % took)


def cap_reached(kit):
    """A partition that reached its cap is answered at once, though min_bytes is not met."""
    t = fill(kit, [1000, 1000, 1000])
    took, p = timed(lambda: kit.fetch(t, 0, max_wait=4000, min_bytes=30000, part_bytes=1500))
    equal(got(p), [0])
    # Apache Kafka waits here.
    true(took < 2 or not kit.ours, 'took %.2f s' % took)


def error_answers_at_once(kit):
    t = fill(kit, [1])
    took, _ = timed(lambda: kit.fetch_all([(t, 0, 99)], max_wait=5000))
    true(took < 2, 'took %.2f s' % took)


def deletion_wakes(kit):
    t = fill(kit, [1])
    with kit.conn() as c:
        timer = later(0.4, lambda: c.call('delete_topics', 5, {'topic_names': [t],
                                                               'timeout_ms': 5000}))
        took, r = timed(lambda: kit.fetch_all([(t, 0, 1)], max_wait=8000))
        timer.join()
    true(took < 5, 'took %.2f s' % took)
    error_is(r['responses'][0]['partitions'][0]['error_code'], 'UNKNOWN_TOPIC_OR_PARTITION',
             'NOT_LEADER_OR_FOLLOWER')


def all_partitions_answered(kit):
    t, u = kit.create(partitions=3), kit.create(partitions=2)
    fill(kit, [1], 1, t)
    r = kit.fetch_all([(t, i, 0) for i in range(3)] + [(u, i, 0) for i in range(2)])
    seen = sorted((x['topic'], p['partition_index']) for x in r['responses']
                  for p in x['partitions'])
    equal(seen, sorted([(t, 0), (t, 1), (t, 2), (u, 0), (u, 1)]))


def compression_kept(kit):
    """Also for versions that are older than zstd."""
    t = kit.create()
    sent = [wire.batch([b'x' * 50], codec=c) for c in wire.CODECS]
    for records in sent:
        error_is(kit.produce(t, records)['error_code'], 'NONE')
    for version in (4, 9, 11, 16):
        p = kit.fetch(t, 0, version=version)
        error_is(p['error_code'], 'NONE')
        equal([b.data[16:] for b in wire.batches(p['records'])], [s[16:] for s in sent])


def hundred_partitions(kit):
    t = kit.create(partitions=100)
    body = kit.produce_body([(t, i, wire.batch([b'%d' % i])) for i in range(100)])
    kit.call('produce', 9, body)
    r = kit.fetch_all([(t, i, 0) for i in range(100)], version=13)
    rows = {p['partition_index']: got(p) for x in r['responses'] for p in x['partitions']}
    equal(rows, {i: [0] for i in range(100)})


# ---- Sessions (KIP-227)

class Session:
    def __init__(self, kit, parts, version=11, **kw):
        self.kit, self.version, self.kw = kit, version, kw
        r = kit.fetch_all(parts, version, session=0, session_epoch=0, **kw)
        error_is(r['error_code'], 'NONE')
        self.id, self.epoch, self.first, self.at = r['session_id'], 1, r, {}

    def call(self, parts=(), forget=(), epoch=None, **kw):
        kw = dict(self.kw, **kw)
        body = self.kit.fetch_body(list(parts), self.version, session=self.id,
                                   session_epoch=self.epoch if epoch is None else epoch, **kw)
        where = 'topic_id' if self.version >= 13 else 'topic'
        body['forgotten_topics_data'] = [
            {where: self.kit.ids[t] if self.version >= 13 else t, 'partitions': [p]}
            for t, p in forget]
        return self.kit.call('fetch', self.version, body)

    def next(self, *args, **kw):
        r = self.call(*args, **kw)
        error_is(r['error_code'], 'NONE')
        self.epoch += 1
        equal(r['session_id'], self.id, 'session id')
        return sorted((p['partition_index'], len(wire.batches(p['records'])))
                      for x in r['responses'] for p in x['partitions'])


def session_incremental(kit):
    for version in (7, 11, 13, 18):
        t = kit.create(partitions=3)
        s = Session(kit, [(t, i, 0) for i in range(3)], version)
        true(s.id != 0, 'no session at version %d' % version)
        equal(len(s.first['responses'][0]['partitions']), 3, 'full answer')
        equal(s.next(), [], 'nothing new')
        kit.put(t, b'a', partition=1)
        equal(s.next(), [(1, 1)])
        equal(s.next([(t, 1, 1)]), [], 'after the offset moved')
        kit.put(t, b'b', partition=2)
        equal(s.next(), [(2, 1)])
        equal(s.next(), [(2, 1)], 'records that were not fetched further come again')


def session_forget(kit):
    t = fill(kit, [1], partitions=2)
    fill(kit, [1], 1, t)
    s = Session(kit, [(t, 0, 0), (t, 1, 0)])
    equal(s.next(forget=[(t, 0)]), [(1, 1)])
    equal(s.next([(t, 0, 0)], forget=[(t, 1)]), [(0, 1)], 'one added, one forgotten')
    # A session that is empty ends.
    r = s.call(forget=[(t, 0)])
    equal((r['error_code'], r['session_id'], r['responses']), (0, 0, []))
    error_is(s.call(epoch=s.epoch + 1)['error_code'], 'FETCH_SESSION_ID_NOT_FOUND')


def session_errors(kit):
    t = fill(kit, [1])
    s = Session(kit, [(t, 0, 0)])
    for epoch in (2, 5, 100):
        r = s.call(epoch=epoch)
        error_is(r['error_code'], 'INVALID_FETCH_SESSION_EPOCH')
        equal((r['session_id'], r['responses']), (0, []))
    r = kit.fetch_all([], session=s.id ^ 12345, session_epoch=1)
    error_is(r['error_code'], 'FETCH_SESSION_ID_NOT_FOUND')
    s.next()
    s.version = 13
    error_is(s.call()['error_code'], 'FETCH_SESSION_TOPIC_ID_ERROR')
    s.version = 11
    s.next()
    # Epoch -1 with the id ends it.
    r = kit.fetch_all([(t, 0, 0)], session=s.id, session_epoch=-1)
    equal((r['error_code'], r['session_id'], len(r['responses'])), (0, 0, 1))
    error_is(s.call()['error_code'], 'FETCH_SESSION_ID_NOT_FOUND')


def session_partition_errors(kit):
    """Partitions in error are in every answer, until the error is gone; then they are told once more."""
    t = fill(kit, [1, 1])
    s = Session(kit, [(t, 0, 99)])
    for _ in range(3):
        equal(s.next(), [(0, 0)])
    equal(s.next([(t, 0, 2)]), [(0, 0)], 'the error is gone')
    equal(s.next(), [])


def session_log_start(kit):
    t = fill(kit, [1, 1])
    s = Session(kit, [(t, 0, 2)])
    equal(s.next(), [])
    kit.delete_records(t, 1)
    equal(s.next(), [(0, 0)], 'the log start moved')
    equal(s.next(), [])


def session_rotation(kit):
    """With max_bytes for one partition at a time, each gets its turn."""
    t = kit.create(partitions=4)
    for p in range(4):
        fill(kit, [2000], p, t)
    s = Session(kit, [(t, i, 0) for i in range(4)], max_bytes=2100)
    seen = set()
    for _ in range(8):
        seen |= {p for p, n in s.next() if n}
    equal(seen, {0, 1, 2, 3}, 'partitions that were served')


def session_of_many(kit):
    """Of hundreds of partitions only those with news are told, whenever they move, also during a wait."""
    t = kit.create(partitions=300)
    s = Session(kit, [(t, i, 0) for i in range(300)], 13)
    offsets, dice = {}, random.Random(7)
    for _ in range(30):
        some = sorted(dice.sample(range(300), dice.randrange(1, 5)))
        kit.call('produce', 9, kit.produce_body([(t, i, wire.batch([b'x'])) for i in some]))
        asked = [(t, i, o) for i, o in offsets.items()]
        equal(s.next(asked), [(i, 1) for i in some])
        offsets = {i: s.at.get(i, 0) + 1 for i in some}
        s.at.update(offsets)
    s.next([(t, i, o) for i, o in offsets.items()])
    with kit.conn() as other:
        body = kit.produce_body([(t, 123, wire.batch([b'late']))])
        timer = later(0.3, lambda: other.call('produce', 9, body))
        took, rows = timed(lambda: s.next(max_wait=8000))
        timer.join()
    equal(rows, [(123, 1)])
    true(0.2 < took < 4, 'took %.2f s' % took)
    kit.delete_records(t, 1, partition=123)
    equal(s.next([(t, 123, s.at.get(123, 0) + 1)]), [(123, 0)], 'the log start moved')
    kit.call('delete_topics', 5, {'topic_names': [t], 'timeout_ms': 5000})
    kit.wait(lambda: len(s.next()) == 300, 'not every partition tells that it is gone')


def session_topic_recreated(kit):
    """The id of a deleted topic is not its successor's."""
    t = fill(kit, [1])
    s = Session(kit, [(t, 0, 1)], 13)
    s.next()
    kit.call('delete_topics', 5, {'topic_names': [t], 'timeout_ms': 5000})
    old = kit.ids[t]
    if not kit.ours:
        time.sleep(1)
    kit.create(t)
    r = s.call()
    error_is(r['responses'][0]['partitions'][0]['error_code'], 'INCONSISTENT_TOPIC_ID',
             'UNKNOWN_TOPIC_ID')
    r = kit.fetch_all([(old, 0, 0)], version=13)
    error_is(r['responses'][0]['partitions'][0]['error_code'], 'UNKNOWN_TOPIC_ID')


def session_slots(kit):
    """More sessions than slots: the later ones are served without a session."""
    t = fill(kit, [1])
    answers = [kit.fetch_all([(t, 0, 0)], session=0, session_epoch=0) for _ in range(80)]
    equal({r['error_code'] for r in answers}, {0})
    equal([got(r['responses'][0]['partitions'][0]) for r in answers], [[0]] * 80)
    true(any(r['session_id'] == 0 for r in answers), 'no limit of sessions')


def run(kit, attempt):
    for test in (every_version, read_committed, first_batch_whole, inside_a_batch, empty_not_null,
                 out_of_range, unknown_places, leader_epochs, diverging_epoch, caps,
                 waits_at_the_end, min_bytes, cap_reached, error_answers_at_once, deletion_wakes,
                 all_partitions_answered, compression_kept, hundred_partitions,
                 session_incremental, session_forget, session_errors, session_partition_errors,
                 session_log_start, session_rotation, session_of_many, session_topic_recreated, session_slots):
        attempt('fetch/' + test.__name__.replace('_', '-'), test, kit)
