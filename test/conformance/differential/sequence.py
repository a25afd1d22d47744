"""Random sequences of requests, from a seed: topics, records, offsets, configs, quotas. groups.py and transactions.py have the rest.

The generator knows only roughly what a broker's state will be (it never sees an answer): enough that most requests mean something, and
some nothing. What it decides depends on the seed alone, so that every broker gets the same sequence.
"""
import random

import wire

FIXED = 1700000000000  # the time of the records
CODECS = ['none', 'none', 'gzip', 'snappy-xerial', 'lz4', 'zstd']
TOPIC_CONFIGS = [('retention.ms', ['-1', '777777', 'soon', '-2', '']), ('max.message.bytes', ['300', '1000000', '-1', '2.5']),
                 ('cleanup.policy', ['delete', 'compact', 'compact,delete', 'delete,delete', 'shred', '']),
                 ('message.timestamp.type', ['LogAppendTime', 'CreateTime', 'Never']),
                 ('message.timestamp.before.max.ms', ['9223372036854775807', '1000', '-1']),
                 ('min.insync.replicas', ['1', '2', '0']), ('compression.type', ['producer', 'gzip', 'none', 'rar']),
                 ('segment.bytes', ['1048576', '1', '2097152']), ('no.such.config', ['1']), ('unclean.leader.election.enable', ['true', 'maybe']),
                 ('compression.gzip.level', ['5', '77']), ('local.retention.ms', ['-2', '9']), ('remote.storage.enable', ['false', 'yes'])]


class World:
    """What the generator believes, and the steps so far."""

    def __init__(self, seed, focus):
        self.rng, self.focus, self.steps = random.Random(seed), focus, []
        self.topics = {}  # name -> {'parts': n, 'ends': {partition: about how many records}}
        self.gone, self.producers, self.sessions = [], [], 0
        self.assignor = self.pick(['range', 'uniform'])
        self.groups, self.consumers, self.transactions, self.committed = {}, {}, [], set()

    def pick(self, items):
        return self.rng.choice(list(items))

    def chance(self, p):
        return self.rng.random() < p

    def version(self, api):
        v = wire.APIS[api].versions
        return self.rng.randint(v.low, v.high)

    def call(self, api, body, version=None, **more):
        self.steps.append(dict(more, api=api, version=self.version(api) if version is None else version, body=body))

    # ---- names

    def topic(self, wrong=0.06):
        """A topic that should be there, or now and then one that should not."""
        if self.chance(wrong) or not self.topics:
            return self.pick(self.gone + ['P-nope'])
        return self.pick(self.topics)

    def partition(self, topic):
        if self.chance(0.04):
            return self.pick([7, -1, 1000000])
        return self.rng.randrange(self.topics[topic]['parts']) if topic in self.topics else 0

    def end(self, topic, partition):
        return self.topics[topic]['ends'].get(partition, 0) if topic in self.topics else 0

    def where(self, topic, by_id, key='name'):
        if not by_id:
            return {key: topic}
        return {'topic_id': {'$id': topic, 'old': self.chance(0.1)}}


# ---------------------------------------------------------------- topics

def configs(w):
    rows = []
    for key, values in w.rng.sample(TOPIC_CONFIGS, w.pick([0, 0, 1, 1, 2])):
        good = w.chance(0.75)
        rows.append({'name': key, 'value': values[0] if good else w.pick(values + [None])})
    return rows


