"""Admin: what CreateTopics, CreatePartitions, DeleteTopics and DescribeConfigs promise, row by row. (The lanes configs and admin compare
whole answers with Apache Kafka's.)"""
import wire
from kit import equal, error_is, true

TOPIC, BROKER = 2, 4
PROPS = {'log.retention.hours': 48}


def create(kit, *topics, validate=False):
    rows = kit.call('create_topics', 7, {
        'topics': [dict({'num_partitions': 1, 'replication_factor': 1}, **t) for t in topics],
        'timeout_ms': 10000, 'validate_only': validate})['topics']
    return [(r['name'], wire.err(r['error_code'])) for r in rows]


def codes(rows):
    return dict(rows)


def partitions_of(kit, name):
    topic = kit.metadata([name])['topics'][0]
    return None if topic['error_code'] else sorted(p['partition_index'] for p in topic['partitions'])


def appears(kit, name, partitions):
    """Apache Kafka shows a topic a moment after it answered."""
    kit.wait(lambda: partitions_of(kit, name) == partitions, '%s has not partitions %s' % (name, partitions))


def one_result_per_topic(kit):
    """CreatePartitions answers each topic once, also when it fails."""
    kit.create('cp-a')
    kit.create('cp-b')
    rows = kit.call('create_partitions', 3, {'topics': [
        {'name': n, 'count': c, 'assignments': None} for n, c in (('cp-a', 3), ('cp-b', 1), ('cp-none', 2))],
        'timeout_ms': 10000, 'validate_only': False})['results']
    equal(sorted(r['name'] for r in rows), ['cp-a', 'cp-b', 'cp-none'], 'names')
    got = {r['name']: wire.err(r['error_code']) for r in rows}
    equal(got, {'cp-a': 'NONE', 'cp-b': 'INVALID_PARTITIONS', 'cp-none': 'UNKNOWN_TOPIC_OR_PARTITION'})


def grown_partition_serves(kit):
    """A partition that was added takes records as soon as it is to be seen."""
    kit.create('grow')
    kit.call('create_partitions', 3, {'topics': [{'name': 'grow', 'count': 4, 'assignments': None}],
                                      'timeout_ms': 10000, 'validate_only': False})
    kit.wait(lambda: partitions_of(kit, 'grow') == [0, 1, 2, 3], 'four partitions')
    equal(kit.put('grow', b'x', partition=3), 0)


def validate_only(kit):
    equal(codes(create(kit, {'name': 'valid-only'}, validate=True)), {'valid-only': 'NONE'})
    equal(partitions_of(kit, 'valid-only'), None, 'a topic that was only validated')


def manual_assignment(kit):
    row = {'name': 'manual', 'num_partitions': -1, 'replication_factor': -1, 'assignments': [
        {'partition_index': 0, 'broker_ids': [1]}, {'partition_index': 1, 'broker_ids': [1]}]}
    equal(codes(create(kit, row)), {'manual': 'NONE'})
    appears(kit, 'manual', [0, 1])


def same_name_twice(kit):
    """Each of a name that comes twice is INVALID_REQUEST; the others are created."""
    got = create(kit, {'name': 'two'}, {'name': 'two', 'num_partitions': 2}, {'name': 'other'})
    true(('other', 'NONE') in got, got)
    true(all(code == 'INVALID_REQUEST' for name, code in got if name == 'two'), got)
    equal(partitions_of(kit, 'two'), None)


def defaults(kit):
    equal(codes(create(kit, {'name': 'dflt', 'num_partitions': -1, 'replication_factor': -1})), {'dflt': 'NONE'})
    appears(kit, 'dflt', [0, 1, 2])


def good_and_bad(kit):
    got = codes(create(kit, {'name': 'mix-ok'}, {'name': 'mix-bad', 'replication_factor': 3}, {'name': 'mix/'}))
    equal(got, {'mix-ok': 'NONE', 'mix-bad': 'INVALID_REPLICATION_FACTOR', 'mix/': 'INVALID_TOPIC_EXCEPTION'})
    appears(kit, 'mix-ok', [0])


