"""The requests: every API of this issue at every version that it has, good and bad ones, in one fixed order, so that two brokers that
started empty see the same. `s.call(title, api, version, body)` sends one and records the normalised answer."""
import wire

FIXED_TIME = 1700000000000  # long ago: such records would not survive retention


def versions(name):
    api = wire.APIS[name]
    return range(api.versions.low, api.versions.high + 1)


def api_versions(s):
    for v in versions('api_versions'):
        s.call('as is', 'api_versions', v, {'client_software_name': 'lane', 'client_software_version': '1.0'})
    s.call('bad software name', 'api_versions', 3, {'client_software_name': '-', 'client_software_version': '1'})
    s.call('wrong cluster', 'api_versions', 5, {
        'client_software_name': 'lane', 'client_software_version': '1', 'cluster_id': 'AAAAAAAAAAAAAAAAAAAAAA', 'node_id': 1})


def topics(s):
    def topic(name, partitions=2, factor=1, **more):
        return dict({'name': name, 'num_partitions': partitions, 'replication_factor': factor}, **more)
    for v in versions('create_topics'):
        def create(title, *rows, validate=False):
            return s.call(title, 'create_topics', v, {'topics': list(rows), 'timeout_ms': 10000,
                                                      'validate_only': validate})
        made = create('two', topic('v%d-a' % v), topic('v%d-b' % v, 3, configs=[
            {'name': 'retention.ms', 'value': '12345'}, {'name': 'cleanup.policy', 'value': 'compact'}]))
        for row in made['topics']:
            if v >= 7:
                s.learn(row['name'], row['topic_id'])
        create('again', topic('v%d-a' % v))
        create('validate only', topic('v%d-c' % v, configs=[{'name': 'max.message.bytes', 'value': '100'}]), validate=True)
        create('assignment', topic('v%d-d' % v, -1, -1, assignments=[
            {'partition_index': 0, 'broker_ids': [1]}, {'partition_index': 1, 'broker_ids': [1]}]))
        create('bad assignments', topic('v%d-e' % v, -1, -1, assignments=[{'partition_index': 1, 'broker_ids': [1]}]),
               topic('v%d-f' % v, -1, -1, assignments=[{'partition_index': 0, 'broker_ids': [9]}]),
               topic('v%d-g' % v, -1, -1, assignments=[{'partition_index': 0, 'broker_ids': [1, 1]}]),
               topic('v%d-h' % v, 2, 1, assignments=[{'partition_index': 0, 'broker_ids': [1]}]))
        create('bad names', topic(''), topic('.'), topic('..'), topic('a b'), topic('x' * 250), topic('ä'))
        create('bad numbers', topic('v%d-i' % v, 0), topic('v%d-j' % v, 1, 2), topic('v%d-k' % v, 1, 0),
               topic('v%d-l' % v, -2, 1), topic('v%d-m' % v, 1, -2))
        create('bad configs', topic('v%d-n' % v, configs=[{'name': 'retention.ms', 'value': 'soon'}]),
               topic('v%d-o' % v, configs=[{'name': 'no.such.config', 'value': '1'}]),
               topic('v%d-p' % v, configs=[{'name': 'cleanup.policy', 'value': 'shred'}]),
               topic('v%d-q' % v, configs=[{'name': 'retention.ms', 'value': None}]))
        create('twice', topic('v%d-r' % v), topic('v%d-r' % v))
        create('with a point', topic('v%d.x' % v))
        create('colliding', topic('v%d_x' % v))
        if v >= 4:
            create('defaults', topic('v%d-s' % v, -1, -1))
        create('none')
    for v in versions('create_partitions'):
        def grow(title, *rows, validate=False):
            s.call(title, 'create_partitions', v, {'topics': list(rows), 'timeout_ms': 10000, 'validate_only': validate})
        name = 'v%d-a' % (v + 2)
        grow('validate only', {'name': name, 'count': 9, 'assignments': None}, validate=True)
        grow('to four', {'name': name, 'count': 4, 'assignments': None})
        grow('to five, assigned', {'name': name, 'count': 5, 'assignments': [{'broker_ids': [1]}]})
        grow('same, fewer, unknown', {'name': name, 'count': 5, 'assignments': None}, {'name': 'nope', 'count': 5, 'assignments': None})
        grow('fewer', {'name': name, 'count': 1, 'assignments': None})
        grow('bad assignments', {'name': name, 'count': 7, 'assignments': [{'broker_ids': [1]}]})
        grow('unknown broker', {'name': name, 'count': 6, 'assignments': [{'broker_ids': [7]}]})
        grow('twice', {'name': name, 'count': 8, 'assignments': None}, {'name': name, 'count': 9, 'assignments': None})
    for v in versions('describe_topic_partitions'):
        s.call('two', 'describe_topic_partitions', v, {'topics': [{'name': 'v2-b'}, {'name': 'v3-b'}], 'response_partition_limit': 2000})
        s.call('paged', 'describe_topic_partitions', v, {'topics': [{'name': 'v2-b'}, {'name': 'v3-b'}], 'response_partition_limit': 4})
        s.call('from cursor', 'describe_topic_partitions', v, {
            'topics': [{'name': 'v2-b'}, {'name': 'v3-b'}], 'response_partition_limit': 4,
            'cursor': {'topic_name': 'v3-b', 'partition_index': 1}})
        s.call('unknown, bad', 'describe_topic_partitions', v, {'topics': [{'name': 'nope'}, {'name': 'a b'}], 'response_partition_limit': 10})


