"""A transactional producer by hand, and what readers of committed records and offsets get. Producers outlive their broker:
set `kit` to the next one's."""
import time

import wire
from kit import equal, fresh, true

TRANSACTIONAL = 16


def patiently(ask, *passing):
    """Asks again while the answer is only a matter of time."""
    end = time.monotonic() + 20
    while True:
        name, answer = ask()
        if name not in passing + ('COORDINATOR_LOAD_IN_PROGRESS', 'NOT_COORDINATOR',
                                  'COORDINATOR_NOT_AVAILABLE') or time.monotonic() > end:
            return name, answer
        time.sleep(0.02)


class Producer:
    """A transactional producer by hand. two: it speaks TV2."""

    def __init__(self, kit, id=None, two=False, timeout=60000, init=True):
        self.kit, self.id, self.two, self.timeout = kit, id or fresh('txn'), two, timeout
        self.pid, self.epoch, self.sequence = -1, -1, {}
        end = time.monotonic() + 20
        while True:
            r = kit.call('find_coordinator', 4, {'key_type': 1, 'coordinator_keys': [self.id]})
            if r['coordinators'][0]['error_code'] == 0:
                break
            true(time.monotonic() < end, 'no coordinator: %r' % r)
            time.sleep(0.1)
        if init:
            self.init()

    def try_init(self, pid=-1, epoch=-1, version=5, timeout=None):
        body = {'transactional_id': self.id, 'transaction_timeout_ms': timeout or self.timeout}
        if version >= 3:
            body.update(producer_id=pid, producer_epoch=epoch)
        r = self.kit.call('init_producer_id', version, body)
        return wire.err(r['error_code']), r

    def init(self, **kw):
        name, r = patiently(lambda: self.try_init(**kw), 'CONCURRENT_TRANSACTIONS')
        equal(name, 'NONE', 'InitProducerId')
        self.pid, self.epoch, self.sequence = r['producer_id'], r['producer_epoch'], {}
        return self

    def try_add(self, parts, version=3, epoch=None, pid=None):
        topics = {}
        for t, p in parts:
            topics.setdefault(t, []).append(p)
        r = self.kit.call('add_partitions_to_txn', version, {
            'transactional_id': self.id, 'producer_id': self.pid if pid is None else pid,
            'producer_epoch': self.epoch if epoch is None else epoch,
            'topics': [{'name': t, 'partitions': p} for t, p in topics.items()]})
        return {(t['name'], p['partition_index']): wire.err(p['partition_error_code'])
                for t in r['results_by_topic'] for p in t['results_by_partition']}

    def add(self, *parts):
        def ask():
            r = self.try_add(parts)
            return r[parts[0]], r
        name, r = patiently(ask, 'CONCURRENT_TRANSACTIONS')
        equal(r, {part: 'NONE' for part in parts}, 'AddPartitionsToTxn')

    def try_write(self, topic, *values, partition=0, version=None, epoch=None, sequence=None,
                  attributes=TRANSACTIONAL, id=None):
        version = version or (12 if self.two else 9)
        at = self.sequence.get((topic, partition), 0) if sequence is None else sequence
        b = wire.batch(list(values), pid=self.pid, sequence=at, attributes=attributes,
                       pid_epoch=self.epoch if epoch is None else epoch,
                       timestamp=int(time.time() * 1000))
        r = self.kit.call('produce', version, self.kit.produce_body(
            [(topic, partition, b)], version=version, txn=id or self.id))
        p = r['responses'][0]['partition_responses'][0]
        return wire.err(p['error_code']), p

    def write(self, topic, *values, partition=0):
        name, p = patiently(lambda: self.try_write(topic, *values, partition=partition),
                            'NOT_ENOUGH_REPLICAS', 'CONCURRENT_TRANSACTIONS')
        equal(name, 'NONE', 'Produce')
        self.sequence[topic, partition] = self.sequence.get((topic, partition), 0) + len(values)
        return p['base_offset']

    def try_end(self, commit=True, version=None, epoch=None, pid=None):
        r = self.kit.call('end_txn', version or (5 if self.two else 3), {
            'transactional_id': self.id, 'producer_id': self.pid if pid is None else pid,
            'producer_epoch': self.epoch if epoch is None else epoch, 'committed': commit})
        return wire.err(r['error_code']), r

    def end(self, commit=True):
        name, r = patiently(lambda: self.try_end(commit), 'CONCURRENT_TRANSACTIONS')
        equal(name, 'NONE', 'EndTxn')
        if self.two:
            self.pid, self.epoch, self.sequence = r['producer_id'], r['producer_epoch'], {}

    def transaction(self, topic, *values, commit=True):
        if not self.two:
            self.add((topic, 0))
        self.write(topic, *values)
        self.end(commit)
        self.settled()

    def describe(self):
        r = self.kit.call('describe_transactions', 0, {'transactional_ids': [self.id]})
        return r['transaction_states'][0]

    def state(self):
        return self.describe()['transaction_state']

    def settled(self):
        self.kit.wait(lambda: self.state().startswith(('Complete', 'Empty')),
                      'the transaction does not end: ' + self.state())

    # ---- offsets in a transaction

    def try_commit_offset(self, group, topic, offset, version=None, **kw):
        body = {'transactional_id': self.id, 'group_id': group, 'producer_id': self.pid,
                'producer_epoch': self.epoch, 'topics': [{'name': topic, 'partitions': [
                    {'partition_index': 0, 'committed_offset': offset,
                     'committed_metadata': ''}]}]}
        body.update(kw)
        version = version or (5 if self.two else 3)
        if version >= 3:
            body.setdefault('member_id', '')
        r = self.kit.call('txn_offset_commit', version, body)
        return wire.err(r['topics'][0]['partitions'][0]['error_code']), r

    def commit_offset(self, group, topic, offset):
        if not self.two:
            def add():
                r = self.kit.call('add_offsets_to_txn', 3, {
                    'transactional_id': self.id, 'producer_id': self.pid,
                    'producer_epoch': self.epoch, 'group_id': group})
                return wire.err(r['error_code']), r
            equal(patiently(add, 'CONCURRENT_TRANSACTIONS')[0], 'NONE', 'AddOffsetsToTxn')
        name, _ = patiently(lambda: self.try_commit_offset(group, topic, offset),
                            'CONCURRENT_TRANSACTIONS')
        equal(name, 'NONE', 'TxnOffsetCommit')


