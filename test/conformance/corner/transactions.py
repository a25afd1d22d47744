"""Transactions: both protocols (TV1 of older clients, TV2 of KIP-890), from requests alone."""
import time

import wire
from kit import equal, fresh, true
from transactional import Producer, committed, coordinator_of_group, offset_of, patiently, stable

PROPS = {
    'transaction.state.log.replication.factor': 1, 'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 4, 'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 3, 'transaction.max.timeout.ms': 60000,
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': 200,
}

# ---- One producer

def commit_and_abort(kit, two):
    t = kit.create()
    p = Producer(kit, two=two)
    p.transaction(t, b'a1', b'a2')
    p.transaction(t, b'b', commit=False)
    p.transaction(t, b'c')
    equal(committed(kit, t), [b'a1', b'a2', b'c'])
    rows = kit.read(t)
    equal([b.is_control for b in rows], [False, True] * 3)
    equal([b.records()[0]['key'][:4] for b in rows if b.is_control],
          [b'\0\0\0\1', b'\0\0\0\0', b'\0\0\0\1'], 'types of the markers')
    epochs = [b.pid_epoch for b in rows]
    equal(epochs, [0, 1, 1, 2, 2, 3] if two else [0] * 6, 'epochs')
    equal(stable(kit, t), rows[-1].last_offset + 1, 'last stable offset')


def undecided_is_not_read(kit, two):
    t = kit.create()
    kit.put(t, b'before')
    p, q = Producer(kit, two=two), Producer(kit, two=two)
    for x in (p, q):
        if not two:
            x.add((t, 0))
    p.write(t, b'p')
    q.write(t, b'q')
    kit.put(t, b'plain')
    equal(stable(kit, t), 1)
    equal(committed(kit, t), [b'before'])
    equal(kit.fetch(t, 0, isolation=1)['last_stable_offset'], 1)
    equal(len(kit.read(t)), 4, 'batches for a reader of everything')
    p.end()
    p.settled()
    equal(stable(kit, t), 2, 'the other one is still open')
    equal(committed(kit, t), [b'before', b'p'])
    q.end(commit=False)
    q.settled()
    equal(committed(kit, t), [b'before', b'p', b'plain'])


def aborted_lists(kit, two):
    """Exactly the aborted transactions that overlap what was fetched, by first offset."""
    t = kit.create()
    p, q = Producer(kit, two=two), Producer(kit, two=two)
    for x in (p, q):
        if not two:
            x.add((t, 0))
    q.write(t, b'q0')
    p.write(t, b'p1')
    q.write(t, b'q2')
    p.end(commit=False)
    p.settled()
    pid = q.pid
    q.end(commit=False)
    q.settled()
    kit.put(t, b'after')
    def of(offset):
        r = kit.fetch(t, offset, isolation=1)
        rows = [(a['producer_id'], a['first_offset']) for a in r['aborted_transactions']]
        if kit.ours:  # Kafka's come in the order of their markers
            equal(rows, sorted(rows, key=lambda row: row[1]), 'order')
        return sorted(rows, key=lambda row: row[1])
    equal(of(0), [(pid, 0), (p.pid, 1)])
    equal(of(5), [])
    equal(kit.fetch(t, 0)['aborted_transactions'], None, 'for a reader of everything')


def empty_transactions(kit, two):
    p = Producer(kit, two=two)
    if two:
        # KIP-890: an abort of nothing bumps the epoch, a commit of nothing is refused.
        equal(p.try_end()[0], 'INVALID_TXN_STATE')
        p.end(commit=False)
        equal(p.epoch, 1)
    else:
        equal(p.try_end()[0], 'INVALID_TXN_STATE')
        equal(p.try_end(False)[0], 'INVALID_TXN_STATE')
    t = kit.create()
    p.settled()
    p.transaction(t, b'a')
    equal(committed(kit, t), [b'a'])


def end_twice(kit, two):
    t = kit.create()
    p = Producer(kit, two=two)
    if not two:
        p.add((t, 0))
    p.write(t, b'a')
    old = (p.pid, p.epoch)
    p.end()
    p.settled()
    name, r = p.try_end(epoch=old[1])
    equal(name, 'NONE', 'the same end again')
    if two:
        equal((r['producer_id'], r['producer_epoch']), (p.pid, p.epoch), 'the same answer again')
    equal(p.try_end(False, epoch=old[1])[0], 'INVALID_TXN_STATE', 'the opposite')
    equal(len(kit.read(t)), 2, 'one marker')