def metadata(s):
    s.learn_all()
    for v in versions('metadata'):
        def ask(title, names, **more):
            rows = None if names is None else [{'name': n} for n in names]
            s.call(title, 'metadata', v, dict({'topics': rows, 'allow_auto_topic_creation': False}, **more))
        ask('two', ['v2-a', 'v7-b'])
        if v in (0, 1, 13):
            ask('all', None if v else [])
        ask('unknown', ['nope'])
        ask('bad', ['a b', ''])
        if v >= 1:
            ask('none', [])
        if v >= 8:
            ask('authorized operations', ['v2-a'], include_topic_authorized_operations=True,
                include_cluster_authorized_operations=True)
        if v >= 10:
            unknown = bytes(15) + b'\7'
            s.call('by id', 'metadata', v, {'topics': [{'topic_id': s.kit.ids['v7-a'], 'name': None}], 'allow_auto_topic_creation': False})
            s.call('unknown id', 'metadata', v, {'topics': [{'topic_id': unknown, 'name': None}], 'allow_auto_topic_creation': False})
    for v in versions('describe_cluster'):
        s.call('as is', 'describe_cluster', v, {})
        s.call('with operations', 'describe_cluster', v, {'include_cluster_authorized_operations': True})
        if v >= 1:
            s.call('controllers', 'describe_cluster', v, {'endpoint_type': 2})
            s.call('bad endpoint type', 'describe_cluster', v, {'endpoint_type': 7})
        if v >= 2:
            s.call('fenced too', 'describe_cluster', v, {'include_fenced_brokers': True})


def produce(s):
    for v in versions('produce'):
        topic = 'p%d' % v
        s.create(topic, 2)
        where = {'topic_id': s.kit.ids[topic]} if v >= 13 else {'name': topic}
        nowhere = {'topic_id': bytes(15) + b'\7'} if v >= 13 else {'name': 'nope'}

        def put(title, rows, acks=-1, topic_row=where, **more):
            s.call(title, 'produce', v, dict({'acks': acks, 'timeout_ms': 5000, 'topic_data': [
                dict(topic_row, partition_data=[{'index': i, 'records': r} for i, r in rows])]}, **more))
        batch = wire.batch([b'one', (b'key', b'two')], timestamp=FIXED_TIME)
        put('two partitions', [(0, batch), (1, batch)])
        put('acks 1', [(0, wire.batch([b'three'], 'gzip', timestamp=FIXED_TIME + 5))], acks=1)
        put('no partition', [(7, batch)])
        put('unknown topic', [(0, batch)], topic_row=nowhere)
        put('bad acks', [(0, batch)], acks=2)
        put('bad crc', [(0, batch[:-1] + b'!')])
        put('too large', [(0, wire.batch([b'x' * 1100000], timestamp=FIXED_TIME))])
        put('future', [(0, wire.batch([b'x'], timestamp=4000000000000))])
        put('count lies', [(0, wire.batch([b'a', b'b'], count=3, timestamp=FIXED_TIME))])
        put('zstd', [(0, wire.batch([b'a'], 'zstd', timestamp=FIXED_TIME))])
        put('old format', [(0, wire.legacy_message(b'x'))])
        put('two batches', [(0, batch + batch)])
        put('empty records', [(0, b'')])
        put('transactional batch', [(0, wire.batch([b'x'], timestamp=FIXED_TIME, pid=900, pid_epoch=0, sequence=0, attributes=16))])
        put('control batch', [(0, wire.batch([(b'\0\0\0\0', b'\0\0\0\0\0\0')], timestamp=FIXED_TIME, attributes=32))])
        s.call('no topic', 'produce', v, {'acks': -1, 'timeout_ms': 5000, 'topic_data': []})
    s.until_ready('init_producer_id', 4, {'transactional_id': None, 'transaction_timeout_ms': 60000})
    for v in versions('init_producer_id'):
        if v <= 5:
            s.call('no id', 'init_producer_id', v, {'transactional_id': None, 'transaction_timeout_ms': 60000})
            s.call('empty id', 'init_producer_id', v, {'transactional_id': '', 'transaction_timeout_ms': 60000})
    idempotent(s)


