"""Sequences of transactions: what a transactional producer does in its order, and in every other order.

Ids and epochs come from the answers (of InitProducerId, and of EndTxn v5, which hands out the next epoch); a sequence now and then keeps
an old one. Both versions of the protocol: with transactions of version 2 (Produce v12, TxnOffsetCommit v5, EndTxn v5) a partition
joins by being written to.
"""
import wire
from sequence import CODECS, FIXED, some_records


class Transactional:
    def __init__(self, w):
        self.name = 'P-tx%d' % len(w.transactions)
        self.pid, self.epoch = 'pid of ' + self.name, 'epoch of ' + self.name
        self.next, self.modern = {}, w.chance(0.5)

    def who(self, w, fenced=0.06):
        """Producer id and epoch: the last ones that were given, or wrong ones."""
        epoch = {'$': self.epoch, 'or': 0}
        if w.chance(fenced):
            epoch = dict(epoch, plus=w.pick([-1, 1]))
        return {'$': self.pid, 'or': 5555} if w.chance(0.98) else w.pick([-1, 999999]), epoch


def producer_of(w, fresh=0.1):
    if not w.transactions or (len(w.transactions) < 3 and w.chance(fresh)):
        w.transactions.append(Transactional(w))
        init(w, w.transactions[-1])
    return w.pick(w.transactions)


def init(w, t=None):
    t = t or producer_of(w, 0)
    body = {'transactional_id': t.name, 'transaction_timeout_ms': w.pick([60000, 60000, 60000, 0, -1, 900001]) if w.chance(0.2) else 60000}
    version = w.rng.randint(0, 5)
    if version >= 3 and w.chance(0.3):
        pid, epoch = t.who(w, 0.3)
        body.update(producer_id=pid, producer_epoch=epoch if pid != -1 else -1)
    w.call('init_producer_id', body, version, keep={t.pid: 'producer_id', t.epoch: 'producer_epoch'})
    t.next = {}
    if w.chance(0.3):
        t.modern = not t.modern


def add_partitions(w):
    t = producer_of(w)
    pid, epoch = t.who(w)
    version = w.rng.randint(0, 3) if w.chance(0.85) else w.rng.randint(4, 5)
    topics = {}
    for _ in range(w.pick([1, 1, 2])):
        topic = w.topic()
        topics.setdefault(topic, set()).add(w.partition(topic))
    rows = [{'name': n, 'partitions': sorted(p)} for n, p in topics.items()]
    if version < 4:
        body = {'transactional_id': t.name, 'producer_id': pid, 'producer_epoch': epoch, 'topics': rows}
    else:
        body = {'transactions': [{'transactional_id': t.name, 'producer_id': pid, 'producer_epoch': epoch,
                                  'verify_only': w.chance(0.5), 'topics': rows}]}
    w.call('add_partitions_to_txn', body, version)


def write(w, t=None, topic=None, partition=None, join=None):
    t = t or producer_of(w)
    pid, epoch = t.who(w)
    topic = topic or w.topic(0.02)
    partition = w.partition(topic) if partition is None else partition
    sequence, records = t.next.get((topic, partition), 0), some_records(w)
    if w.chance(0.12):
        sequence = max(0, sequence + w.pick([-1, -2, 1, 5]))
    elif w.chance(0.97):
        t.next[topic, partition] = sequence + len(records)
    version = w.rng.randint(12, wire.APIS['produce'].versions.high) if t.modern else w.rng.randint(3, 11)
    if w.chance(0.05):
        version = w.version('produce')
    b = {'records': records, 'codec': w.pick(CODECS), 'timestamp': FIXED, 'pid': pid, 'pid_epoch': epoch, 'sequence': sequence,
         'attributes': 16 if w.chance(0.97) else 0}
    w.call('produce', {'acks': -1 if w.chance(0.97) else 1, 'timeout_ms': 5000,
                       'transactional_id': t.name if w.chance(0.97) else w.pick([None, 'P-other']), 'topic_data': [
                           dict(w.where(topic, version >= 13), partition_data=[{'index': partition, 'records': {'$batch': [b]}}])]}, version)
    if topic in w.topics:
        ends = w.topics[topic]['ends']
        ends[partition] = ends.get(partition, 0) + len(records)


def add_offsets(w, t=None, group=None):
    t = t or producer_of(w)
    pid, epoch = t.who(w)
    w.call('add_offsets_to_txn', {'transactional_id': t.name, 'producer_id': pid, 'producer_epoch': epoch,
                                  'group_id': group or w.pick(['P-simple', 'P-simple', 'P-g0', ''])})