def fencing(kit, two):
    t = kit.create()
    p = Producer(kit, two=two)
    if not two:
        p.add((t, 0))
    p.write(t, b'old')
    q = Producer(kit, id=p.id, two=two)
    equal(q.pid, p.pid)
    true(q.epoch > p.epoch, 'epoch %d after %d' % (q.epoch, p.epoch))
    name = p.try_write(t, b'late')[0]
    equal(name, 'INVALID_PRODUCER_EPOCH', 'a write of who was fenced')
    equal(p.try_end(version=1)[0], 'INVALID_PRODUCER_EPOCH')
    equal(p.try_end()[0], 'PRODUCER_FENCED')
    equal(p.try_add([(t, 0)], version=1)[t, 0], 'INVALID_PRODUCER_EPOCH')
    equal(p.try_add([(t, 0)])[t, 0], 'PRODUCER_FENCED')
    for version, want in ((3, 'INVALID_PRODUCER_EPOCH'), (5, 'PRODUCER_FENCED')):
        equal(p.try_init(p.pid, p.epoch, version)[0], want, 'InitProducerId v%d' % version)
    equal(p.try_add([(t, 0)], pid=p.pid + 1000)[t, 0], 'INVALID_PRODUCER_ID_MAPPING')
    q.transaction(t, b'new')
    equal(committed(kit, t), [b'new'], 'the old one was aborted')


def init_again(kit):
    p = Producer(kit)
    equal(p.epoch, 0)
    old = p.epoch
    p.init(pid=p.pid, epoch=p.epoch)
    equal(p.epoch, 1, 'a bump of its own (KIP-360)')
    name, r = p.try_init(p.pid, old)
    equal((name, r['producer_epoch']), ('NONE', 1), 'the same again: the answer was lost')
    p.init()
    equal(p.epoch, 2)
    equal(p.try_init(p.pid + 7, 2)[0], 'PRODUCER_FENCED', 'another producer id')
    equal(p.try_init(p.pid, 7)[0], 'PRODUCER_FENCED', 'an epoch to come')


def timeouts_are_limited(kit):
    p = Producer(kit, init=False)
    for bad in (60001, -1):
        equal(p.try_init(timeout=bad)[0], 'INVALID_TRANSACTION_TIMEOUT', str(bad))
    equal(p.describe()['error_code'], 105, 'TRANSACTIONAL_ID_NOT_FOUND')
    p.init(timeout=60000)


def two_phase_commit_refused(kit):
    """KIP-939 is not finished in Kafka: its version of InitProducerId is not offered."""
    r = kit.call('api_versions', 3, {'client_software_name': 'x', 'client_software_version': '1'})
    ranges = {k['api_key']: k['max_version'] for k in r['api_keys']}
    equal(ranges[22], 5)


def timed_out(kit, two):
    t = kit.create()
    p = Producer(kit, two=two, timeout=300)
    if not two:
        p.add((t, 0))
    p.write(t, b'a')
    kit.wait(lambda: p.state() == 'CompleteAbort', 'not aborted: ' + p.state())
    equal(committed(kit, t), [])
    equal(stable(kit, t), 2)
    # With TV2 the epoch behind the client's is that of an end which it did not hear of.
    equal(p.try_end()[0], 'INVALID_TXN_STATE' if two else 'PRODUCER_FENCED')
    equal(p.try_write(t, b'b')[0], 'INVALID_PRODUCER_EPOCH')


# ---- The path of a batch

def not_in_the_transaction(kit):
    """TV1: the partition was not added (KIP-890, part 1)."""
    t = kit.create()
    p = Producer(kit)
    equal(p.try_write(t, b'a')[0], 'INVALID_TXN_STATE')
    equal(p.try_write(t, b'a', version=11)[0], 'TRANSACTION_ABORTABLE')
    equal(kit.read(t), [], 'nothing is written')
    p.add((t, 0))
    p.write(t, b'a')
    p.end()
    p.settled()
    equal(p.try_write(t, b'late', sequence=1)[0], 'INVALID_TXN_STATE', 'after its end')
    equal(len(kit.read(t)), 2)


def only_added_partitions(kit):
    t = kit.create(partitions=2)
    p = Producer(kit)
    p.add((t, 0))
    p.write(t, b'a')
    equal(p.try_write(t, b'b', partition=1)[0], 'INVALID_TXN_STATE')
    p.end()