def idempotent(s):
    s.create('idem', 1)
    pid = s.call('for idem', 'init_producer_id', 4, {'transactional_id': None, 'transaction_timeout_ms': 60000})['producer_id']

    def put(title, sequence, count=2, epoch=0, producer=pid):
        s.call(title, 'produce', 9, s.kit.produce_body([('idem', 0, wire.batch(
            [b'%d' % i for i in range(count)], timestamp=FIXED_TIME, pid=producer, pid_epoch=epoch, sequence=sequence))]))
    for i in range(6):
        put('sequence %d' % (2 * i), 2 * i)
    put('duplicate of the last', 10)
    put('duplicate of the fifth last', 2)
    put('duplicate beyond five', 0)
    put('gap', 20)
    put('new epoch', 0, epoch=1)
    put('new epoch, not from zero', 5, epoch=2)
    put('old epoch', 2, epoch=0)
    put('unknown producer in the middle', 7, producer=pid + 500)
    put('new producer', 0, producer=pid + 501)
    for v in versions('describe_producers'):
        s.call('idem', 'describe_producers', v, {'topics': [{'name': 'idem', 'partition_indexes': [0, 5]}, {'name': 'nope', 'partition_indexes': [0]}]})


def fetch(s):
    s.create('f', 2)
    s.kit.put('f', b'a', b'b', b'c', timestamp=FIXED_TIME)
    s.kit.put('f', b'd', b'e', timestamp=FIXED_TIME + 10, codec='gzip')
    for v in versions('fetch'):
        def get(title, parts, **more):
            s.call(title, 'fetch', v, s.kit.fetch_body(parts, v, **more))
        missing = bytes(15) + b'\7' if v >= 13 else 'nope'
        get('all', [('f', 0, 0), ('f', 1, 0)])
        get('middle of a batch', [('f', 0, 4)])
        get('at the end', [('f', 0, 5)])
        get('out of range', [('f', 0, 6), ('f', 1, 1)])
        get('below zero', [('f', 0, -1)])
        get('no partition', [('f', 9, 0)])
        get('unknown topic', [(missing, 0, 0)])
        get('one byte', [('f', 0, 0)], max_bytes=1, part_bytes=1)
        get('committed only', [('f', 0, 0)], isolation=1)
        if v >= 9:
            get('wrong epochs', [('f', 0, 0, {'current_leader_epoch': 5}), ('f', 1, 0, {'current_leader_epoch': 0})])
        if v >= 12:
            get('diverging epoch', [('f', 0, 5, {'last_fetched_epoch': 3})])
        if v >= 7:
            sessions(s, v)
    for v in versions('list_offsets'):
        offsets(s, v)
    for v in versions('offset_for_leader_epoch'):
        s.call('epochs', 'offset_for_leader_epoch', v, {'replica_id': -2, 'topics': [
            {'topic': 'f', 'partitions': [{'partition': 0, 'current_leader_epoch': -1, 'leader_epoch': 0},
                                          {'partition': 1, 'current_leader_epoch': 0, 'leader_epoch': 7},
                                          {'partition': 5, 'current_leader_epoch': -1, 'leader_epoch': 0}]},
            {'topic': 'nope', 'partitions': [{'partition': 0, 'current_leader_epoch': -1, 'leader_epoch': 0}]}]})
        s.call('wrong current epoch', 'offset_for_leader_epoch', v, {'replica_id': -2, 'topics': [
            {'topic': 'f', 'partitions': [{'partition': 0, 'current_leader_epoch': 4, 'leader_epoch': 0}]}]})