def create_topics(w, plain=False):
    rows = []
    for _ in range(1 if plain else w.pick([1, 1, 1, 2, 3])):
        name = 'P-t%d' % len(w.topics) if plain or w.chance(0.75) else w.pick(
            ['P-t0', 'P-t1', 'P-a.b', 'P-a_b', '', '.', 'P-a b', 'P-' + 'x' * 243, 'P-' + 'x' * 244, '__consumer_offsets', 'P-ü'])
        parts = w.rng.randint(1, 3) if plain or w.chance(0.85) else w.pick([0, -1, -2])
        row = {'name': name, 'num_partitions': parts, 'replication_factor': 1 if plain or w.chance(0.85) else w.pick([-1, 0, 2, 3, -2]),
               'configs': [] if plain else configs(w)}
        if not plain and w.chance(0.12):
            row.update(num_partitions=w.pick([-1, -1, 2]), replication_factor=w.pick([-1, -1, 1]), assignments=[
                {'partition_index': i, 'broker_ids': ids} for i, ids in enumerate(w.pick([[[1]], [[1], [1]], [[2]], [[1, 1]], [[]]]))])
            if w.chance(0.2):
                row['assignments'][-1]['partition_index'] += 1
            parts = len(row['assignments'])
        rows.append(row)
        if name not in w.topics and name.startswith('P-t') and parts > 0:
            w.topics[name] = {'parts': parts, 'ends': {}}
    dry = not plain and w.chance(0.08)
    w.call('create_topics', {'topics': rows, 'timeout_ms': 10000, 'validate_only': dry})


def delete_topics(w):
    names = [n for n in (w.topic(0.2) for _ in range(w.pick([1, 1, 1, 2]))) if n != 'P-t0'] or ['P-nope']  # groups read P-t0
    if w.chance(0.1):
        names.append(w.pick(['', 'P-a b', '__nothing']))
    version = w.version('delete_topics')
    body = {'timeout_ms': 10000}
    if version >= 6:
        by_id = w.chance(0.4)
        body['topics'] = [{'name': None, 'topic_id': {'$id': n, 'old': w.chance(0.1)}} if by_id else {'name': n, 'topic_id': bytes(16)}
                          for n in names]
        if w.chance(0.05):
            body['topics'].append(w.pick([{'name': None, 'topic_id': bytes(16)}, {'name': 'P-t0', 'topic_id': {'$id': 'P-t0'}}]))
    else:
        body['topic_names'] = names
    w.call('delete_topics', body, version)
    if len(w.topics) > 1:
        for n in names:
            if n in w.topics and w.chance(0.9):
                del w.topics[n]
                w.gone.append(n)


def grow(w):
    rows = []
    for _ in range(w.pick([1, 1, 1, 2])):
        name = w.topic()
        now = w.topics.get(name, {'parts': 1})['parts']
        count = now + w.pick([1, 1, 1, 2, 0, -1]) if w.chance(0.95) else w.pick([0, -1, 1000000])
        given = None if w.chance(0.8) else [{'broker_ids': w.pick([[1], [1], [5], [], [1, 1]])} for _ in range(w.pick([1, 1, 2]))]
        rows.append({'name': name, 'count': count, 'assignments': given})
        if given is None and name in w.topics and now < count < 50:
            w.topics[name]['parts'] = count
    w.call('create_partitions', {'topics': rows, 'timeout_ms': 10000, 'validate_only': w.chance(0.1)})


def metadata(w):
    version = w.version('metadata')
    names = [w.topic(0.15) for _ in range(w.pick([1, 1, 2]))]
    body = {'topics': [{'name': n} for n in names], 'allow_auto_topic_creation': w.chance(0.3)}
    if version >= 10 and w.chance(0.3):
        body['topics'] = [{'name': None, 'topic_id': {'$id': n, 'old': w.chance(0.2)}} for n in names]
    elif w.chance(0.1):
        body['topics'] = None if version >= 1 else []
    elif w.chance(0.1):
        body['topics'].append({'name': w.pick(['', 'P-a b', 'P-auto-%d' % w.rng.randrange(3), 'P-' + 'x' * 244])})
    if 8 <= version <= 10:
        body['include_cluster_authorized_operations'] = w.chance(0.2)
    if version >= 8:
        body['include_topic_authorized_operations'] = w.chance(0.2)
    if version == 0 and body['topics'] == []:
        body['allow_auto_topic_creation'] = True
    w.call('metadata', body, version)