def first_sequence(kit, two):
    """The first batch of a producer that is not known here; a later one does not become it."""
    t = kit.create()
    p = Producer(kit, two=two)
    if two:
        equal(p.try_write(t, b'b', sequence=1)[0], 'OUT_OF_ORDER_SEQUENCE_NUMBER')
    else:
        equal(p.try_write(t, b'a')[0], 'INVALID_TXN_STATE')
        p.add((t, 0))
        equal(p.try_write(t, b'b', sequence=1)[0], 'OUT_OF_ORDER_SEQUENCE_NUMBER')
    p.write(t, b'a')
    p.end()


def sequences_between_transactions(kit, two):
    t = kit.create()
    p = Producer(kit, two=two)
    p.transaction(t, b'a', b'b')
    if not two:
        p.add((t, 0))
    equal(p.try_write(t, b'x', sequence=7)[0], 'OUT_OF_ORDER_SEQUENCE_NUMBER')
    p.write(t, b'c')
    equal(p.sequence[t, 0], 1 if two else 3)
    p.end()
    p.settled()
    equal(committed(kit, t), [b'a', b'b', b'c'])


def outside_of_the_transaction(kit):
    t = kit.create()
    p = Producer(kit)
    p.add((t, 0))
    p.write(t, b'a')
    equal(p.try_write(t, b'b', attributes=0)[0], 'INVALID_TXN_STATE', 'not transactional')
    p.end()


def another_id(kit):
    t = kit.create()
    p, q = Producer(kit, two=True), Producer(kit, two=True)
    equal(p.try_write(t, b'a', id=q.id)[0], 'INVALID_PRODUCER_ID_MAPPING')


def late_batch(kit):
    """TV2: a batch of the transaction before, sent again after its end, opens nothing."""
    t = kit.create()
    p = Producer(kit, two=True)
    old = p.epoch
    p.transaction(t, b'a', commit=False)
    equal(p.try_write(t, b'late', epoch=old, sequence=1)[0], 'INVALID_PRODUCER_EPOCH')
    equal(stable(kit, t), 2)
    equal(p.state(), 'CompleteAbort')


def ends_in_a_row(kit):
    """A client may give up its next transaction before the markers of the last one are written."""
    t = kit.create(partitions=20)
    p = Producer(kit, two=True)
    for partition in range(20):
        p.write(t, b'a', partition=partition)
    with kit.conn() as conn:
        for epoch, commit in ((p.epoch, True), (p.epoch + 1, False)):
            conn.send('end_txn', 5, {'transactional_id': p.id, 'producer_id': p.pid,
                                     'producer_epoch': epoch, 'committed': commit})
        equal(wire.err(conn.recv()['error_code']), 'NONE')
        second = wire.err(conn.recv()['error_code'])
    # Kafka does not wait for the markers.
    true(second == 'NONE' or not kit.ours and second in ('PRODUCER_FENCED',
                                                         'CONCURRENT_TRANSACTIONS'), second)
    p.settled()
    equal(committed(kit, t), [b'a'])


def unknown_partitions(kit):
    t = kit.create()
    p = Producer(kit)
    equal(p.try_add([(t, 0), (t, 5), ('no-such-topic', 0)]), {
        (t, 0): 'OPERATION_NOT_ATTEMPTED', (t, 5): 'UNKNOWN_TOPIC_OR_PARTITION',
        ('no-such-topic', 0): 'UNKNOWN_TOPIC_OR_PARTITION'})
    equal(p.state(), 'Empty')


def verify_only(kit):
    """Between brokers: versions 4 and 5, many transactions in one request."""
    t = kit.create(partitions=2)
    p, q = Producer(kit), Producer(kit)
    p.add((t, 0))
    for version in (4, 5):
        r = kit.call('add_partitions_to_txn', version, {'transactions': [
            {'transactional_id': x.id, 'producer_id': x.pid, 'producer_epoch': x.epoch + more,
             'verify_only': True, 'topics': [{'name': t, 'partitions': [0, 1]}]}
            for x, more in ((p, 0), (q, 1))]})
        got = {x['transactional_id']: [wire.err(e['partition_error_code'])
                                       for e in x['topic_results'][0]['results_by_partition']]
               for x in r['results_by_transaction']}
        equal(got[p.id], ['NONE', 'TRANSACTION_ABORTABLE'], 'version %d' % version)
        equal(sorted(set(got[q.id])), ['PRODUCER_FENCED'])
    p.end(False)


# ---- Markers

