"""Helpers of the raw-protocol lanes: topics, produce, fetch, and assertions that say what was seen."""
import itertools
import time

import wire
from main import Failed

_names = itertools.count(1)


def fresh(prefix='t'):
    return '%s-%d' % (prefix, next(_names))


def equal(got, want, what=''):
    if got != want:
        raise Failed('%s: got %r, expected %r' % (what or 'value', got, want))


def error_is(code, *names):
    if wire.err(code) not in names:
        raise Failed('got %s, expected %s' % (wire.err(code), ' or '.join(names)))


def true(ok, text):
    if not ok:
        raise Failed(str(text))


class Kit:
    """One broker and one connection to it; a new connection whenever the old one was closed."""

    def __init__(self, lane, broker):
        self.lane, self.broker, self.ids = lane, broker, {}
        self.ours = broker.kind == 'taccola'
        self._conn = None

    def conn(self, **kw):
        return wire.Conn(self.broker.port, **kw)

    def call(self, name, version, body=None):
        for attempt in (0, 1):
            if self._conn is None:
                self._conn = self.conn()
            try:
                return self._conn.call(name, version, body)
            except (wire.Closed, OSError):
                self._conn.close()
                self._conn = None
                if attempt:
                    raise

    # ---- topics

    def create(self, name=None, partitions=1, config=None, assignments=None, factor=1):
        name = name or fresh()
        topic = {'name': name, 'num_partitions': partitions, 'replication_factor': factor,
                 'configs': [{'name': k, 'value': v} for k, v in (config or {}).items()]}
        if assignments is not None:
            topic['assignments'] = assignments
        r = self.call('create_topics', 7, {'topics': [topic], 'timeout_ms': 10000})['topics'][0]
        if r['error_code']:
            raise Failed('create %s: %s %s' % (name, wire.err(r['error_code']), r['error_message']))
        self.ids[name] = r['topic_id']
        if not self.ours:
            self.wait(lambda: self.is_led(name), 'topic %s is not there' % name)
        return name

    def is_led(self, name):
        """Every partition has a leader, and it answers: with Apache Kafka some moments after the
        creation was answered."""
        row = self.metadata([name])['topics'][0]
        return row['error_code'] == 0 and all(
            p['leader_id'] >= 0 and
            self.list_offset(name, -1, p['partition_index'])['error_code'] == 0
            for p in row['partitions'])

    def metadata(self, names, version=12, auto=False):
        topics = None if names is None else [{'name': n} for n in names]
        body = {'topics': topics}
        if version >= 4:
            body['allow_auto_topic_creation'] = auto
        return self.call('metadata', version, body)

    # ---- produce

    def produce_body(self, parts, acks=-1, timeout=5000, version=9, txn=None):
        """parts: list of (topic, partition, records)."""
        by_topic = {}
        for topic, index, records in parts:
            by_topic.setdefault(topic, []).append({'index': index, 'records': records})
        data = []
        for topic, rows in by_topic.items():
            where = ({'topic_id': topic if isinstance(topic, bytes) else self.ids[topic]}
                     if version >= 13 else {'name': topic})
            data.append(dict(where, partition_data=rows))
        return {'acks': acks, 'timeout_ms': timeout, 'topic_data': data, 'transactional_id': txn}

    def produce(self, topic, records, partition=0, acks=-1, version=9):
        r = self.call('produce', version, self.produce_body([(topic, partition, records)], acks,
                                                            version=version))
        return r['responses'][0]['partition_responses'][0]

    def put(self, topic, *values, partition=0, **kw):
        """Appends one batch and answers its first offset; an error is a failed check."""
        r = self.produce(topic, wire.batch(list(values), **kw), partition)
        if r['error_code']:
            raise Failed('produce: %s %s' % (wire.err(r['error_code']), r['error_message']))
        return r['base_offset']

    def refused(self, topic, records, *names, **kw):
        r = self.produce(topic, records, **kw)
        error_is(r['error_code'], *names)
        equal(r['base_offset'], -1, 'base offset of a refused batch')
        return r

    # ---- fetch

    def fetch_body(self, parts, version=11, max_wait=0, min_bytes=1, max_bytes=1 << 25,
                   part_bytes=1 << 20, isolation=0, session=0, session_epoch=-1, **more):
        """parts: list of (topic, partition, offset) or with a dict of more fields."""
        by_topic = {}
        for part in parts:
            topic, index, offset = part[:3]
            row = {'partition': index, 'fetch_offset': offset, 'partition_max_bytes': part_bytes}
            if len(part) > 3:
                row.update(part[3])
            by_topic.setdefault(topic, []).append(row)
        topics = []
        for topic, rows in by_topic.items():
            where = ({'topic_id': topic if isinstance(topic, bytes) else self.ids[topic]}
                     if version >= 13 else {'topic': topic})
            topics.append(dict(where, partitions=rows))
        body = {'max_wait_ms': max_wait, 'min_bytes': min_bytes, 'max_bytes': max_bytes,
                'isolation_level': isolation, 'topics': topics}
        if version >= 7:
            body.update(session_id=session, session_epoch=session_epoch)
        body.update(more)
        return body

    def fetch_all(self, parts, version=11, conn=None, **kw):
        body = self.fetch_body(parts, version, **kw)
        return conn.call('fetch', version, body) if conn else self.call('fetch', version, body)

    def fetch(self, topic, offset, partition=0, version=11, extra=None, **kw):
        part = (topic, partition, offset) + ((extra,) if extra else ())
        r = self.fetch_all([part], version, **kw)
        if r.get('error_code'):
            raise Failed('fetch: ' + wire.err(r['error_code']))
        return r['responses'][0]['partitions'][0]

    def read(self, topic, partition=0, offset=0):
        """Every batch from offset to the end."""
        out = []
        while True:
            p = self.fetch(topic, offset, partition, part_bytes=1 << 24)
            error_is(p['error_code'], 'NONE')
            got = wire.batches(p['records'] or b'')
            if not got:
                return out
            out += got
            offset = got[-1].last_offset + 1

    # ---- offsets

    def list_offset(self, topic, timestamp, partition=0, version=7, isolation=0, epoch=-1):
        row = {'partition_index': partition, 'timestamp': timestamp}
        if version >= 4:
            row['current_leader_epoch'] = epoch
        body = {'replica_id': -1, 'topics': [{'name': topic, 'partitions': [row]}]}
        if version >= 2:
            body['isolation_level'] = isolation
        if version >= 10:
            body['timeout_ms'] = 5000
        return self.call('list_offsets', version, body)['topics'][0]['partitions'][0]

    def delete_records(self, topic, offset, partition=0):
        r = self.call('delete_records', 2, {'topics': [{'name': topic, 'partitions': [
            {'partition_index': partition, 'offset': offset}]}], 'timeout_ms': 5000})
        return r['topics'][0]['partitions'][0]

    def producer_id(self):
        body = {'transactional_id': None, 'transaction_timeout_ms': 60000}
        r = self.call('init_producer_id', 4, body)
        while r['error_code'] == 14 and not self.ours:  # still fetching its first block
            time.sleep(0.05)
            r = self.call('init_producer_id', 4, body)
        error_is(r['error_code'], 'NONE')
        return r['producer_id'], r['producer_epoch']

    # ---- configs

    def configs(self, kind, name, keys=None, version=4, synonyms=True):
        r = self.call('describe_configs', version, {
            'resources': [{'resource_type': kind, 'resource_name': name,
                           'configuration_keys': keys}], 'include_synonyms': synonyms,
            'include_documentation': True} if version >= 3 else {
            'resources': [{'resource_type': kind, 'resource_name': name,
                           'configuration_keys': keys}], 'include_synonyms': synonyms})
        r = r['results'][0]
        if r['error_code']:
            raise Failed('describe configs: %s %s' % (wire.err(r['error_code']), r['error_message']))
        return {c['name']: c for c in r['configs']}

    def alter(self, kind, name, *changes, validate=False):
        """changes: (op, key, value) with op set, delete, append or subtract; the whole result row."""
        ops = {'set': 0, 'delete': 1, 'append': 2, 'subtract': 3}
        r = self.call('incremental_alter_configs', 1, {'resources': [{
            'resource_type': kind, 'resource_name': name,
            'configs': [{'name': k, 'config_operation': ops[o], 'value': v}
                        for o, k, v in changes]}], 'validate_only': validate})
        return r['responses'][0]

    def wait(self, test, text, seconds=10):
        end = time.time() + seconds
        while time.time() < end:
            if test():
                return
            time.sleep(0.05)
        raise Failed(text)