def describe_partitions(w):
    names = sorted({w.topic(0.1) for _ in range(w.pick([1, 2, 2]))})
    body = {'topics': [{'name': n} for n in names], 'response_partition_limit': w.pick([2000, 1, 2, 3, 0])}
    if w.chance(0.3):
        body['cursor'] = {'topic_name': w.pick(names), 'partition_index': w.pick([0, 1, 2, 9, -1])}
    w.call('describe_topic_partitions', body)


def log_dirs(w):
    w.call('describe_log_dirs', {'topics': [{'topic': w.topic(), 'partitions': [0, 1, 9][:w.rng.randint(1, 3)]}]})


def elections(w):
    api = w.pick(['elect_leaders', 'alter_partition_reassignments', 'list_partition_reassignments'])
    topic = w.topic()
    parts = [w.partition(topic) for _ in range(w.pick([1, 1, 2]))]
    if api == 'elect_leaders':
        w.call(api, {'election_type': w.pick([0, 0, 1, 2]), 'timeout_ms': 5000,
                     'topic_partitions': None if w.chance(0.1) else [{'topic': topic, 'partitions': parts}]})
    elif api == 'alter_partition_reassignments':
        w.call(api, {'timeout_ms': 5000, 'topics': [{'name': topic, 'partitions': [
            {'partition_index': p, 'replicas': w.pick([[1], [], [2], [1, 1], None, [-1]])} for p in parts]}]})
    else:
        w.call(api, {'timeout_ms': 5000, 'topics': None if w.chance(0.3) else [{'name': topic, 'partition_indexes': parts}]})


# ---------------------------------------------------------------- configs, quotas

def alter(w):
    kind, name = (2, w.topic()) if w.chance(0.8) else w.pick([(32, 'P-g0'), (16, 'P-m'), (99, 'x'), (2, ''), (4, '7'), (0, 'x')])
    rows = []
    for _ in range(w.pick([1, 1, 2])):
        key, values = w.pick(TOPIC_CONFIGS)
        if kind == 32:
            key, values = w.pick([('consumer.session.timeout.ms', ['50000', '1', 'x']), ('consumer.heartbeat.interval.ms', ['6000', '0'])])
        rows.append({'name': key, 'value': values[0] if w.chance(0.6) else w.pick(values + [None])})
    dry = w.chance(0.1)
    if w.chance(0.75):
        for r in rows:
            r['config_operation'] = w.pick([0, 0, 0, 1, 2, 3, 9]) if w.chance(0.5) else 0
        w.call('incremental_alter_configs', {'validate_only': dry, 'resources': [
            {'resource_type': kind, 'resource_name': name, 'configs': rows}]})
    else:
        w.call('alter_configs', {'validate_only': dry, 'resources': [{'resource_type': kind, 'resource_name': name, 'configs': rows}]})


def describe_configs(w):
    kind, name = (2, w.topic()) if w.chance(0.8) else w.pick([(32, 'P-g0'), (16, 'P-m'), (99, 'x'), (2, ''), (2, 'P-a b')])
    keys = w.rng.sample([k for k, _ in TOPIC_CONFIGS] + ['consumer.session.timeout.ms', 'flush.ms', 'preallocate'], 4)
    w.call('describe_configs', {'resources': [{'resource_type': kind, 'resource_name': name, 'configuration_keys': keys}],
                                'include_synonyms': w.chance(0.5)})