def configs_on_create(kit):
    """Every config that tools set is accepted, and described as it was written."""
    configs = {'min.insync.replicas': '1', 'retention.ms': '-1', 'retention.bytes': '-1', 'segment.ms': '600000',
               'segment.bytes': '1048576', 'unclean.leader.election.enable': 'true', 'cleanup.policy': 'compact,delete',
               'max.message.bytes': '1000', 'compression.type': 'zstd', 'message.timestamp.type': 'LogAppendTime'}
    kit.create('cfg', config=configs)
    got = kit.configs(TOPIC, 'cfg')
    equal({k: got[k]['value'] for k in configs}, configs)
    equal({got[k]['config_source'] for k in configs}, {1}, 'sources')
    equal(got['flush.ms']['value'], '9223372036854775807')
    true(len(got) >= 30, '%d configs' % len(got))
    true(all(not c['read_only'] for c in got.values()), 'read-only topic configs')


def layers(kit):
    """TOPIC > DYNAMIC_BROKER > DYNAMIC_DEFAULT_BROKER > STATIC_BROKER > DEFAULT, and back when each is taken away."""
    kit.create('lay')

    def seen(value, source):
        def test():
            row = kit.configs(TOPIC, 'lay')['max.message.bytes']
            return (row['value'], row['config_source']) == (value, source)
        kit.wait(test, 'max.message.bytes is not %s of source %d' % (value, source))

    def change(kind, name, key, op, value):
        error_is(kit.alter(kind, name, (op, key, value))['error_code'], 'NONE')
    seen('1048588', 5)
    change(BROKER, '', 'message.max.bytes', 'set', '1001')
    seen('1001', 3)
    change(BROKER, '1', 'message.max.bytes', 'set', '1002')
    seen('1002', 2)
    change(TOPIC, 'lay', 'max.message.bytes', 'set', '1003')
    seen('1003', 1)
    row = kit.configs(TOPIC, 'lay')['max.message.bytes']['synonyms']
    equal([(s['name'], s['value'], s['source']) for s in row],
          [('max.message.bytes', '1003', 1), ('message.max.bytes', '1002', 2), ('message.max.bytes', '1001', 3),
           ('message.max.bytes', '1048588', 5)], 'synonyms')
    change(TOPIC, 'lay', 'max.message.bytes', 'delete', None)
    change(BROKER, '1', 'message.max.bytes', 'delete', None)
    seen('1001', 3)
    change(BROKER, '', 'message.max.bytes', 'delete', None)
    seen('1048588', 5)


def changes_take_effect(kit):
    """A lower max.message.bytes refuses a batch at once, of the topic and of the cluster's default."""
    kit.create('eff')
    batch = lambda: wire.batch([b'x' * 3000])
    kit.put('eff', b'x' * 3000)
    kit.alter(TOPIC, 'eff', ('set', 'max.message.bytes', '1000'))
    kit.wait(lambda: kit.produce('eff', batch())['error_code'] == 10, 'MESSAGE_TOO_LARGE by the topic')
    kit.alter(TOPIC, 'eff', ('delete', 'max.message.bytes', None))
    kit.wait(lambda: kit.produce('eff', batch())['error_code'] == 0, 'accepted again')
    kit.alter(BROKER, '', ('set', 'message.max.bytes', '1000'))
    kit.wait(lambda: kit.produce('eff', batch())['error_code'] == 10, 'MESSAGE_TOO_LARGE by the cluster')
    kit.alter(BROKER, '', ('delete', 'message.max.bytes', None))
    kit.wait(lambda: kit.produce('eff', batch())['error_code'] == 0, 'accepted again')


def connection_limits_change(kit):
    """max.connections.per.ip, lowered while running, closes connections beyond it; taken back, they are served again."""
    def served(count):
        conns = [kit.conn() for _ in range(count)]
        good = 0
        for c in conns:
            try:
                c.call('api_versions', 0, {})
                good += 1
            except (wire.Closed, OSError):
                pass
            c.close()
        return good
    equal(served(6), 6)
    error_is(kit.alter(BROKER, '1', ('set', 'max.connections.per.ip', '4'))['error_code'], 'NONE')
    kit.wait(lambda: 1 <= served(6) <= 4, 'six connections are served')
    error_is(kit.alter(BROKER, '1', ('delete', 'max.connections.per.ip', None))['error_code'], 'NONE')
    kit.wait(lambda: served(6) == 6, 'six connections are not served again')


