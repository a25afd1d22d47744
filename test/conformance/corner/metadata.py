"""Metadata, DescribeCluster and DescribeTopicPartitions; automatic creation of topics."""
import struct

import wire
from kit import equal, error_is, fresh, true

NONE = -2147483648


def listing(kit):
    """v0: an empty list is all topics; v1+: null is all, an empty list is none."""
    a, b = kit.create(), kit.create()

    def names(version, topics):
        r = kit.call('metadata', version, {'topics': topics})
        return {t['name'] for t in r['topics']}
    true({a, b} <= names(0, []), 'v0 with an empty list: not all topics')
    for version in (1, 4, 9, 12, 13):
        equal(names(version, []), set(), 'v%d with an empty list' % version)
        true({a, b} <= names(version, None), 'v%d with null: not all topics' % version)


def every_version(kit):
    """The same facts at every version; what a version lacks is left out."""
    t = kit.create(partitions=2)
    for version in range(0, 14):
        body = {'topics': [{'name': t}]}
        r = kit.call('metadata', version, body)
        row = r['topics'][0]
        error_is(row['error_code'], 'NONE')
        equal(row['name'], t, 'name in v%d' % version)
        equal(sorted(p['partition_index'] for p in row['partitions']), [0, 1], 'partitions')
        for p in row['partitions']:
            error_is(p['error_code'], 'NONE')
            equal((p['leader_id'], p['replica_nodes'], p['isr_nodes']), (1, [1], [1]), 'leader')
            equal(p['offline_replicas'], [], 'offline replicas')
            if version >= 7:
                true(p['leader_epoch'] >= 0, 'leader epoch %d' % p['leader_epoch'])
        if version >= 10:
            equal(row['topic_id'], kit.ids[t], 'topic id in v%d' % version)
        if version >= 2:
            true(r['cluster_id'], 'no cluster id in v%d' % version)
        if version >= 1:
            brokers = {b['node_id'] for b in r['brokers']}
            true(r['controller_id'] in brokers, 'controller %d is no broker' % r['controller_id'])


def by_id(kit):
    """v12+: topics by id; an unknown id is UNKNOWN_TOPIC_ID and its name null."""
    t = kit.create()
    unknown = struct.pack('>QQ', 0x1234567890abcdef, 0x8bcdef1234567890)
    for version in (12, 13):
        r = kit.call('metadata', version, {'topics': [
            {'topic_id': kit.ids[t], 'name': None}, {'topic_id': unknown, 'name': None}]})
        rows = {row['topic_id']: row for row in r['topics']}
        equal(rows[kit.ids[t]]['name'], t, 'name by id')
        error_is(rows[kit.ids[t]]['error_code'], 'NONE')
        error_is(rows[unknown]['error_code'], 'UNKNOWN_TOPIC_ID')
        equal(rows[unknown]['name'], None, 'name of an unknown id')


def by_id_too_early(kit):
    """An id in v10 and v11, and a null name without an id, are refused; the broker serves on."""
    t = kit.create()
    for version, topic in ((10, {'topic_id': kit.ids[t], 'name': None}),
                           (11, {'topic_id': kit.ids[t], 'name': t}),
                           (12, {'name': None})):
        with kit.conn() as c:
            try:
                r = c.call('metadata', version, {'topics': [topic]})
                codes = {wire.err(row['error_code']) for row in r['topics']}
                true(not codes or not kit.ours or codes <= {'INVALID_REQUEST', 'UNKNOWN_TOPIC_ID'},
                     'v%d %s: %s' % (version, topic, codes))
            except (wire.Closed, wire.WireError):
                pass
    kit.call('metadata', 1, {'topics': []})


def unknown_topic(kit):
    """Without automatic creation: UNKNOWN_TOPIC_OR_PARTITION, no partitions, and nothing is made."""
    name = fresh('no-such')
    for version in (4, 9, 12, 13):
        row = kit.metadata([name], version)['topics'][0]
        error_is(row['error_code'], 'UNKNOWN_TOPIC_OR_PARTITION')
        equal(row['partitions'], [], 'partitions')
        equal(row['name'], name, 'name')
    true(name not in {t['name'] for t in kit.metadata(None)['topics']}, 'the topic was created')


def auto_create(kit):
    """allow_auto_topic_creation: created with num.partitions, visible with leaders in moments."""
    name = fresh('auto')
    row = kit.metadata([name], 9, auto=True)['topics'][0]
    error_is(row['error_code'], 'NONE', 'UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE')

    def there():
        r = kit.metadata([name], 9)['topics'][0]
        return r['error_code'] == 0 and len(r['partitions']) == 3 and \
            all(p['leader_id'] == 1 for p in r['partitions'])
    kit.wait(there, 'the topic did not come with 3 partitions')
    kit.wait(lambda: kit.is_led(name), 'the topic is not served')
    kit.put(name, b'x')


