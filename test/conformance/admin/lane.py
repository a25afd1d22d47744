"""The admin APIs on one node: what they answer, with which error codes and sentences, compared with Apache Kafka 4.4.0 (harness/judge.py)."""
import os
import time

import judge
import wire

PROPS = {'num.partitions': 2, 'auto.create.topics.enable': 'false'}
KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kafka-4.4.0.json')


class Script(judge.Script):
    def say(self, name, code, text=None, rest=None):
        self.answers[name] = [wire.err(code), self.clean(text), rest]

    # ---- topics

    def create(self, title, *topics, version=7, validate=False):
        body = {'topics': [dict({'num_partitions': 1, 'replication_factor': 1}, **t) for t in topics],
                'timeout_ms': 10000, 'validate_only': validate}
        rows = self.kit.call('create_topics', version, body)['topics']
        self.answers['create: ' + title] = sorted(
            [r['name'], wire.err(r['error_code']), r.get('error_message'), r.get('num_partitions'),
             r.get('replication_factor'), len(r.get('configs') or [])] for r in rows)

    def creations(self):
        self.create('one', {'name': 'a', 'num_partitions': 3})
        self.create('the same again', {'name': 'a'})
        self.create('defaults', {'name': 'defaults', 'num_partitions': -1, 'replication_factor': -1})
        self.create('no partitions', {'name': 'x', 'num_partitions': 0})
        self.create('minus two partitions', {'name': 'x', 'num_partitions': -2})
        self.create('no replicas', {'name': 'x', 'replication_factor': 0})
        self.create('too many replicas', {'name': 'x', 'replication_factor': 2})
        self.create('validate only', {'name': 'validated', 'num_partitions': 4}, validate=True)
        self.create('validate what exists', {'name': 'a'}, validate=True)
        self.create('bad name', {'name': 'a/b'})
        self.create('empty name', {'name': ''})
        self.create('dot', {'name': '.'})
        self.create('long name', {'name': 'n' * 250})
        self.create('longest name', {'name': 'n' * 249})
        self.create('collision', {'name': 'd.e'}, {'name': 'd_e'})
        self.create('collision with an old one', {'name': 'd_e'})
        self.create('twice in one request', {'name': 'twice'}, {'name': 'twice'}, {'name': 'once'})
        self.create('good and bad', {'name': 'good'}, {'name': 'bad', 'replication_factor': 9})
        self.create('internal', {'name': '__consumer_offsets'})
        self.create('metadata topic', {'name': '__cluster_metadata'})
        self.create('an unknown config', {'name': 'x', 'configs': [{'name': 'y', 'value': '1'}]})
        self.create('a config twice', {'name': 'x', 'configs': [
            {'name': 'flush.ms', 'value': '1'}, {'name': 'flush.ms', 'value': '2'}]})
        manual = {'num_partitions': -1, 'replication_factor': -1}
        rows = lambda *brokers: [{'partition_index': i, 'broker_ids': b} for i, b in enumerate(brokers)]
        self.create('by hand', dict(manual, name='hand', assignments=rows([1], [1])))
        self.create('by hand, unknown broker', dict(manual, name='x', assignments=rows([1], [7])))
        self.create('by hand, broker twice', dict(manual, name='x', assignments=rows([1, 1])))
        self.create('by hand, none', dict(manual, name='x', assignments=rows([])))
        self.create('by hand, a gap', dict(manual, name='x', assignments=[
            {'partition_index': 1, 'broker_ids': [1]}]))
        self.create('by hand, twice', dict(manual, name='x', assignments=[
            {'partition_index': 0, 'broker_ids': [1]}, {'partition_index': 0, 'broker_ids': [1]}]))
        self.create('by hand and by number', {'name': 'x', 'assignments': rows([1])})
        for version in range(2, 7):
            self.create('version %d' % version, {'name': 'v%d' % version}, {'name': 'a'}, version=version)

    def delete(self, title, names, version=6):
        if version >= 6:
            body = {'topics': [{'name': n, 'topic_id': bytes(16)} if isinstance(n, str) else
                               {'name': None, 'topic_id': n} for n in names]}
        else:
            body = {'topic_names': names}
        rows = self.kit.call('delete_topics', version, dict(body, timeout_ms=10000))['responses']
        self.answers['delete: ' + title] = sorted(
            [r['name'] or '', wire.err(r['error_code']), r.get('error_message')] for r in rows)

    def topic_id(self, name):
        return self.kit.metadata([name])['topics'][0]['topic_id']

    def deletions(self):
        self.delete('by name', ['v2'])
        self.delete('again', ['v2'])
        self.delete('unknown and known', ['nobody', 'v3'])
        self.delete('twice', ['v4', 'v4'])
        self.delete('bad name', ['a/b'])
        self.delete('by id', [self.topic_id('v5')])
        unknown = bytes(range(1, 17))
        self.delete('by unknown id', [unknown])
        both = {'topics': [{'name': 'v6', 'topic_id': self.topic_id('v6')}], 'timeout_ms': 1000}
        rows = self.kit.call('delete_topics', 6, both)['responses']
        self.answers['delete: by name and id'] = [[r['name'], wire.err(r['error_code']), r['error_message']]
                                                  for r in rows]
        neither = {'topics': [{'name': None, 'topic_id': bytes(16)}], 'timeout_ms': 1000}
        rows = self.kit.call('delete_topics', 6, neither)['responses']
        self.answers['delete: by neither'] = [[r['name'], wire.err(r['error_code']), r['error_message']]
                                              for r in rows]
        self.delete('version 1', ['good', 'nobody'], version=1)
        self.delete('version 5', ['once', 'nobody'], version=5)

    def grow(self, title, *topics, validate=False, version=3):
        rows = self.kit.call('create_partitions', version, {
            'topics': [dict({'assignments': None}, **t) for t in topics], 'timeout_ms': 10000,
            'validate_only': validate})['results']
        self.answers['partitions: ' + title] = sorted([r['name'], wire.err(r['error_code']), r['error_message']]
                                                      for r in rows)

    def growths(self):
        self.grow('more', {'name': 'a', 'count': 5})
        self.grow('the same', {'name': 'a', 'count': 5})
        self.grow('fewer', {'name': 'a', 'count': 2})
        self.grow('none', {'name': 'a', 'count': 0})
        self.grow('negative', {'name': 'a', 'count': -1})
        self.grow('unknown', {'name': 'nobody', 'count': 5})
        self.grow('twice', {'name': 'a', 'count': 6}, {'name': 'a', 'count': 7})
        self.grow('several', {'name': 'hand', 'count': 3}, {'name': 'nobody', 'count': 3})
        self.grow('validate only', {'name': 'a', 'count': 9}, validate=True)
        self.grow('by hand', {'name': 'a', 'count': 6, 'assignments': [{'broker_ids': [1]}]})
        self.grow('by hand, too few', {'name': 'a', 'count': 9, 'assignments': [{'broker_ids': [1]}]})
        self.grow('by hand, too many', {'name': 'a', 'count': 7, 'assignments': [
            {'broker_ids': [1]}, {'broker_ids': [1]}]})
        self.grow('by hand, unknown broker', {'name': 'a', 'count': 7, 'assignments': [{'broker_ids': [7]}]})
        self.grow('by hand, no broker', {'name': 'a', 'count': 7, 'assignments': [{'broker_ids': []}]})
        self.grow('by hand, two replicas', {'name': 'a', 'count': 7, 'assignments': [{'broker_ids': [1, 2]}]})
        for version in range(0, 3):
            self.grow('version %d' % version, {'name': 'a', 'count': 2}, version=version)
        self.kit.wait(lambda: len(self.kit.metadata(['a'])['topics'][0]['partitions']) == 6, 'partitions of a')

    # ---- reassignment, elections

    def reassign(self, title, topic, *partitions, version=1):
        body = {'topics': [{'name': topic, 'partitions': [
            {'partition_index': i, 'replicas': r} for i, r in partitions]}], 'timeout_ms': 10000}
        if version:
            body['allow_replication_factor_change'] = True
        r = self.kit.call('alter_partition_reassignments', version, body)
        rows = [[t['name'], p['partition_index'], wire.err(p['error_code']), p['error_message']]
                for t in r['responses'] for p in t['partitions']]
        self.say('reassign: ' + title, r['error_code'], r['error_message'], rows)

    def reassignments(self):
        self.reassign('to the same', 'a', (0, [1]))
        self.reassign('to an unknown broker', 'a', (0, [7]))
        self.reassign('to nobody', 'a', (0, []))
        self.reassign('twice the same broker', 'a', (0, [1, 1]))
        self.reassign('negative broker', 'a', (0, [-1]))
        self.reassign('cancel nothing', 'a', (0, None))
        self.reassign('unknown partition', 'a', (99, [1]))
        self.reassign('unknown topic', 'nobody', (0, [1]))
        self.reassign('version 0', 'a', (0, [1]), (1, [7]), version=0)
        for title, topics in (('all', None), ('some', [{'name': 'a', 'partition_indexes': [0]}]),
                              ('unknown', [{'name': 'nobody', 'partition_indexes': [0]}])):
            r = self.kit.call('list_partition_reassignments', 0, {'topics': topics, 'timeout_ms': 1000})
            self.say('reassignments of ' + title, r['error_code'], r['error_message'], r['topics'])

    def elect(self, title, kind, topics, version=2):
        body = {'election_type': kind, 'topic_partitions': topics, 'timeout_ms': 10000} if version else {
            'topic_partitions': topics, 'timeout_ms': 10000}
        r = self.kit.call('elect_leaders', version, body)
        rows = sorted([t['topic'], p['partition_id'], wire.err(p['error_code']), p['error_message']]
                      for t in r['replica_election_results'] for p in t['partition_result'])
        self.say('elect: ' + title, r.get('error_code', 0), None, rows)

    def elections(self):
        one = [{'topic': 'a', 'partitions': [0]}]
        for version in range(0, 3):
            self.elect('preferred, version %d' % version, 0, one, version)
        self.elect('unclean', 1, one)
        self.elect('no such kind', 5, one)
        self.elect('unknown partition', 0, [{'topic': 'a', 'partitions': [99]}])
        self.elect('unknown topic', 0, [{'topic': 'nobody', 'partitions': [0]}])
        self.elect('all', 0, None)

    # ---- quotas

    def quota(self, title, entity, *ops, validate=False, version=1):
        body = {'entries': [{'entity': [{'entity_type': t, 'entity_name': n} for t, n in entity],
                             'ops': [{'key': k, 'value': v or 0.0, 'remove': v is None} for k, v in ops]}],
                'validate_only': validate}
        e = self.kit.call('alter_client_quotas', version, body)['entries'][0]
        self.say('quota: ' + title, e['error_code'], e['error_message'])

    def quotas_of(self, title, components, strict=False, version=1):
        r = self.kit.call('describe_client_quotas', version, {'components': [
            {'entity_type': t, 'match_type': m, 'match': n} for t, m, n in components], 'strict': strict})
        rows = None if r['entries'] is None else sorted(
            [sorted([c['entity_type'], c['entity_name'] or '(default)'] for c in e['entity']),
             sorted([v['key'], v['value']] for v in e['values'])] for e in r['entries'])
        self.say('quotas of ' + title, r['error_code'], r['error_message'], rows)

    def quotas(self):
        self.quota('client', [('client-id', 'c')], ('producer_byte_rate', 1000.0))
        self.quota('default client', [('client-id', None)], ('consumer_byte_rate', 2000.0))
        self.quota('user', [('user', 'u')], ('request_percentage', 12.5))
        self.quota('user and client', [('user', 'u'), ('client-id', 'c')], ('controller_mutation_rate', 3.5))
        self.quota('address', [('ip', '10.0.0.1')], ('connection_creation_rate', 7.0))
        self.quota('default address', [('ip', None)], ('connection_creation_rate', 8.0))
        self.quota('unknown key', [('client-id', 'c')], ('speed', 1.0))
        self.quota('key of an address', [('client-id', 'c')], ('connection_creation_rate', 1.0))
        self.quota('key of a client', [('ip', '10.0.0.1')], ('producer_byte_rate', 1.0))
        self.quota('bad address', [('ip', 'a b')], ('connection_creation_rate', 1.0))
        self.quota('broken number', [('client-id', 'c')], ('producer_byte_rate', 1.5))
        self.quota('negative', [('client-id', 'c')], ('producer_byte_rate', -1.0))
        self.quota('zero', [('client-id', 'c')], ('producer_byte_rate', 0.0001))
        self.quota('empty entity', [], ('producer_byte_rate', 1.0))
        self.quota('unknown entity', [('planet', 'x')], ('producer_byte_rate', 1.0))
        self.quota('entity twice', [('user', 'u'), ('user', 'v')], ('producer_byte_rate', 1.0))
        self.quota('address and user', [('ip', '10.0.0.1'), ('user', 'v')], ('producer_byte_rate', 1.0))
        self.quota('empty name', [('user', '')], ('producer_byte_rate', 1.0))
        self.quota('validate only', [('user', 'valid')], ('producer_byte_rate', 1.0), validate=True)
        self.quota('remove what is not there', [('user', 'nobody')], ('producer_byte_rate', None))
        self.quota('version 0', [('user', 'zero')], ('producer_byte_rate', 5.0), version=0)
        time.sleep(0.5 if not self.kit.ours else 0)
        self.quotas_of('all', [])
        self.quotas_of('users', [('user', 2, None)])
        self.quotas_of('users, strictly', [('user', 2, None)], strict=True)
        self.quotas_of('one user', [('user', 0, 'u')])
        self.quotas_of('the default client', [('client-id', 1, None)])
        self.quotas_of('user and client', [('user', 0, 'u'), ('client-id', 0, 'c')], strict=True)
        self.quotas_of('addresses', [('ip', 2, None)], strict=True)
        self.quotas_of('addresses and users', [('ip', 2, None), ('user', 2, None)])
        self.quotas_of('a planet', [('planet', 2, None)])
        self.quotas_of('twice', [('user', 2, None), ('user', 2, None)])
        self.quotas_of('no such match', [('user', 9, None)])
        self.quotas_of('a match without a name', [('user', 0, None)])
        self.quotas_of('version 0', [('user', 2, None)], version=0)
        self.quota('remove', [('user', 'u')], ('request_percentage', None))

    # ---- features, cluster

    def feature(self, title, name, level, kind=1, validate=False, version=2):
        row = {'feature': name, 'max_version_level': level}
        row.update({'upgrade_type': kind} if version else {'allow_downgrade': kind > 1})
        body = {'feature_updates': [row], 'timeout_ms': 10000}
        if version:
            body['validate_only'] = validate
        r = self.kit.call('update_features', version, body)
        rows = [[f['feature'], wire.err(f['error_code']), f['error_message']] for f in r.get('results', [])]
        self.say('feature: ' + title, r['error_code'], r['error_message'], rows)

    def features(self):
        self.feature('unknown', 'nothing', 1)
        self.feature('too high', 'transaction.version', 99)
        self.feature('the same', 'transaction.version', 2)
        self.feature('down without leave', 'transaction.version', 1)
        self.feature('down, only tried', 'transaction.version', 1, kind=2, validate=True)
        self.feature('no such kind', 'transaction.version', 1, kind=9)
        self.feature('negative', 'transaction.version', -1, kind=2)
        self.feature('metadata too low', 'metadata.version', 1, kind=2)
        self.feature('version 0', 'nothing', 1, version=0)
        self.feature('version 1', 'nothing', 1, version=1)

    def cluster(self):
        r = self.kit.call('describe_cluster', 2, {'include_cluster_authorized_operations': True,
                                                  'endpoint_type': 1, 'include_fenced_brokers': True})
        rows = [[b['broker_id'], b['host'], b['rack'], b['is_fenced']] for b in r['brokers']]
        self.say('cluster', r['error_code'], r['error_message'],
                 {'brokers': rows, 'controller': r['controller_id'], 'type': r['endpoint_type'],
                  'operations': r['cluster_authorized_operations']})
        for kind in (2, 9):
            r = self.kit.call('describe_cluster', 1, {'endpoint_type': kind,
                                                      'include_cluster_authorized_operations': False})
            self.say('cluster of endpoint type %d' % kind, r['error_code'], r['error_message'])
        r = self.kit.call('unregister_broker', 0, {'broker_id': 99})
        self.say('unregister an unknown broker', r['error_code'], r['error_message'])
        r = self.kit.call('describe_acls', 3, {'resource_type_filter': 1, 'resource_name_filter': None,
                                               'pattern_type_filter': 1, 'principal_filter': None,
                                               'host_filter': None, 'operation': 1, 'permission_type': 1})
        self.say('acls', r['error_code'], r['error_message'], r['resources'])

    def quorum(self):
        ask = lambda topic, index: self.kit.call('describe_quorum', 2, {'topics': [
            {'topic_name': topic, 'partitions': [{'partition_index': index}]}]})
        for topic, index in (('__cluster_metadata', 0), ('__cluster_metadata', 1), ('a', 0)):
            r = ask(topic, index)
            rows = [[t['topic_name'], p['partition_index'], wire.err(p['error_code']), p['error_message'],
                     p['leader_id'], [v['replica_id'] for v in p['current_voters']], len(p['observers'])]
                    for t in r['topics'] for p in t['partitions']]
            nodes = [[n['node_id'], sorted(l['name'] for l in n['listeners'])] for n in r['nodes']]
            self.say('quorum of %s-%d' % (topic, index), r['error_code'], r['error_message'], [rows, nodes])

    def directories(self):
        self.kit.ids['a'] = self.topic_id('a')
        self.kit.put('a', b'x' * 100)
        ask = lambda topics: self.kit.call('describe_log_dirs', 5, {'topics': topics})
        for title, topics in (('a partition', [{'topic': 'a', 'partitions': [0]}]),
                              ('unknown ones', [{'topic': 'a', 'partitions': [99]},
                                                {'topic': 'nobody', 'partitions': [0]}]),
                              ('no topic', [])):
            r = ask(topics)
            rows = [[self.clean(d['log_dir']), wire.err(d['error_code']), d['is_cordoned'], d['total_bytes'] > 0,
                     [[t['name'], [[p['partition_index'], p['partition_size'] > 0, p['offset_lag'],
                                    p['is_future_key']] for p in t['partitions']]] for t in d['topics']]]
                    for d in r['results']]
            self.say('directories: ' + title, r['error_code'], None, rows)
        r = ask(None)
        self.say('directories: all', r['error_code'], None,
                 sorted(t['name'] for d in r['results'] for t in d['topics']))

    def producers(self):
        r = self.kit.call('describe_producers', 0, {'topics': [
            {'name': 'a', 'partition_indexes': [0, 99]}, {'name': 'nobody', 'partition_indexes': [0]}]})
        rows = [[t['name'], p['partition_index'], wire.err(p['error_code']), p['error_message'],
                 len(p['active_producers'])] for t in r['topics'] for p in t['partitions']]
        self.answers['producers'] = sorted(rows)

    def partitions(self):
        ask = lambda names, limit=2000, cursor=None: self.kit.call('describe_topic_partitions', 0, {
            'topics': [{'name': n} for n in names], 'response_partition_limit': limit, 'cursor': cursor})

        def show(title, r):
            rows = [[t['name'], wire.err(t['error_code']), t['is_internal'], t['topic_authorized_operations'],
                     [[p['partition_index'], wire.err(p['error_code']), p['leader_id'], p['replica_nodes'],
                       p['isr_nodes'], p['eligible_leader_replicas'], p['last_known_elr'], p['offline_replicas']]
                      for p in t['partitions']]] for t in r['topics']]
            self.answers['topic partitions: ' + title] = [rows, r['next_cursor']]
        show('some', ask(['a', 'hand']))
        show('unknown', ask(['nobody']))
        show('a few at a time', ask(['a', 'hand'], 4))
        show('from a cursor', ask(['a', 'hand'], 4, {'topic_name': 'a', 'partition_index': 4}))
        show('from a negative cursor', ask(['a'], 4, {'topic_name': 'a', 'partition_index': 0}))

    def records(self):
        for offset in (0, 1, 2, -1, -2):
            r = self.kit.delete_records('a', offset)
            self.answers['delete records before %d' % offset] = [wire.err(r['error_code']), r['low_watermark']]
        r = self.kit.call('delete_records', 2, {'topics': [
            {'name': 'nobody', 'partitions': [{'partition_index': 0, 'offset': 0}]},
            {'name': 'a', 'partitions': [{'partition_index': 99, 'offset': 0}]}], 'timeout_ms': 1000})
        self.answers['delete records of unknown'] = sorted(
            [t['name'], p['partition_index'], wire.err(p['error_code']), p['low_watermark']]
            for t in r['topics'] for p in t['partitions'])

    def run(self):
        for part in (self.creations, self.deletions, self.growths, self.reassignments, self.elections, self.quotas,
                     self.features, self.cluster, self.quorum, self.directories, self.producers,
                     self.partitions, self.records):
            part()
        return self.answers


def run(lane):
    judge.run(lane, Script, PROPS, KEPT)