def sessions(s, v):
    def get(title, parts, session, epoch, **more):
        return s.call(title, 'fetch', v, s.kit.fetch_body(parts, v, session=session, session_epoch=epoch, **more))
    first = get('session begins', [('f', 0, 0), ('f', 1, 0)], 0, 0)
    number = first['session_id']
    get('session goes on', [], number, 1)
    get('session moves', [('f', 0, 5)], number, 2)
    get('session skips an epoch', [], number, 7)
    get('no such session', [], 12345, 1)
    get('session ends', [], number, -1)


def offsets(s, v):
    def ask(title, *rows, **more):
        s.call(title, 'list_offsets', v, dict({'replica_id': -1, 'isolation_level': 0, 'timeout_ms': 5000, 'topics': [
            {'name': 'f', 'partitions': [dict({'partition_index': p, 'timestamp': t}, **(e or {})) for p, t, e in rows]}]}, **more))
    ask('latest and earliest', (0, -1, None), (1, -2, None))
    ask('earliest', (0, -2, None))
    ask('by time', (0, FIXED_TIME + 5, None), (1, FIXED_TIME, None))
    ask('by time, too late', (0, FIXED_TIME + 60000, None))
    ask('by time, before all', (0, 0, None))
    for special in (-3, -4, -5, -6, -9):
        ask('timestamp %d' % special, (0, special, None))
    ask('no partition', (9, -1, None))
    ask('twice', (0, -1, None), (0, -2, None))
    s.call('unknown topic', 'list_offsets', v, {'replica_id': -1, 'topics': [{'name': 'nope', 'partitions': [{'partition_index': 0, 'timestamp': -1}]}]})
    if v >= 4:
        ask('wrong epoch', (0, -1, {'current_leader_epoch': 9}))
    if v >= 2:
        ask('committed', (0, -1, None), isolation_level=1)


def records(s):
    s.create('d', 1)
    s.kit.put('d', *[b'%d' % i for i in range(20)], timestamp=FIXED_TIME)
    for v in versions('delete_records'):
        def delete(title, offset, name='d', partition=0):
            s.call(title, 'delete_records', v, {'timeout_ms': 5000, 'topics': [
                {'name': name, 'partitions': [{'partition_index': partition, 'offset': offset}]}]})
        delete('some', 3 + v)
        delete('before the start', 1)
        delete('beyond the end', 99)
        delete('negative', -5)
        delete('no partition', 1, partition=4)
        delete('unknown topic', 1, name='nope')
    s.call('after', 'list_offsets', 7, {'replica_id': -1, 'topics': [{'name': 'd', 'partitions': [{'partition_index': 0, 'timestamp': -2}]}]})


def configs(s):
    s.create('c', 1, {'retention.ms': '5000', 'min.insync.replicas': '1'})

    def describe(title, v, kind, name, keys=None, **more):
        s.call(title, 'describe_configs', v, dict({'resources': [
            {'resource_type': kind, 'resource_name': name, 'configuration_keys': keys}], 'include_synonyms': False}, **more))
    for v in versions('describe_configs'):
        describe('topic', v, 2, 'c')
        describe('topic, synonyms', v, 2, 'c', ['retention.ms', 'segment.bytes', 'min.insync.replicas', 'no.such'], include_synonyms=True)
        describe('topic, no key', v, 2, 'c', [])
        describe('unknown topic', v, 2, 'nope')
        describe('bad topic', v, 2, 'a b')
        describe('broker keys', v, 4, '1', ['log.retention.ms', 'num.partitions', 'log.cleaner.threads', 'node.id', 'message.max.bytes',
                                           'ssl.keystore.password', 'listeners', 'log.retention.hours'], include_synonyms=True)
        describe('cluster default', v, 4, '')
        describe('other broker', v, 4, '9')
        describe('bad broker', v, 4, 'x')
        describe('group', v, 32, 'g')
        describe('client metrics', v, 16, 'm')
        describe('bad type', v, 99, 'x')
        if v >= 3:
            describe('documented', v, 2, 'c', ['retention.ms'], include_documentation=True)
    changes(s, describe)