def quotas(w):
    entity = w.pick([[('user', 'P-u')], [('user', 'P-u'), ('client-id', 'c')], [('client-id', 'P-c')], [('user', 'P-v'), ('client-id', None)],
                     [('planet', 'P-x')], [('ip', '10.9.8.7')], [('user', '')], [('user', 'P-u'), ('user', 'P-v')], []])
    if w.chance(0.5):
        ops = [{'key': w.pick(['producer_byte_rate', 'consumer_byte_rate', 'request_percentage', 'controller_mutation_rate', 'nonsense',
                               'connection_creation_rate']),
                'value': w.pick([1000.0, 2.5, 0.0, -1.0, 1e18]), 'remove': w.chance(0.25)} for _ in range(w.pick([1, 1, 2]))]
        if entity == [('ip', '10.9.8.7')]:  # all sequences share it
            entity = [('ip', '10.9.8.7'), ('user', 'P-u')]
        w.call('alter_client_quotas', {'validate_only': w.chance(0.1), 'entries': [
            {'entity': [{'entity_type': t, 'entity_name': n} for t, n in entity], 'ops': ops}]})
    else:
        w.call('describe_client_quotas', {'strict': w.chance(0.4), 'components': [
            {'entity_type': t, 'match_type': w.pick([0, 0, 1, 2]) if n else 1, 'match': n} for t, n in entity if t != 'ip'] or [
            {'entity_type': 'user', 'match_type': 0, 'match': 'P-u'}]})
        body = w.steps[-1]['body']
        for c in body['components']:
            if c['match_type'] != 0 and w.chance(0.9):
                c['match'] = None


def acls(w):
    w.call('describe_acls', {'resource_type_filter': w.pick([1, 2, 3, 9]), 'resource_name_filter': w.pick([None, 'x']),
                             'pattern_type_filter': w.pick([1, 2, 3, 4]), 'principal_filter': w.pick([None, 'User:a']),
                             'host_filter': None, 'operation': w.pick([1, 2, 3]), 'permission_type': w.pick([1, 2, 3])})


# ---------------------------------------------------------------- produce

def some_records(w):
    out = []
    for i in range(w.pick([1, 1, 2, 3, 5])):
        r = {'value': w.pick(['v%d' % w.rng.randrange(1000), ['x', w.rng.randrange(400)], '', None])}
        if w.chance(0.4):
            r['key'] = w.pick(['k1', 'k2', ''])
        if w.chance(0.15):
            r['headers'] = [['h%d' % j, w.pick(['a', '', None])] for j in range(w.pick([1, 2]))]
        if w.chance(0.3):
            r['ts'] = w.pick([1, 5, 1000, -7])
        out.append(r)
    return out


def a_batch(w, bad=0.2):
    b = {'records': some_records(w), 'codec': w.pick(CODECS), 'timestamp': FIXED + w.rng.randrange(10000)}
    if w.chance(bad):
        n = len(b['records'])
        b.update(w.pick([
            {'count': n + 1}, {'count': 0}, {'count': -1}, {'last_delta': n}, {'last_delta': -1}, {'last_delta': 0, 'count': n},
            {'crc': 12345}, {'magic': 3}, {'magic': 1}, {'base_offset': 77}, {'epoch': 9}, {'timestamp': -1}, {'timestamp': -5},
            {'timestamp': 4000000000000}, {'max_ts': FIXED - 5}, {'max_ts': -1}, {'attributes': 8}, {'attributes': 32}, {'attributes': 16},
            {'attributes': 64}, {'attributes': 128}, {'codec': 5}, {'codec': 7}, {'payload': ''}, {'payload': '00'}, {'payload': 'ff' * 30},
            {'flip': w.rng.randrange(200)}, {'cut': w.rng.randrange(1, 90), 'tail': ''}, {'cut': 0, 'tail': '00' * w.pick([3, 12, 70])},
            {'pid_epoch': 3}, {'sequence': 4}, {'pid': 5}, {'pid': 123, 'pid_epoch': 0, 'sequence': -1}, {'timestamp': 1 << 62},
            {'records': [], 'count': 0}, {'legacy': 'old', 'magic': w.pick([0, 1])}]))
    return b