def auto_create_old(kit):
    """Versions below 4 always allow creation."""
    name = fresh('auto-old')
    kit.call('metadata', 1, {'topics': [{'name': name}]})
    kit.wait(lambda: kit.metadata([name])['topics'][0]['error_code'] == 0, 'not created')


def auto_create_bad_names(kit):
    """Invalid names: INVALID_TOPIC_EXCEPTION and no creation."""
    for name in ('', '.', '..', 'a b', 'a/b', 'a' * 250, 'ä', 'a\tb'):
        row = kit.metadata([name], 9, auto=True)['topics'][0]
        error_is(row['error_code'], 'INVALID_TOPIC_EXCEPTION')
        equal(row['partitions'], [], 'partitions')
    names = {t['name'] for t in kit.metadata(None)['topics']}
    true(not names & {'', '.', '..', 'a b', 'a/b', 'ä'}, 'created: %s' % names)


def auto_create_many(kit):
    """Known, unknown and invalid names in one request are independent."""
    known, unknown = kit.create(), fresh('auto-many')
    r = kit.metadata([known, unknown, 'bad!'], 9, auto=True)
    codes = {t['name']: wire.err(t['error_code']) for t in r['topics']}
    equal(codes[known], 'NONE', 'known')
    equal(codes['bad!'], 'INVALID_TOPIC_EXCEPTION', 'invalid')
    true(codes[unknown] in ('NONE', 'UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE'),
         codes[unknown])


def visible_at_once(kit):
    """An answered CreateTopics is there with its leaders, on every connection, and takes records.
    (With Apache Kafka some moments later: kit.create waits.)"""
    for _ in range(20):
        t = kit.create(partitions=5)
        with kit.conn() as c:
            row = c.call('metadata', 9, {'topics': [{'name': t}],
                                         'allow_auto_topic_creation': False})['topics'][0]
            error_is(row['error_code'], 'NONE')
            equal(sorted((p['partition_index'], p['leader_id']) for p in row['partitions']),
                  [(i, 1) for i in range(5)], 'partitions')
        equal(kit.put(t, b'a', partition=4), 0, 'first offset')


def deleted_at_once(kit):
    """An answered DeleteTopics is gone; the same name again has another id and no records."""
    t = kit.create()
    kit.put(t, b'old')
    old = kit.ids[t]
    r = kit.call('delete_topics', 6, {'topics': [{'name': t}], 'timeout_ms': 10000})
    error_is(r['responses'][0]['error_code'], 'NONE')
    def gone():
        code = kit.metadata([t])['topics'][0]['error_code']
        return wire.err(code) == 'UNKNOWN_TOPIC_OR_PARTITION'
    true(gone() or not kit.ours, 'the topic is still there')
    kit.wait(gone, 'the topic is still there')
    kit.create(t)
    true(kit.ids[t] != old, 'the topic has its old id')
    equal(kit.put(t, b'new'), 0, 'first offset of the new topic')
    row = kit.metadata([t])['topics'][0]['partitions'][0]
    true(row['leader_epoch'] >= 0, 'leader epoch')


def authorized_operations(kit):
    """Asked for: without an authorizer all operations; not asked for: the mark for 'not asked'."""
    t = kit.create()
    for version in (8, 9, 10, 12):
        body = {'topics': [{'name': t}]}
        row = kit.call('metadata', version, body)['topics'][0]
        equal(row['topic_authorized_operations'], NONE, 'not asked, v%d' % version)
        body['include_topic_authorized_operations'] = True
        if version <= 10:
            body['include_cluster_authorized_operations'] = True
        r = kit.call('metadata', version, body)
        bits = r['topics'][0]['topic_authorized_operations']
        for operation in (3, 4, 5, 6, 7, 8, 10, 11):  # read … alter configs
            true(bits & 1 << operation, 'topic operation %d is missing in %x' % (operation, bits))
        if version <= 10:
            true(r['cluster_authorized_operations'] & 1 << 5, 'no create on the cluster')


def advertised(kit):
    """The address is that of the listener that was used."""
    for version in (0, 8, 12):
        brokers = kit.call('metadata', version, {'topics': []})['brokers']
        equal([(b['node_id'], b['host'], b['port']) for b in brokers],
              [(1, '127.0.0.1', kit.broker.port)], 'brokers')
    r = kit.call('describe_cluster', 0, {})
    equal([(b['broker_id'], b['host'], b['port']) for b in r['brokers']],
          [(1, '127.0.0.1', kit.broker.port)], 'DescribeCluster')