def committed(kit, topic, offset=0):
    """Values that a reader of committed records gets, by the list of aborted transactions."""
    gone, out = set(), []
    while True:  # a segment at a time
        p = kit.fetch(topic, offset, isolation=1, part_bytes=1 << 24)
        rows = p['aborted_transactions'] or []
        aborted = sorted((a['first_offset'], a['producer_id']) for a in rows)
        got = wire.batches(p['records'] or b'')
        if not got:
            return out
        for b in got:
            while aborted and aborted[0][0] <= b.last_offset:
                gone.add(aborted.pop(0)[1])
            if b.is_control:
                if b.records()[0]['key'][3] == 0:
                    gone.discard(b.pid)
            elif not (b.attributes & TRANSACTIONAL and b.pid in gone):
                out += [r['value'] for r in b.records()]
        offset = got[-1].last_offset + 1


def stable(kit, topic):
    return kit.list_offset(topic, -1, isolation=1)['offset']


def offset_of(kit, group, topic, stable_only=False):
    def ask():
        r = kit.call('offset_fetch', 8, {'require_stable': stable_only, 'groups': [
            {'group_id': group, 'topics': [{'name': topic, 'partition_indexes': [0]}]}]})
        g = r['groups'][0]
        return wire.err(g['error_code']), g
    name, g = patiently(ask)
    equal(name, 'NONE', 'OffsetFetch')
    p = g['topics'][0]['partitions'][0]
    return p['committed_offset'], wire.err(p['error_code'])


def coordinator_of_group(kit, group):
    def ask():
        r = kit.call('find_coordinator', 4, {'key_type': 0, 'coordinator_keys': [group]})
        return wire.err(r['coordinators'][0]['error_code']), r
    equal(patiently(ask)[0], 'NONE', 'FindCoordinator')
