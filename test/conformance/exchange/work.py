"""What the exchange does to a broker, and what it reads back from it."""
import shutil
import subprocess
import time

import broker as brokers
import wire
from kit import Kit, equal, error_is
from main import Failed
from transactions import Transactions

CODECS = ('none', 'gzip', 'snappy', 'lz4', 'zstd')


RETRIABLE = ('UNKNOWN_TOPIC_OR_PARTITION', 'NOT_LEADER_OR_FOLLOWER', 'COORDINATOR_LOAD_IN_PROGRESS',
             'LEADER_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE', 'NOT_COORDINATOR')


def patient(call, seconds=20):
    """Retries as clients do: Apache's metadata reaches its parts a little later."""
    end = time.time() + seconds
    while True:
        r = call()
        if wire.err(r['error_code']) not in RETRIABLE or time.time() > end:
            error_is(r['error_code'], 'NONE')
            return r
        time.sleep(0.05)


class Producer:
    """An idempotent producer that outlives its broker."""

    def __init__(self, kit, topic):
        self.topic = topic
        r = patient(lambda: kit.call('init_producer_id', 4, {
            'transactional_id': None, 'transaction_timeout_ms': 60000}))
        self.pid, self.epoch = r['producer_id'], r['producer_epoch']
        self.sequence = 0
        self.last = None  # (batch, offset) of the newest acknowledged batch

    def send(self, kit, *values):
        # A producer whose last batch is a day old is forgotten: the time must be now.
        data = wire.batch(list(values), pid=self.pid, pid_epoch=self.epoch, sequence=self.sequence,
                          timestamp=int(time.time() * 1000))
        r = patient(lambda: kit.produce(self.topic, data))
        self.sequence += len(values)
        self.last = (data, r['base_offset'])

    def retry(self, kit):
        """The newest batch again: the same offset, and nothing new in the log."""
        end = kit.list_offset(self.topic, -1)['offset']
        r = patient(lambda: kit.produce(self.topic, self.last[0]))
        equal(r['base_offset'], self.last[1], 'offset of a retried batch')
        equal(kit.list_offset(self.topic, -1)['offset'], end, 'end offset after a retried batch')


class Member:
    """A member of a consumer group (KIP-848) that does not notice who serves it."""

    GROUP = 'x-848'

    def __init__(self, kit, topic):
        self.topic, self.owned = topic, []
        self.id, self.epoch = brokers.new_uuid(), 0
        r = self.heartbeat(kit, rebalance_timeout_ms=300000, subscribed_topic_names=[topic],
                           topic_partitions=[])
        end = time.time() + 20
        while not (r['assignment'] and r['assignment']['topic_partitions']):
            if time.time() > end:
                raise Failed('no assignment')
            time.sleep(0.1)
            r = self.heartbeat(kit)
        self.owned = r['assignment']['topic_partitions']
        self.heartbeat(kit, topic_partitions=self.owned)

    def heartbeat(self, kit, **more):
        r = patient(lambda: kit.call('consumer_group_heartbeat', 1, dict(
            more, group_id=self.GROUP, member_id=self.id, member_epoch=self.epoch)))
        self.epoch = r['member_epoch']
        return r

    def go_on(self, kit, world):
        """Its epoch and what it owns still count; and it commits."""
        epoch = self.epoch
        self.heartbeat(kit, topic_partitions=self.owned)
        equal(self.epoch, epoch, 'epoch of the member')
        end = kit.list_offset(self.topic, -1)['offset']
        world.commit(self.GROUP, (self.topic, 0, end, 'by a member'), member=self)