def markers_by_hand(kit):
    """KIP-664: an operator ends what hangs. With TV2 a marker needs a newer epoch (KIP-1228)."""
    t = kit.create()
    p = Producer(kit)
    p.add((t, 0))
    p.write(t, b'a')
    def mark(epoch, version=0, coordinator=7):
        r = kit.call('write_txn_markers', 2, {'markers': [
            {'producer_id': p.pid, 'producer_epoch': epoch, 'transaction_result': False,
             'coordinator_epoch': coordinator, 'transaction_version': version,
             'topics': [{'name': t, 'partition_indexes': [0]}]}]})
        return wire.err(r['markers'][0]['topics'][0]['partitions'][0]['error_code'])
    equal(mark(p.epoch, 2), 'INVALID_PRODUCER_EPOCH', 'the epoch of the transaction itself')
    equal(stable(kit, t), 0)
    equal(mark(p.epoch + 1, 2), 'NONE')
    equal(mark(p.epoch + 1, 2), 'NONE', 'the same marker again')
    equal(mark(p.epoch, 0), 'INVALID_PRODUCER_EPOCH', 'an older one')
    equal(mark(p.epoch + 1, 0, coordinator=3), 'TRANSACTION_COORDINATOR_FENCED')
    equal(stable(kit, t), 3)


def describe_producers(kit):
    t = kit.create()
    p = Producer(kit)
    kit.put(t, b'before')
    p.add((t, 0))
    p.write(t, b'a')
    def row():
        r = kit.call('describe_producers', 0, {'topics': [{'name': t, 'partition_indexes': [0]}]})
        x = r['topics'][0]['partitions'][0]['active_producers'][0]
        return (x['producer_id'], x['producer_epoch'], x['last_sequence'],
                x['current_txn_start_offset'], x['coordinator_epoch'] >= 0)
    equal(row(), (p.pid, p.epoch, 0, 1, False))
    p.end()
    p.settled()
    equal(row(), (p.pid, p.epoch, 0, -1, True))


# ---- Offsets

def offsets(kit, two):
    t, g = kit.create(), fresh('g')
    coordinator_of_group(kit, g)
    p = Producer(kit, two=two)
    p.commit_offset(g, t, 5)
    equal(offset_of(kit, g, t), (-1, 'NONE'), 'before the end')
    equal(offset_of(kit, g, t, True), (-1, 'UNSTABLE_OFFSET_COMMIT'))
    p.end()
    p.settled()
    kit.wait(lambda: offset_of(kit, g, t, True) == (5, 'NONE'), 'not committed')
    p.commit_offset(g, t, 9)
    p.end(commit=False)
    p.settled()
    kit.wait(lambda: offset_of(kit, g, t, True) == (5, 'NONE'), 'aborted, but counted')


def offsets_of_a_fenced_producer(kit, two):
    t, g = kit.create(), fresh('g')
    coordinator_of_group(kit, g)
    p = Producer(kit, two=two)
    p.commit_offset(g, t, 5)
    q = Producer(kit, id=p.id, two=two)
    equal(p.try_commit_offset(g, t, 6)[0], 'INVALID_PRODUCER_EPOCH')
    kit.wait(lambda: offset_of(kit, g, t, True) == (-1, 'NONE'), 'still pending')
    q.commit_offset(g, t, 7)
    q.end()
    kit.wait(lambda: offset_of(kit, g, t, True) == (7, 'NONE'), 'not committed')


def offsets_not_added(kit):
    t, g = kit.create(), fresh('g')
    coordinator_of_group(kit, g)
    p = Producer(kit)
    equal(p.try_commit_offset(g, t, 5)[0], 'INVALID_TXN_STATE')
    equal(p.try_commit_offset(g, t, 5, version=4)[0], 'TRANSACTION_ABORTABLE')
    equal(offset_of(kit, g, t, True), (-1, 'NONE'))


# ---- Lists