def changes(s, describe):
    def incremental(title, v, kind, name, *rows, validate=False):
        s.call(title, 'incremental_alter_configs', v, {'validate_only': validate, 'resources': [
            {'resource_type': kind, 'resource_name': name, 'configs': [
                {'name': k, 'config_operation': o, 'value': value} for o, k, value in rows]}]})
    for v in versions('incremental_alter_configs'):
        incremental('validate only', v, 2, 'c', (0, 'retention.ms', '777'), validate=True)
        incremental('set', v, 2, 'c', (0, 'retention.ms', '6000'), (0, 'max.message.bytes', '2000'))
        incremental('delete', v, 2, 'c', (1, 'max.message.bytes', None))
        incremental('append', v, 2, 'c', (2, 'cleanup.policy', 'compact'))
        incremental('subtract', v, 2, 'c', (3, 'cleanup.policy', 'compact'))
        incremental('append to no list', v, 2, 'c', (2, 'retention.ms', '1'))
        incremental('bad value', v, 2, 'c', (0, 'retention.ms', 'soon'))
        incremental('out of range', v, 2, 'c', (0, 'min.insync.replicas', '0'))
        incremental('null value', v, 2, 'c', (0, 'retention.ms', None))
        incremental('bad operation', v, 2, 'c', (9, 'retention.ms', '1'))
        incremental('unknown key', v, 2, 'c', (0, 'no.such', '1'))
        incremental('one key twice', v, 2, 'c', (0, 'retention.ms', '1'), (0, 'retention.ms', '2'))
        incremental('unknown topic', v, 2, 'nope', (0, 'retention.ms', '1'))
        incremental('broker, dynamic', v, 4, '1', (0, 'log.cleaner.threads', '2'))
        incremental('broker, read only', v, 4, '1', (0, 'node.id', '2'))
        incremental('cluster default', v, 4, '', (0, 'log.retention.ms', '99999999'))
        incremental('back', v, 4, '', (1, 'log.retention.ms', None))
        incremental('broker, back', v, 4, '1', (1, 'log.cleaner.threads', None))
        incremental('group', v, 32, 'g', (0, 'consumer.session.timeout.ms', '46000'))
        incremental('group, bad', v, 32, 'g', (0, 'consumer.session.timeout.ms', '1'))
        incremental('client metrics', v, 16, 'm', (0, 'interval.ms', '60000'))
        incremental('client metrics, bad', v, 16, 'm', (0, 'interval.ms', '5'))
        incremental('bad type', v, 77, 'x', (0, 'retention.ms', '1'))
        s.pause()
        describe('after', 4, 2, 'c', ['retention.ms', 'max.message.bytes', 'cleanup.policy'])
    for v in versions('alter_configs'):
        def alter(title, kind, name, *rows, validate=False):
            s.call(title, 'alter_configs', v, {'validate_only': validate, 'resources': [
                {'resource_type': kind, 'resource_name': name, 'configs': [{'name': k, 'value': value} for k, value in rows]}]})
        alter('validate only', 2, 'c', ('segment.bytes', '2000000'), validate=True)
        alter('replace all', 2, 'c', ('segment.bytes', '2000000'))
        alter('bad value', 2, 'c', ('segment.bytes', 'many'))
        alter('null value', 2, 'c', ('segment.bytes', None))
        alter('unknown topic', 2, 'nope', ('segment.bytes', '2000000'))
        s.pause()
        describe('after', 4, 2, 'c', ['retention.ms', 'segment.bytes'])
    for v in versions('list_config_resources'):
        s.call('all', 'list_config_resources', v, {})
        if v >= 1:
            s.call('some', 'list_config_resources', v, {'resource_types': [16, 32]})
            s.call('bad', 'list_config_resources', v, {'resource_types': [99]})