class World:
    """One cluster, whoever runs it."""

    def __init__(self, broker):
        self.broker = broker
        self.round = 0
        self.producer = None
        self.pids = set()
        self.kit = None
        self.member = None
        self.transactions = None
        self.consumed = set()  # (partition, offset) that the group x-kcat has read and committed

    def connect(self, seconds=40):
        """Waits until every partition has a leader: after a kill, Apache first waits out its old session."""
        self.kit = Kit(None, self.broker)
        end = time.time() + seconds
        while time.time() < end:
            try:
                r = self.kit.call('metadata', 12, {'topics': None})
                if r['brokers'] and all(p['leader_id'] >= 0 for t in r['topics']
                                        for p in t['partitions']):
                    return
            except (OSError, wire.Closed):
                pass
            time.sleep(0.1)
        raise Failed('not every partition has a leader: %r' % r['topics'])

    def new_pid(self):
        producer = Producer(self.kit, 'x-idempotent')
        if producer.pid in self.pids:
            raise Failed('producer id %d was given out twice' % producer.pid)
        self.pids.add(producer.pid)
        return producer

    # ---- the first deeds

    def begin(self):
        k = self.kit
        k.create('x-plain', 3, {'retention.ms': '86400000', 'segment.bytes': '1048576'})
        k.create('x-idempotent', 1)
        k.create('x-codecs', 1, {'cleanup.policy': 'delete', 'max.message.bytes': '2000000'})
        k.create('x-empty', 2)
        k.create('x-gone', 1)
        for partition in range(3):
            for n in range(5):
                self.put('x-plain', (b'k%d' % n, b'v' * 100), {'value': b'h', 'headers': [('a', b'1')]},
                         None, partition=partition)
        for codec in CODECS:
            if codec == 'none' or self.takes(codec):
                self.put('x-codecs', b'one', b'two', b'three' * 50, codec=codec)
        self.put('x-gone', b'gone')
        patient(lambda: k.delete_records('x-plain', 4, 1))
        self.delete('x-gone')
        self.producer = self.new_pid()
        for n in range(7):
            self.producer.send(k, b'a%d' % n, b'b%d' % n)
        self.alter(2, 'x-plain', ('set', 'retention.ms', '7200000'))
        self.alter(4, '', ('set', 'log.retention.ms', '604800001'))
        self.alter(4, str(self.broker.node_id), ('set', 'log.cleaner.threads', '2'))
        r = k.call('alter_client_quotas', 1, {'entries': [{
            'entity': [{'entity_type': 'client-id', 'entity_name': 'c'}],
            'ops': [{'key': 'producer_byte_rate', 'value': 1e6, 'remove': False}]}],
            'validate_only': False})
        error_is(r['entries'][0]['error_code'], 'NONE')
        self.coordinator('x-group')
        self.commit('x-group', *(('x-plain', p, 3 + p, 'm%d' % p) for p in range(3)))
        self.consume()
        self.coordinator(Member.GROUP)
        self.member = Member(k, 'x-idempotent')
        self.member.go_on(k, self)
        self.transactions = Transactions(k)

    def coordinator(self, group):
        """Creates __consumer_offsets at the first call; then waits until its partitions lead."""
        def call():
            return self.kit.call('find_coordinator', 4, {'key_type': 0, 'coordinator_keys': [group]}
                                 )['coordinators'][0]
        patient(call)

    def put(self, topic, *values, partition=0, **kw):
        data = wire.batch(list(values), timestamp=int(time.time() * 1000), **kw)
        patient(lambda: self.kit.produce(topic, data, partition))

    def takes(self, codec):
        """wire.py makes each codec's simplest form; all of them are valid Kafka."""
        return codec in wire.CODECS

    def delete(self, name):
        r = self.kit.call('delete_topics', 6, {'topics': [{'name': name, 'topic_id': bytes(16)}],
                                               'timeout_ms': 10000})
        error_is(r['responses'][0]['error_code'], 'NONE')

    def alter(self, kind, name, *changes):
        r = self.kit.alter(kind, name, *changes)
        if r['error_code']:
            raise Failed('%s: %s' % (wire.err(r['error_code']), r['error_message']))

    # ---- groups

    def commit(self, group, *offsets, member=None):
        """(topic, partition, offset, metadata); without a member as a simple consumer does it."""
        rows = {}
        for topic, partition, offset, metadata in offsets:
            rows.setdefault(topic, []).append({
                'partition_index': partition, 'committed_offset': offset,
                'committed_leader_epoch': -1, 'committed_metadata': metadata})
        body = {'group_id': group, 'member_id': member.id if member else '',
                'generation_id_or_member_epoch': member.epoch if member else -1,
                'topics': [{'name': t, 'partitions': p} for t, p in rows.items()]}

        def call():
            r = self.kit.call('offset_commit', 9, body)
            codes = [p['error_code'] for t in r['topics'] for p in t['partitions']]
            return {'error_code': next((c for c in codes if c), 0)}
        patient(call)

    def consume(self):
        """A member reads what it has not read yet: nothing twice, nothing left out."""
        if not shutil.which('kcat'):
            return
        done = subprocess.run(
            ['kcat', '-b', self.broker.bootstrap, '-G', 'x-kcat', 'x-plain', '-q', '-e', '-f',
             '%p %o\\n', '-X', 'auto.offset.reset=earliest'],
            capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, check=False)
        equal(done.returncode, 0, 'exit code of kcat: ' + done.stderr[-300:])
        got = [tuple(map(int, l.split())) for l in done.stdout.splitlines()]
        equal(len(set(got)), len(got), 'records read')
        equal(sorted(set(got) & self.consumed), [], 'records read again')
        self.consumed |= set(got)
        ends = {p: self.kit.list_offset('x-plain', -1, p)['offset'] for p in range(3)}
        for p, end in ends.items():
            read = [o for q, o in self.consumed if q == p]
            equal(max(read) + 1, end, 'last record read of x-plain-%d' % p)

    def group_facts(self, out):
        groups = self.kit.call('list_groups', 5, {})['groups']
        out['groups'] = sorted((g['group_id'], g['group_state'], g['group_type'],
                                g['protocol_type']) for g in groups)
        for g in groups:
            r = self.kit.call('offset_fetch', 8, {'groups': [{'group_id': g['group_id'],
                                                              'topics': None}]})['groups'][0]
            error_is(r['error_code'], 'NONE')
            out['offsets of ' + g['group_id']] = sorted(
                (t['name'], p['partition_index'], p['committed_offset'], p['metadata'])
                for t in r['topics'] for p in t['partitions'])
        g = self.kit.call('consumer_group_describe', 1, {'group_ids': [Member.GROUP]})['groups'][0]
        error_is(g['error_code'], 'NONE')
        for m in g['members']:
            m.pop('client_host')
        out[Member.GROUP] = g

    # ---- deeds after every switch

    def go_on(self):
        """A duplicate across the switch, then new things of every kind."""
        k = self.kit
        self.round += 1
        self.producer.retry(k)
        self.producer.send(k, b'after switch %d' % self.round)
        self.producer.retry(k)
        self.new_pid()  # an id that nobody had
        self.producer = self.new_pid()
        self.producer.send(k, b'new producer', b'of round %d' % self.round)
        for partition in range(3):
            self.put('x-plain', (b'round', b'%d' % self.round), partition=partition)
        name = 'x-round-%d' % self.round
        k.create(name, 2, {'retention.bytes': str(1 << 20)})
        self.put(name, b'first', partition=1)
        self.alter(2, 'x-plain', ('set', 'retention.ms', str(7200000 + self.round)))
        patient(lambda: k.delete_records('x-plain', 4 + self.round, 1))
        r = k.call('create_partitions', 3, {'topics': [{'name': 'x-empty', 'count': 2 + self.round,
                                                        'assignments': None}],
                                            'timeout_ms': 5000, 'validate_only': False})
        error_is(r['results'][0]['error_code'], 'NONE')
        if self.round > 1:
            self.delete('x-round-%d' % (self.round - 1))
        self.commit('x-group', ('x-plain', self.round % 3, 5 + self.round, 'round %d' % self.round))
        self.consume()
        self.member.go_on(k, self)
        self.transactions.go_on(k)

    def grow(self, megabytes):
        """Fills the metadata log, so that it rolls and snapshots take the place of its beginning."""
        for n in range(megabytes * 32):
            value = ','.join('%d:%d' % (n, i) for i in range(3500))
            self.alter(2, 'x-empty', ('set', 'leader.replication.throttled.replicas', value))

    # ---- what is there

    def facts(self):
        """Everything that must be the same whoever runs the directory, as {name: value}."""
        k = self.kit
        m = k.call('metadata', 12, {'topics': None})
        out = {'cluster id': k.call('describe_cluster', 0, {})['cluster_id']}
        v = k.call('api_versions', 3, {'client_software_name': 'x', 'client_software_version': '1'})
        out['features'] = sorted((f['name'], f['max_version_level']) for f in v['finalized_features']
                                 if f['max_version_level'])
        for t in sorted(m['topics'], key=lambda t: t['name']):
            name = t['name']
            out['%s id' % name] = t['topic_id'].hex()
            out['%s partitions' % name] = sorted(
                (p['partition_index'], p['leader_id'], tuple(p['replica_nodes']),
                 tuple(p['isr_nodes'])) for p in t['partitions'])
            configs = k.configs(2, name, synonyms=False)
            out['%s configs' % name] = sorted((c, v['value']) for c, v in configs.items()
                                              if v['config_source'] == 1)
            for p in t['partitions'] if not t['is_internal'] else ():
                self.partition_facts(name, p['partition_index'], out)
        for kind, name in ((4, ''), (4, str(self.broker.node_id))):
            configs = k.configs(kind, name, synonyms=False)
            out['broker %r configs' % name] = sorted(
                (c, v['value']) for c, v in configs.items() if v['config_source'] in (2, 3))
        self.group_facts(out)
        self.transactions.facts(k, out)
        q = k.call('describe_client_quotas', 1, {'components': [], 'strict': False})
        out['quotas'] = sorted((tuple((e['entity_type'], e['entity_name']) for e in r['entity']),
                                tuple((x['key'], x['value']) for x in r['values']))
                               for r in q['entries'])
        return out

    def settled_facts(self):
        """Apache answers from metadata that lags a little behind what it has acknowledged."""
        if self.broker.kind == 'taccola':
            return self.facts()
        facts, end = None, time.time() + 20
        while True:
            try:
                again = self.facts()
                if again == facts:
                    return facts
                facts = again
            except Failed:
                if time.time() > end:
                    raise
            time.sleep(0.5)

    def partition_facts(self, topic, partition, out):
        k, name = self.kit, '%s-%d' % (topic, partition)
        start = k.list_offset(topic, -2, partition)['offset']
        end = k.list_offset(topic, -1, partition)['offset']
        batches = []
        for b in k.read(topic, partition, start):
            if not b.crc_ok():
                raise Failed('%s: a batch with a wrong CRC at %d' % (name, b.base_offset))
            batches.append((b.base_offset, b.last_offset, b.crc, b.pid, b.pid_epoch, b.sequence))
        out['%s offsets' % name] = (start, end)
        out['%s batches' % name] = batches

    def compare(self, before, killed_apache):
        after = self.settled_facts()
        if killed_apache:
            # Apache writes what DeleteRecords did every 60 s only: the log may begin earlier again.
            for name in [n for n in before if n.endswith(' offsets') and n in after]:
                start, topic = before[name][0], name[:-len(' offsets')]
                after[name] = (max(after[name][0], start), after[name][1])
                after[topic + ' batches'] = [b for b in after[topic + ' batches'] if b[1] >= start]
        for name in sorted(set(before) | set(after)):
            equal(after.get(name), before.get(name), name)