def listing(kit):
    t = kit.create()
    p, q = Producer(kit, id=fresh('list-a')), Producer(kit, id=fresh('list-b'))
    p.add((t, 0))
    q.transaction(t, b'x')
    def ids(version=2, **kw):
        body = dict({'state_filters': [], 'producer_id_filters': []}, **kw)
        r = kit.call('list_transactions', version, body)
        equal(wire.err(r['error_code']), 'NONE')
        return {x['transactional_id']: x['transaction_state'] for x in r['transaction_states']
                if x['transactional_id'] in (p.id, q.id)}, r['unknown_state_filters']
    equal(ids(0)[0], {p.id: 'Ongoing', q.id: 'CompleteCommit'})
    equal(ids(state_filters=['Ongoing'])[0], {p.id: 'Ongoing'})
    equal(ids(state_filters=['Nonsense']), ({}, ['Nonsense']))
    equal(ids(producer_id_filters=[q.pid])[0], {q.id: 'CompleteCommit'})
    equal(ids(duration_filter=3600000)[0], {})
    equal(ids(transactional_id_pattern='list-a.*')[0], {p.id: 'Ongoing'})
    equal(ids(transactional_id_pattern='list')[0], {}, 'the whole id is compared')
    r = kit.call('list_transactions', 2, {'state_filters': [], 'producer_id_filters': [],
                                          'transactional_id_pattern': '('})
    equal(r['error_code'], 128, 'INVALID_REGULAR_EXPRESSION')
    d = p.describe()
    equal((d['transaction_timeout_ms'], d['producer_id'], d['producer_epoch'],
           [(x['topic'], x['partitions']) for x in d['topics']]),
          (60000, p.pid, p.epoch, [(t, [0])]))
    true(abs(d['transaction_start_time_ms'] - time.time() * 1000) < 60000, 'start time')
    p.end(False)


def bad_requests(kit):
    for name, version, body, where in (
            ('end_txn', 3, {'transactional_id': '', 'producer_id': 1, 'producer_epoch': 0,
                            'committed': True}, 'INVALID_REQUEST'),
            ('end_txn', 3, {'transactional_id': fresh('none'), 'producer_id': 1,
                            'producer_epoch': 0, 'committed': True},
             'INVALID_PRODUCER_ID_MAPPING')):
        got, _ = patiently(lambda: (wire.err(kit.call(name, version, body)['error_code']), None))
        equal(got, where)
    r = kit.call('find_coordinator', 4, {'key_type': 7, 'coordinator_keys': ['x']})
    row = r['coordinators'][0] if r['coordinators'] else r
    equal(wire.err(row['error_code']), 'INVALID_REQUEST')


def topic_deleted(kit):
    """The rest of the transaction ends as it should."""
    t, u = kit.create(), kit.create()
    p = Producer(kit)
    p.add((t, 0), (u, 0))
    p.write(t, b'a')
    p.write(u, b'a')
    kit.call('delete_topics', 6, {'topics': [{'name': t}], 'timeout_ms': 5000})
    p.end()
    p.settled()
    equal(committed(kit, u), [b'a'])


def version_changes(kit):
    """transaction.version is changed while transactions are open; goes last."""
    t = kit.create()
    old, new = Producer(kit), Producer(kit, two=True)
    def change(level, kind):
        r = kit.call('update_features', 1, {'timeout_ms': 10000, 'validate_only': False,
                                            'feature_updates': [{
                                                'feature': 'transaction.version',
                                                'max_version_level': level,
                                                'upgrade_type': kind}]})
        equal(wire.err(r['error_code']), 'NONE', 'transaction.version=%d' % level)
    old.add((t, 0))
    old.write(t, b'old')
    new.write(t, b'new')
    change(1, 2)
    old.end()
    new.end()
    old.settled()
    new.settled()
    equal((old.epoch, new.epoch), (0, 1))
    for p in (old, new):
        p.transaction(t, b'between')
    # A transaction that is fenced by a server of version 1 is gone all the same.
    new.write(t, b'gone')
    Producer(kit, id=new.id)
    new.init()
    old.add((t, 0))
    old.write(t, b'last')
    change(2, 1)
    old.end()
    old.settled()
    new.transaction(t, b'two')
    equal(committed(kit, t), [b'old', b'new', b'between', b'between', b'last', b'two'])


def run(kit, attempt):
    for test in (commit_and_abort, undecided_is_not_read, aborted_lists, empty_transactions,
                 end_twice, fencing, timed_out, first_sequence, sequences_between_transactions,
                 offsets, offsets_of_a_fenced_producer):
        for two in (False, True):
            name = 'transactions/%s-tv%d' % (test.__name__.replace('_', '-'), 2 if two else 1)
            attempt(name, test, kit, two)
    for test in (init_again, timeouts_are_limited, two_phase_commit_refused,
                 not_in_the_transaction, only_added_partitions, outside_of_the_transaction,
                 another_id, late_batch, ends_in_a_row, unknown_partitions, verify_only, markers_by_hand,
                 describe_producers, offsets_not_added, listing, bad_requests, topic_deleted,
                 version_changes):
        attempt('transactions/' + test.__name__.replace('_', '-'), test, kit)
