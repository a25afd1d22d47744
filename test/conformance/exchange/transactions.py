"""Transactions across a change of brokers: what was committed, what was aborted, and one that is open meanwhile."""
from kit import equal
from transactional import Producer, committed, coordinator_of_group, offset_of, stable

TOPIC, GROUP = 'x-txn', 'x-txn-group'


class Transactions:
    def __init__(self, kit):
        kit.create(TOPIC, 2)
        coordinator_of_group(kit, GROUP)
        self.producers = {two: Producer(kit, id='x-tv%d' % (2 if two else 1), two=two)
                          for two in (False, True)}
        self.values, self.round = [], 0
        self.leave_open(kit)

    def one(self, kit, two, value, commit=True):
        p = self.producers[two]
        p.kit = kit
        p.transaction(TOPIC, value, commit=commit)
        if commit:
            self.values.append(value)

    def leave_open(self, kit):
        """Records and an offset that wait for the next broker."""
        self.open = Producer(kit, id='x-open', two=self.round % 2 == 1, timeout=900000)
        if not self.open.two:
            self.open.add((TOPIC, 0))
        # Not before these two, or their values are not stable.
        for two in (False, True):
            self.one(kit, two, b'%d %r' % (self.round, two))
            self.one(kit, two, b'gone', commit=False)
        self.open.write(TOPIC, b'open %d' % self.round)
        self.open.commit_offset(GROUP, TOPIC, 10 + self.round)

    def go_on(self, kit):
        self.open.kit = kit
        equal(offset_of(kit, GROUP, TOPIC, True)[1], 'UNSTABLE_OFFSET_COMMIT')
        self.open.write(TOPIC, b'more %d' % self.round)
        self.open.end(commit=self.round % 3 != 2)
        self.open.settled()
        if self.round % 3 != 2:
            self.values += [b'open %d' % self.round, b'more %d' % self.round]
            kit.wait(lambda: offset_of(kit, GROUP, TOPIC, True) == (10 + self.round, 'NONE'),
                     'the offset is not committed')
        end = kit.list_offset(TOPIC, -1)['offset']
        kit.wait(lambda: stable(kit, TOPIC) == end, 'the last stable offset is not the end')
        equal(committed(kit, TOPIC), self.values)
        # Who is fenced stays so.
        equal(Producer(kit, id='x-tv1').pid, self.producers[False].pid)
        equal(self.producers[False].try_end()[0], 'PRODUCER_FENCED')
        self.producers[False] = Producer(kit, id='x-tv1')
        self.round += 1
        self.leave_open(kit)

    def facts(self, kit, out):
        r = kit.call('list_transactions', 1, {'state_filters': [], 'producer_id_filters': []})
        rows = r['transaction_states']
        out['transactions'] = sorted((t['transactional_id'], t['producer_id'],
                                      t['transaction_state']) for t in rows)
        r = kit.call('describe_transactions', 0, {
            'transactional_ids': sorted(t['transactional_id'] for t in rows)})
        for t in r['transaction_states']:
            t['topics'] = sorted((x['topic'], sorted(x['partitions'])) for x in t['topics'])
            out['transaction ' + t['transactional_id']] = t
        r = kit.call('describe_producers', 0, {'topics': [{'name': TOPIC, 'partition_indexes': [0]}]})
        out['producers'] = sorted(
            (p['producer_id'], p['producer_epoch'], p['last_sequence'],
             p['current_txn_start_offset'], p['coordinator_epoch'])
            for p in r['topics'][0]['partitions'][0]['active_producers'])
        out['stable'] = stable(kit, TOPIC)
        out['aborted'] = sorted(
            (a['producer_id'], a['first_offset'])
            for a in kit.fetch(TOPIC, 0, isolation=1, part_bytes=1 << 24)['aborted_transactions'])
        out['committed'] = committed(kit, TOPIC)
        out['pending'] = offset_of(kit, GROUP, TOPIC, True)