def old_alter_configs(kit):
    """AlterConfigs puts back what it does not name, and validates before it does."""
    kit.create('old', config={'retention.ms': '1000', 'segment.ms': '2000'})

    def alter(configs, validate=False):
        return kit.call('alter_configs', 2, {'resources': [{'resource_type': TOPIC, 'resource_name': 'old', 'configs': [
            {'name': k, 'value': v} for k, v in configs.items()]}], 'validate_only': validate})['responses'][0]
    error_is(alter({'segment.ms': 'x'})['error_code'], 'INVALID_CONFIG')
    error_is(alter({'segment.ms': '9'}, validate=True)['error_code'], 'NONE')
    got = kit.configs(TOPIC, 'old')
    equal([got['retention.ms']['value'], got['segment.ms']['value']], ['1000', '2000'])
    error_is(alter({'segment.ms': '3000'})['error_code'], 'NONE')
    kit.wait(lambda: kit.configs(TOPIC, 'old')['segment.ms']['value'] == '3000', 'segment.ms')
    got = kit.configs(TOPIC, 'old')['retention.ms']
    true(got['config_source'] != 1, 'retention.ms is still set: %s' % got)


def delete_disabled(kit):
    """delete.topic.enable=false: TOPIC_DELETION_DISABLED for each topic, and the topics stay."""
    b = kit.lane.broker({'delete.topic.enable': 'false'}, name='no-delete')
    from kit import Kit
    other = Kit(kit.lane, b)
    other.create('stays')
    rows = other.call('delete_topics', 6, {'topics': [{'name': 'stays', 'topic_id': bytes(16)}],
                                           'timeout_ms': 1000})['responses']
    equal([wire.err(r['error_code']) for r in rows], ['TOPIC_DELETION_DISABLED'])
    appears(other, 'stays', [0])
    kit.lane.stop(b)


def delete_and_create_again(kit):
    """A deleted topic is gone at once; its name may be used again and begins empty, with another id."""
    kit.create('again')
    kit.put('again', b'old')
    first = kit.ids['again']
    rows = kit.call('delete_topics', 6, {'topics': [{'name': 'again', 'topic_id': bytes(16)}], 'timeout_ms': 10000})
    error_is(rows['responses'][0]['error_code'], 'NONE')
    kit.wait(lambda: partitions_of(kit, 'again') is None, 'topic is still there')
    kit.create('again')
    true(kit.ids['again'] != first, 'the same topic id')
    kit.wait(lambda: kit.list_offset('again', -1)['error_code'] == 0, 'leader')
    equal(kit.list_offset('again', -1)['offset'], 0)


def flags(kit):
    """Broker configs: what needs a restart is read-only, passwords are hidden."""
    got = kit.configs(BROKER, '1')
    true(got['log.dirs']['read_only'] and not got['message.max.bytes']['read_only'], 'read-only flags')
    true(got['ssl.keystore.password']['is_sensitive'] and got['ssl.keystore.password']['value'] is None, 'password')
    equal(got['log.retention.hours']['value'], '48')
    equal(got['log.retention.hours']['config_source'], 4)
    some = kit.configs(BROKER, '1', ['node.id', 'no.such.key'])
    equal(sorted(some), ['node.id'])


def page_load(kit):
    """What consoles ask when they open: cluster, directories, quorum."""
    r = kit.call('describe_cluster', 1, {'include_cluster_authorized_operations': False, 'endpoint_type': 1})
    equal([b['broker_id'] for b in r['brokers']], [1])
    kit.create('dirs')
    kit.put('dirs', b'x')
    r = kit.call('describe_log_dirs', 4, {'topics': None})['results']
    true(r and all(d['error_code'] == 0 and d['total_bytes'] > 0 for d in r), r)
    r = kit.call('describe_quorum', 2, {'topics': [{'topic_name': '__cluster_metadata', 'partitions': [
        {'partition_index': 0}]}]})
    partition = r['topics'][0]['partitions'][0]
    equal([partition['leader_id'], [v['replica_id'] for v in partition['current_voters']]], [1, [1]])
    true(partition['high_watermark'] > 0, partition)


CHECKS = [one_result_per_topic, grown_partition_serves, validate_only, manual_assignment, same_name_twice, defaults,
          good_and_bad, configs_on_create, layers, changes_take_effect, connection_limits_change, old_alter_configs, delete_disabled,
          delete_and_create_again, flags, page_load]


def run(kit, attempt):
    for check in CHECKS:
        attempt('admin/' + check.__name__.replace('_', '-'), check, kit)