def commit_offsets(w, t=None, group=None):
    t = t or producer_of(w)
    pid, epoch = t.who(w)
    last = 5  # version 6 names topics by id
    version = w.rng.randint(5, last) if t.modern else w.rng.randint(0, 4)
    group = group or w.pick(['P-simple', 'P-simple', 'P-g0', ''])
    body = {'transactional_id': t.name, 'group_id': group, 'producer_id': pid, 'producer_epoch': epoch, 'topics': [
        {'name': w.topic(), 'partitions': [{'partition_index': 0, 'committed_offset': w.rng.randrange(50), 'committed_leader_epoch': -1,
                                            'committed_metadata': w.pick(['', 'tx', None])}]}]}
    if version >= 3 and w.chance(0.15):
        body.update(generation_id_or_member_epoch=w.pick([1, 0, -1]), member_id=w.pick(['', 'nobody']))
    w.call('txn_offset_commit', body, version)


def end(w, t=None):
    t = t or producer_of(w)
    pid, epoch = t.who(w)
    version = w.rng.randint(5, 5) if t.modern else w.rng.randint(0, 4)
    w.call('end_txn', {'transactional_id': t.name, 'producer_id': pid, 'producer_epoch': epoch, 'committed': w.chance(0.65)}, version,
           keep={t.pid: 'producer_id', t.epoch: 'producer_epoch'} if version == 5 else {})
    if version == 5:
        t.next = {}


def whole(w):
    """A transaction as a good producer makes it."""
    t = producer_of(w)
    topics = sorted({w.topic(0) for _ in range(w.pick([1, 2]))})
    if not t.modern:
        pid, epoch = t.who(w, 0)
        w.call('add_partitions_to_txn', {'transactional_id': t.name, 'producer_id': pid, 'producer_epoch': epoch, 'topics': [
            {'name': n, 'partitions': [0]} for n in topics]}, w.rng.randint(0, 3))
    for topic in topics:
        for _ in range(w.pick([1, 2])):
            write(w, t, topic, 0)
    if w.chance(0.4):
        if not t.modern:
            add_offsets(w, t, 'P-simple')
        commit_offsets(w, t, 'P-simple')
        w.call('offset_fetch', {'group_id': 'P-simple', 'topics': None, 'require_stable': w.chance(0.3)}, 7)
    if w.chance(0.3):
        read(w)
    end(w, t)


def read(w):
    topic = w.topic(0)
    version = w.version('fetch')
    body = {'max_wait_ms': 0, 'min_bytes': 1, 'max_bytes': 1 << 25, 'isolation_level': w.pick([1, 1, 1, 0]), 'topics': [
        dict(w.where(topic, version >= 13, 'topic'), partitions=[
            {'partition': 0, 'fetch_offset': w.pick([0, 0, w.end(topic, 0) // 2]), 'partition_max_bytes': 1 << 20}])]}
    if version >= 7:
        body.update(session_id=0, session_epoch=-1)
    w.call('fetch', body, version)


def stable_end(w):
    w.call('list_offsets', {'replica_id': -1, 'isolation_level': w.pick([0, 1, 1]), 'topics': [
        {'name': w.topic(0), 'partitions': [{'partition_index': 0, 'timestamp': w.pick([-1, -1, -2, -3])}]}]}, w.rng.randint(7, 10))


def look(w):
    names = [t.name for t in w.transactions] + ['P-none', '']
    kind = w.rng.randrange(4)
    if kind == 0:
        w.call('list_transactions', {'state_filters': w.pick([[], [], ['Ongoing'], ['Empty', 'CompleteCommit'], ['Nonsense', 'Ongoing'], ['ongoing']]),
                                     'producer_id_filters': []}, w.rng.randint(0, 1))
    elif kind == 1:
        w.call('describe_producers', {'topics': [{'name': w.topic(0.05), 'partition_indexes': [0]}]})
    elif kind == 2:
        w.call('find_coordinator', {'key_type': 1, 'coordinator_keys': [w.pick(names)]}, 4)
    else:
        w.call('describe_transactions', {'transactional_ids': sorted({w.pick(names), w.pick(names)})})


TRANSACTIONS = [(whole, 5), (init, 1), (add_partitions, 2), (write, 3), (add_offsets, 1), (commit_offsets, 1.5), (end, 2.5), (read, 3),
                (stable_end, 1.5), (look, 3)]