def cluster(s):
    for v in versions('describe_log_dirs'):
        s.call('one topic', 'describe_log_dirs', v, {'topics': [{'topic': 'd', 'partitions': [0, 4]}]})
        s.call('no such topic', 'describe_log_dirs', v, {'topics': [{'topic': 'nope', 'partitions': [0]}]})
    for v in versions('elect_leaders'):
        for kind in (0, 1):
            s.call('kind %d' % kind, 'elect_leaders', v, {'election_type': kind, 'timeout_ms': 5000, 'topic_partitions': [
                {'topic': 'd', 'partitions': [0, 7]}, {'topic': 'nope', 'partitions': [0]}]})
        s.call('all', 'elect_leaders', v, {'election_type': 0, 'timeout_ms': 5000, 'topic_partitions': None})
    for v in versions('alter_partition_reassignments'):
        def move(title, replicas, name='d', partition=0):
            s.call(title, 'alter_partition_reassignments', v, {'timeout_ms': 5000, 'topics': [
                {'name': name, 'partitions': [{'partition_index': partition, 'replicas': replicas}]}]})
        move('same place', [1])
        move('unknown broker', [8])
        move('no broker', [])
        move('one twice', [1, 1])
        move('cancel none', None)
        move('no partition', [1], partition=6)
        move('unknown topic', [1], name='nope')
    for v in versions('list_partition_reassignments'):
        s.call('all', 'list_partition_reassignments', v, {'topics': None})
        s.call('one', 'list_partition_reassignments', v, {'topics': [{'name': 'd', 'partition_indexes': [0]}]})
        s.call('unknown', 'list_partition_reassignments', v, {'topics': [{'name': 'nope', 'partition_indexes': [0]}]})
    for v in versions('describe_quorum'):
        s.call('metadata', 'describe_quorum', v, {'topics': [{'topic_name': '__cluster_metadata', 'partitions': [{'partition_index': 0}]}]})
        s.call('another topic', 'describe_quorum', v, {'topics': [{'topic_name': 'd', 'partitions': [{'partition_index': 0}]}]})
    for v in versions('update_features'):
        def update(title, feature, level, kind=1):
            s.call(title, 'update_features', v, {'timeout_ms': 5000, 'validate_only': True, 'feature_updates': [
                {'feature': feature, 'max_version_level': level, 'upgrade_type': kind, 'allow_downgrade': kind != 1}]})
        update('unknown feature', 'no.such.feature', 1)
        update('too high', 'metadata.version', 999)
        update('same', 'metadata.version', 30)
        update('delete', 'group.version', 0)
        update('bad type', 'group.version', 1, 9)
    for v in versions('unregister_broker'):
        s.call('unknown', 'unregister_broker', v, {'broker_id': 77})
    for v in versions('describe_acls'):
        s.call('all', 'describe_acls', v, {'resource_type_filter': 1, 'resource_name_filter': None, 'pattern_type_filter': 1,
                                           'principal_filter': None, 'host_filter': None, 'operation': 1, 'permission_type': 1})


def quotas(s):
    for v in versions('alter_client_quotas'):
        def alter(title, entity, *ops, validate=False):
            s.call(title, 'alter_client_quotas', v, {'validate_only': validate, 'entries': [
                {'entity': [{'entity_type': t, 'entity_name': n} for t, n in entity],
                 'ops': [{'key': k, 'value': value, 'remove': remove} for k, value, remove in ops]}]})
        alter('user', [('user', 'u%d' % v)], ('producer_byte_rate', 1000.5, False))
        alter('user and client', [('user', 'u%d' % v), ('client-id', None)], ('consumer_byte_rate', 2000.0, False))
        alter('default user, validate only', [('user', None)], ('request_percentage', 50.0, False), validate=True)
        alter('unknown key', [('user', 'x')], ('no_such_rate', 1.0, False))
        alter('unknown entity', [('planet', 'x')], ('producer_byte_rate', 1.0, False))
        alter('negative', [('user', 'x')], ('producer_byte_rate', -1.0, False))
        alter('fraction', [('user', 'x')], ('controller_mutation_rate', 0.5, False))
        alter('ip', [('ip', '127.0.0.1')], ('connection_creation_rate', 10.0, False))
        alter('bad ip', [('ip', 'no host.invalid')], ('connection_creation_rate', 10.0, False))
        alter('no entity', [], ('producer_byte_rate', 1.0, False))
        alter('remove', [('user', 'u%d' % v), ('client-id', None)], ('consumer_byte_rate', 0.0, True))
    for v in versions('describe_client_quotas'):
        def describe(title, *rows, strict=False):
            s.call(title, 'describe_client_quotas', v, {'strict': strict, 'components': [
                {'entity_type': t, 'match_type': m, 'match': match} for t, m, match in rows]})
        describe('all')
        describe('one user', ('user', 0, 'u0'))
        describe('any user, strict', ('user', 2, None), strict=True)
        describe('default user', ('user', 1, None))
        describe('unknown entity', ('planet', 0, 'x'))
        describe('same twice', ('user', 0, 'u0'), ('user', 0, 'u1'))
        describe('bad match', ('user', 7, None))