def produce(w):
    version = w.version('produce')
    by_topic = {}
    for _ in range(w.pick([1, 1, 1, 2, 3])):
        topic = w.topic()
        partition = w.partition(topic)
        batches = [a_batch(w) for _ in range(w.pick([1] * 12 + [2, 0]))]
        if topic in w.topics:
            ends = w.topics[topic]['ends']
            ends[partition] = ends.get(partition, 0) + sum(len(b['records']) for b in batches)
        rows = by_topic.setdefault(topic, [])
        if not any(r['index'] == partition for r in rows):  # of a partition named twice Apache drops the first batch
            rows.append({'index': partition, 'records': {'$batch': batches}})
    w.call('produce', {'acks': w.pick([-1, -1, -1, 1, 1, 0]) if w.chance(0.96) else w.pick([2, -2]),
                       'timeout_ms': w.pick([5000, 5000, 0]), 'transactional_id': 'P-x' if w.chance(0.02) and version >= 3 else None,
                       'topic_data': [dict(w.where(t, version >= 13), partition_data=rows) for t, rows in by_topic.items()]}, version)


def new_producer(w):
    name = 'pid%d' % len(w.producers)
    w.producers.append({'name': name, 'epoch': 0, 'next': {}})
    w.call('init_producer_id', {'transactional_id': None, 'transaction_timeout_ms': w.pick([60000, 60000, 0, -1])},
           keep={name: 'producer_id'})
    if w.chance(0.1):
        w.call('init_producer_id', {'transactional_id': w.pick(['', None]), 'transaction_timeout_ms': w.pick([1, 60000]),
                                    'producer_id': w.pick([{'$': name, 'or': 4000}, 99999999, -1]), 'producer_epoch': w.pick([0, 0, 5, -1])})


def idempotent(w):
    """The next batch of a producer; or one that came before, a gap, another epoch."""
    if not w.producers or w.chance(0.1):
        return new_producer(w)
    p, topic = w.pick(w.producers), w.topic(0.02)
    partition = w.partition(topic) if w.chance(0.3) else 0
    key = (topic, partition)
    sequence, epoch, records = p['next'].get(key, 0), p['epoch'], some_records(w)
    how = w.rng.random()
    if how < 0.18:  # some batch of the past
        sequence = max(0, sequence - w.pick([1, 2, 2, 3, 4, 6, 9, 12]))
    elif how < 0.24:
        sequence = min(sequence + w.pick([1, 2, 10]), 2147483647)
    elif how < 0.29:
        sequence = w.pick([2147483647, 2147483646, 0, -1, 1])
        if sequence > 1 and w.chance(0.5):
            p['next'][key] = sequence
    elif how < 0.36:
        epoch = epoch + w.pick([1, -1, 2])
        sequence = w.pick([0, 0, sequence])
        if epoch > p['epoch']:
            p['epoch'] = epoch
    if how >= 0.36 or how < 0.06 or sequence == 0:
        p['next'][key] = (sequence + len(records)) & 0x7fffffff
    batches = [{'records': records, 'codec': w.pick(CODECS), 'timestamp': FIXED, 'pid': {'$': p['name'], 'or': 7777}, 'pid_epoch': epoch,
                'sequence': sequence}]
    version = w.version('produce')
    w.call('produce', {'acks': w.pick([-1, -1, 1]), 'timeout_ms': 5000, 'topic_data': [dict(w.where(topic, version >= 13), partition_data=[
        {'index': partition, 'records': {'$batch': batches}}])]}, version)
    if topic in w.topics:
        ends = w.topics[topic]['ends']
        ends[partition] = ends.get(partition, 0) + len(records)
    if w.chance(0.15):
        w.call('describe_producers', {'topics': [{'name': topic, 'partition_indexes': [partition, 0][:w.pick([1, 2])]}]})


# ---------------------------------------------------------------- fetch, offsets