def ranges_with_ids(kit):
    """Where any API uses topic ids, Metadata is offered at v10+."""
    body = kit.call('api_versions', 3, {'client_software_name': 'a',
                                        'client_software_version': '1'})
    ranges = {k['api_key']: k['max_version'] for k in body['api_keys']}
    if ranges.get(0, 0) >= 13 or ranges.get(1, 0) >= 13 or ranges.get(8, 0) >= 10:
        true(ranges.get(3, 0) >= 12, 'Metadata only up to %s' % ranges.get(3))


def cluster(kit):
    """DescribeCluster: the cluster id of Metadata, a controller that is a broker."""
    want = kit.call('metadata', 9, {'topics': []})['cluster_id']
    for version in (0, 1, 2):
        r = kit.call('describe_cluster', version, {})
        error_is(r['error_code'], 'NONE')
        equal(r['cluster_id'], want, 'cluster id')
        true(r['controller_id'] in {b['broker_id'] for b in r['brokers']}, 'controller')
        equal(r['cluster_authorized_operations'], NONE, 'operations that were not asked for')


def cluster_of_controllers(kit):
    """A broker does not answer for controllers (KIP-919)."""
    r = kit.call('describe_cluster', 1, {'endpoint_type': 2})
    equal(r['error_code'], 114, 'MISMATCHED_ENDPOINT_TYPE')
    r = kit.call('describe_cluster', 1, {'endpoint_type': 9})
    equal(r['error_code'], 115, 'UNSUPPORTED_ENDPOINT_TYPE')


def topic_partitions(kit):
    """DescribeTopicPartitions pages with a cursor; unknown and bad names are rows of their own."""
    a, b = sorted((kit.create(partitions=3), kit.create(partitions=3)))
    body = {'topics': [{'name': b}, {'name': a}], 'response_partition_limit': 4, 'cursor': None}
    r = kit.call('describe_topic_partitions', 0, body)
    got = [(t['name'], p['partition_index']) for t in r['topics'] for p in t['partitions']]
    equal(got, [(a, 0), (a, 1), (a, 2), (b, 0)], 'first page')
    equal((r['next_cursor']['topic_name'], r['next_cursor']['partition_index']), (b, 1), 'cursor')
    body['cursor'] = {'topic_name': b, 'partition_index': 1}
    r = kit.call('describe_topic_partitions', 0, body)
    got = [(t['name'], p['partition_index']) for t in r['topics'] for p in t['partitions']]
    equal(got, [(b, 1), (b, 2)], 'second page')
    equal(r['next_cursor'], None, 'cursor at the end')
    unknown = fresh('no-such')
    r = kit.call('describe_topic_partitions', 0, {'topics': [{'name': unknown}],
                                                  'response_partition_limit': 10, 'cursor': None})
    error_is(r['topics'][0]['error_code'], 'UNKNOWN_TOPIC_OR_PARTITION')


def epochs_only_grow(kit):
    """Leader epochs never go back over a clean restart and over a crash."""
    t = kit.create()
    kit.put(t, b'1')

    def epoch():
        return kit.metadata([t])['topics'][0]['partitions'][0]['leader_epoch']
    before = epoch()
    kit.broker.stop()
    kit.broker.start()
    kit.wait(lambda: kit.is_led(t), 'no leader after the restart', 30)
    clean = epoch()
    true(clean >= before, 'epoch %d after %d' % (clean, before))
    kit.broker.kill()
    kit.broker.start()
    kit.wait(lambda: kit.is_led(t), 'no leader after the crash', 30)
    crashed = epoch()
    true(crashed >= clean, 'epoch %d after %d' % (crashed, clean))
    if kit.ours:
        true(crashed > clean, 'a crash begins a new leader epoch: %d' % crashed)
    equal(kit.put(t, b'2'), 1, 'the next offset')


def run(kit, attempt):
    for name, test in (
            ('listing', listing), ('every-version', every_version), ('by-id', by_id),
            ('by-id-too-early', by_id_too_early), ('unknown-topic', unknown_topic),
            ('auto-create', auto_create), ('auto-create-old', auto_create_old),
            ('auto-create-bad-names', auto_create_bad_names),
            ('auto-create-many', auto_create_many), ('visible-at-once', visible_at_once),
            ('deleted-at-once', deleted_at_once),
            ('authorized-operations', authorized_operations), ('advertised', advertised),
            ('ranges-with-ids', ranges_with_ids), ('cluster', cluster),
            ('cluster-of-controllers', cluster_of_controllers),
            ('topic-partitions', topic_partitions), ('epochs-only-grow', epochs_only_grow)):
        attempt('metadata/' + name, test, kit)