def deletes(s):
    s.learn_all()
    for v in versions('delete_topics'):
        def delete(title, *names):
            body = {'timeout_ms': 10000}
            if v >= 6:
                body['topics'] = [{'name': n, 'topic_id': bytes(16)} for n in names]
            else:
                body['topic_names'] = list(names)
            s.call(title, 'delete_topics', v, body)
        delete('one and an unknown', 'v%d-d' % (v + 1), 'nope')
        delete('again', 'v%d-d' % (v + 1))
        delete('twice', 'p3', 'p3')
        if v >= 6:
            s.call('by id', 'delete_topics', v, {'timeout_ms': 10000, 'topics': [
                {'name': None, 'topic_id': s.kit.ids['v7-b']}, {'name': None, 'topic_id': bytes(15) + b'\7'}]})
            s.call('name and id', 'delete_topics', v, {'timeout_ms': 10000, 'topics': [{'name': 'v7-a', 'topic_id': s.kit.ids['v7-a']}]})
    s.pause()
    s.call('what is left', 'metadata', 9, {'topics': None})


def controller(s):
    """What the controller listener serves, at each API's last version."""
    with s.at_controller():
        for v in versions('api_versions'):
            s.call('as is', 'api_versions', v, {'client_software_name': 'lane', 'client_software_version': '1.0'})
        for v in versions('describe_cluster'):
            s.call('controllers', 'describe_cluster', v, {'endpoint_type': 2})
            s.call('brokers', 'describe_cluster', v, {'endpoint_type': 1})
        s.call('one', 'create_topics', 7, {'timeout_ms': 10000, 'topics': [{'name': 'from-controller', 'num_partitions': 1, 'replication_factor': 1}]})
        s.call('again', 'create_topics', 7, {'timeout_ms': 10000, 'topics': [{'name': 'from-controller', 'num_partitions': 1, 'replication_factor': 1}]})
        s.call('more', 'create_partitions', 3, {'timeout_ms': 10000, 'topics': [{'name': 'from-controller', 'count': 2, 'assignments': None}]})
        s.call('set', 'incremental_alter_configs', 1, {'resources': [{'resource_type': 2, 'resource_name': 'from-controller', 'configs': [
            {'name': 'retention.ms', 'config_operation': 0, 'value': '777'}]}]})
        s.call('topic', 'describe_configs', 4, {'resources': [{'resource_type': 2, 'resource_name': 'c', 'configuration_keys': ['segment.bytes']}]})
        s.call('quota', 'alter_client_quotas', 1, {'entries': [{'entity': [{'entity_type': 'user', 'entity_name': 'c'}], 'ops': [
            {'key': 'producer_byte_rate', 'value': 5.0, 'remove': False}]}]})
        s.call('metadata', 'describe_quorum', 2, {'topics': [{'topic_name': '__cluster_metadata', 'partitions': [{'partition_index': 0}]}]})
        s.call('all', 'list_partition_reassignments', 0, {'topics': None})
        s.call('same place', 'alter_partition_reassignments', 1, {'topics': [{'name': 'from-controller', 'partitions': [{'partition_index': 0, 'replicas': [1]}]}]})
        s.call('one', 'elect_leaders', 2, {'topic_partitions': [{'topic': 'from-controller', 'partitions': [0]}]})
        s.call('unknown', 'unregister_broker', 0, {'broker_id': 77})
        s.call('too high', 'update_features', 2, {'validate_only': True, 'feature_updates': [{'feature': 'metadata.version', 'max_version_level': 999}]})
        s.call('one', 'delete_topics', 6, {'timeout_ms': 10000, 'topics': [{'name': 'from-controller', 'topic_id': bytes(16)}]})
        s.call('not served', 'metadata', 9, {'topics': []})
        s.call('not served', 'produce', 9, {'acks': -1, 'timeout_ms': 1, 'topic_data': []})


PARTS = (api_versions, topics, metadata, produce, fetch, records, configs, quotas, cluster, deletes, controller)