def an_offset(w, topic, partition):
    end = w.end(topic, partition)
    return w.pick([0, 0, 0, end, end - 1, end // 2, end // 2 + 1, end + 1, end + 100, -1, w.rng.randrange(end + 3)])


def fetch_rows(w, version, n):
    by_topic = {}
    for _ in range(n):
        topic = w.topic()
        partition = w.partition(topic)
        row = {'partition': partition, 'fetch_offset': an_offset(w, topic, partition),
               'partition_max_bytes': w.pick([1 << 20, 1 << 20, 1, 0, 200])}
        if version >= 9 and w.chance(0.2):
            row['current_leader_epoch'] = w.pick([0, 0, 1, -1, 5])
        if version >= 12 and w.chance(0.15):
            row['last_fetched_epoch'] = w.pick([0, 0, 1, -1, 4])
        if not any(r['partition'] == partition for r in by_topic.setdefault(topic, [])):  # of one named twice Apache answers once
            by_topic[topic].append(row)
    return [dict(w.where(t, version >= 13, 'topic'), partitions=rows) for t, rows in by_topic.items()]


def fetch(w):
    version = w.version('fetch')
    body = {'max_wait_ms': 0, 'min_bytes': w.pick([0, 1, 1, 100000]), 'max_bytes': w.pick([1 << 25, 1 << 25, 1, 0, 300, 1500]),
            'isolation_level': w.pick([0, 0, 1]), 'topics': fetch_rows(w, version, w.pick([1, 1, 2, 3]))}
    if version >= 7:
        body.update(session_id=0, session_epoch=-1)
        if w.chance(0.05):
            body.update(session_id=w.pick([0, 12345]), session_epoch=w.pick([1, -1, 3]))
    w.call('fetch', body, version)


def fetch_session(w):
    """A session from its beginning, some rounds, now and then its end; other things happen to the log between."""
    version = w.rng.randint(7, wire.APIS['fetch'].versions.high)
    w.sessions += 1
    name = 's%d' % w.sessions
    body = {'max_wait_ms': 0, 'min_bytes': 1, 'max_bytes': 1 << 25, 'isolation_level': w.pick([0, 1])}
    w.call('fetch', dict(body, session_id=0, session_epoch=0, topics=fetch_rows(w, version, w.pick([1, 2, 3]))), version,
           keep={name: 'session_id'})
    for epoch in range(1, w.pick([2, 3, 5])):
        if w.chance(0.5):
            w.pick([produce, produce, delete_records, grow])(w)
        more = {'session_id': {'$': name, 'or': 0}, 'session_epoch': epoch if w.chance(0.93) else w.pick([0, 99, -1])}
        more['topics'] = fetch_rows(w, version, w.pick([0, 0, 1, 2])) if w.chance(0.6) else []
        if w.chance(0.25):
            topic = w.topic()
            more['forgotten_topics_data'] = [dict(w.where(topic, version >= 13, 'topic'), partitions=[w.partition(topic)])]
        if version >= 13 and w.chance(0.1):
            version = w.rng.randint(7, 12)  # a client that forgot ids
            more['topics'] = []
            more.pop('forgotten_topics_data', None)
        w.call('fetch', dict(body, **more), version)
    if w.chance(0.5):
        w.call('fetch', dict(body, session_id={'$': name, 'or': 0}, session_epoch=-1, topics=[]), version)


def long_poll(w):
    """A fetch that waits at the end, on its own connection; a produce may wake it."""
    topic = w.topic(0)
    version = w.version('fetch')
    conn = 'poll%d' % len(w.steps)
    body = {'max_wait_ms': 60000, 'min_bytes': w.pick([1, 1, 500]), 'max_bytes': 1 << 25, 'isolation_level': 0, 'topics': [
        dict(w.where(topic, version >= 13, 'topic'), partitions=[
            {'partition': 0, 'fetch_offset': {'$': 'end of ' + topic, 'or': 0}, 'partition_max_bytes': 1 << 20}])]}
    if version >= 7:
        body.update(session_id=0, session_epoch=-1)
    w.call('list_offsets', {'replica_id': -1, 'topics': [{'name': topic, 'partitions': [{'partition_index': 0, 'timestamp': -1}]}]}, 7,
           keep={'end of ' + topic: 'topics.0.partitions.0.offset'})
    w.call('fetch', body, version, conn=conn, park=True)
    for last in (False, True):
        w.call('produce', {'acks': -1, 'timeout_ms': 5000, 'topic_data': [
            {'name': topic, 'partition_data': [{'index': 0, 'records': {'$batch': [a_batch(w, 0)]}}]}]}, 9)
    if w.chance(0.2):
        w.call('delete_topics', {'timeout_ms': 10000, 'topic_names': [topic]}, 5)
        if len(w.topics) > 1:
            del w.topics[topic]
            w.gone.append(topic)


def list_offsets(w):
    version = w.version('list_offsets')
    rows = {}
    for _ in range(w.pick([1, 2, 3])):
        topic = w.topic()
        row = {'partition_index': w.partition(topic),
               'timestamp': w.pick([-1, -2, -1, -2, FIXED, FIXED + 5000, FIXED + 1, 0, FIXED * 2, -3, -4, -5, -6, -7])}
        if version >= 4 and w.chance(0.2):
            row['current_leader_epoch'] = w.pick([0, 1, -1, 7])
        rows.setdefault(topic, []).append(row)
    w.call('list_offsets', {'replica_id': -1, 'isolation_level': w.pick([0, 0, 1]) if version >= 2 else 0, 'timeout_ms': 5000,
                            'topics': [{'name': t, 'partitions': p} for t, p in rows.items()]}, version)


def epochs(w):
    topic = w.topic()
    w.call('offset_for_leader_epoch', {'replica_id': -2, 'topics': [{'topic': topic, 'partitions': [
        {'partition': w.partition(topic), 'current_leader_epoch': w.pick([-1, -1, 0, 1, 7]), 'leader_epoch': w.pick([0, 0, -1, 1, 5])}]}]})


def delete_records(w):
    topic = w.topic()
    rows = [{'partition_index': p, 'offset': w.pick([an_offset(w, topic, p), -1, 1, -2])}
            for p in sorted({w.partition(topic) for _ in range(w.pick([1, 1, 2]))})]
    w.call('delete_records', {'timeout_ms': 5000, 'topics': [{'name': topic, 'partitions': rows}]})


# ---------------------------------------------------------------- a sequence

LOG = [(produce, 9), (idempotent, 4), (fetch, 7), (fetch_session, 2), (list_offsets, 4), (epochs, 1), (delete_records, 2), (long_poll, 1)]
TOPICS = [(create_topics, 4), (delete_topics, 3), (grow, 3), (metadata, 4), (describe_partitions, 2), (log_dirs, 1), (elections, 2)]
SETTINGS = [(alter, 4), (describe_configs, 4), (quotas, 3), (acls, 0.3)]
MIXES = {
    'log': (LOG, 6, TOPICS, 1, SETTINGS, 0.3),
    'producers': ([(idempotent, 9), (produce, 1), (list_offsets, 1), (fetch, 1), (delete_records, 1)], 6, TOPICS, 0.3),
    'topics': (TOPICS, 6, LOG, 1, SETTINGS, 1),
    'settings': (SETTINGS, 6, TOPICS, 1, LOG, 0.5),
}


def weighted(mix):
    out = []
    for rows, factor in zip(mix[::2], mix[1::2]):
        total = sum(weight for _, weight in rows)
        out += [(action, factor * weight / total) for action, weight in rows]
    return out


def generate(seed, mixes, length):
    """The steps of a seed. The seed chooses what it is about: seeds of all mixes come in turn."""
    focus = list(mixes)[seed % len(mixes)]
    w = World(seed, focus)
    create_topics(w, plain=True)
    create_topics(w, plain=True)
    actions = weighted(mixes[focus])
    while len(w.steps) < length:
        w.rng.choices([a for a, _ in actions], [f for _, f in actions])[0](w)
    return focus, w.steps
