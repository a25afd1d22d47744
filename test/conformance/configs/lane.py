"""Configs of topics, brokers, groups and client metrics, as DescribeConfigs shows them and as they may be changed.

One script of requests runs against the broker; its answers are compared with those of Apache Kafka 4.4.0: names, values,
sources, types, flags, synonyms, error codes and sentences (texts of documentation apart). The short form compares with the
answers kept in kafka-4.4.0.json, the long form with a live Apache Kafka 4.4.0. `--broker apache-4.4.0 --long` writes the file anew.
"""
import os

import judge
import wire

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
PROPS = {'log.retention.hours': 48, 'message.max.bytes': 2000000, 'log.cleanup.policy': 'delete',
         'max.connections.per.ip.overrides': '10.0.0.1:5', 'ssl.keystore.password': 'secret',
         'group.consumer.session.timeout.ms': 46000, 'my.own.setting': 'x',
         'listener.name.plaintext.max.connections': 500}
KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kafka-4.4.0.json')

# (type, name, [(operation, key, value)]): what may be changed, and with which sentence it may not.
CHANGES = [
    (TOPIC, 't', [('set', 'retention.ms', '5000')]),
    (TOPIC, 't', [('set', 'retention.ms', 'x')]),
    (TOPIC, 't', [('set', 'retention.ms', '-2')]),
    (TOPIC, 't', [('set', 'nothing', '1')]),
    (TOPIC, 't', [('set', 'segment.bytes', '1')]),
    (TOPIC, 't', [('set', 'segment.bytes', '')]),
    (TOPIC, 't', [('set', 'cleanup.policy', 'squash')]),
    (TOPIC, 't', [('set', 'cleanup.policy', '')]),
    (TOPIC, 't', [('append', 'cleanup.policy', 'compact')]),
    (TOPIC, 't', [('append', 'cleanup.policy', 'compact,delete')]),
    (TOPIC, 't', [('subtract', 'cleanup.policy', 'delete')]),
    (TOPIC, 't', [('append', 'retention.ms', '1')]),
    (TOPIC, 't', [('set', 'retention.ms', None)]),
    (TOPIC, 't', [('delete', 'retention.ms', None)]),
    (TOPIC, 't', [('delete', 'never.there', None)]),
    (TOPIC, 't', [('set', 'compression.type', 'bz2')]),
    (TOPIC, 't', [('set', 'compression.gzip.level', '10')]),
    (TOPIC, 't', [('set', 'min.cleanable.dirty.ratio', '1.01')]),
    (TOPIC, 't', [('set', 'preallocate', 'perhaps')]),
    (TOPIC, 't', [('set', 'leader.replication.throttled.replicas', 'a:b')]),
    (TOPIC, 't', [('set', 'leader.replication.throttled.replicas', '0:1')]),
    (TOPIC, 't', [('set', 'min.compaction.lag.ms', '10'), ('set', 'max.compaction.lag.ms', '9')]),
    (TOPIC, 't', [('set', 'remote.storage.enable', 'true')]),
    (TOPIC, 't', [('set', 'retention.ms', '1'), ('set', 'retention.ms', '2')]),
    (TOPIC, 'missing', [('set', 'retention.ms', '1')]),
    (TOPIC, 'a b', [('set', 'retention.ms', '1')]),
    (TOPIC, '', [('set', 'retention.ms', '1')]),
    (BROKER, '1', [('set', 'message.max.bytes', '3000000')]),
    (BROKER, '', [('set', 'log.retention.ms', '7000')]),
    (BROKER, '', [('set', 'leader.replication.throttled.rate', '1000')]),
    (BROKER, '', [('set', 'leader.replication.throttled.rate', '-1')]),
    (BROKER, '', [('set', 'log.dirs', '/x')]),
    (BROKER, '1', [('set', 'log.dirs', '/x')]),
    (BROKER, '', [('set', 'cordoned.log.dirs', '/x')]),
    (BROKER, '1', [('set', 'cordoned.log.dirs', '/x')]),
    (BROKER, '1', [('set', 'ssl.keystore.type', 'PKCS12')]),
    (BROKER, '', [('set', 'listener.name.plaintext.ssl.keystore.type', 'PKCS12')]),
    (BROKER, '1', [('set', 'num.io.threads', '100')]),
    (BROKER, '1', [('set', 'num.io.threads', '1')]),
    (BROKER, '1', [('set', 'num.io.threads', '0')]),
    (BROKER, '1', [('set', 'max.connections', 'x')]),
    (BROKER, '1', [('append', 'max.connections', '1')]),
    (BROKER, '2', [('set', 'max.connections', '1')]),
    (BROKER, 'x', [('set', 'max.connections', '1')]),
    (BROKER, '', [('set', 'my.dynamic.setting', '1')]),
    (GROUP, 'g', [('set', 'consumer.session.timeout.ms', '47000')]),
    (GROUP, 'g', [('set', 'consumer.session.timeout.ms', '1')]),
    (GROUP, 'g', [('set', 'consumer.session.timeout.ms', 'x')]),
    (GROUP, 'g', [('set', 'share.auto.offset.reset', 'sometime')]),
    (GROUP, 'g', [('set', 'streams.num.standby.replicas', '3')]),
    (GROUP, 'g', [('set', 'streams.assignor.name', 'other')]),
    (GROUP, 'g', [('set', 'streams.rack.aware.assignment.tags', 'a,a')]),
    (GROUP, 'g', [('set', 'errors.deadletterqueue.topic.name', '__x')]),
    (GROUP, 'g', [('set', 'nothing', '1')]),
    (GROUP, '', [('set', 'share.isolation.level', 'read_committed')]),
    (METRICS, 'm', [('set', 'interval.ms', '1000'), ('set', 'match', 'client_id=a.*'),
                    ('set', 'metrics', 'org.a,org.b')]),
    (METRICS, 'm', [('set', 'interval.ms', '99')]),
    (METRICS, 'm', [('set', 'match', 'colour=red')]),
    (METRICS, 'm', [('set', 'nothing', '1')]),
    (METRICS, '', [('set', 'interval.ms', '1000')]),
    (LOGGER, '1', [('set', 'root', 'DEBUG')]),
    (LOGGER, '1', [('set', 'root', 'LOUD')]),
    (LOGGER, '1', [('set', 'no.such.logger.of.anybody', 'DEBUG')]),
    (LOGGER, '1', [('delete', 'root', None)]),
    (LOGGER, '1', [('append', 'root', 'DEBUG')]),
    (LOGGER, '2', [('set', 'root', 'DEBUG')]),
    (LOGGER, 'x', [('set', 'root', 'DEBUG')]),
    (LOGGER, '1', [('set', 'root', 'INFO')]),
    (3, 'x', [('set', 'a', '1')]),
]

DESCRIBED = [('topic', TOPIC, 't'), ('broker', BROKER, '1'), ('cluster', BROKER, ''),
             ('group', GROUP, 'g'), ('metrics', METRICS, 'm')]

WRONG = [(TOPIC, 'missing'), (TOPIC, 'a b'), (TOPIC, ''), (BROKER, '2'), (BROKER, 'x'), (GROUP, ''),
         (METRICS, ''), (LOGGER, ''), (LOGGER, '2'), (LOGGER, 'x')]


class Script(judge.Script):
    def describe(self, kind, name, version=4):
        out = {}
        for key, c in self.kit.configs(kind, name, version=version).items():
            if key.startswith('taccola.') or key == 'log.index.size.max.bytes':
                continue
            row = [self.clean(c['value']), c['config_source'], c['read_only'], c['is_sensitive'],
                   [[s['name'], self.clean(s['value']), s['source']] for s in c['synonyms']]]
            if version >= 3:
                row.append(c['config_type'])
            out[key] = row
        return out

    def describe_all(self, when, version=4):
        for what, kind, name in DESCRIBED:
            self.answers['%s %s v%d' % (what, when, version)] = self.describe(kind, name, version)

    def change(self, kind, name, changes):
        r = self.kit.alter(kind, name, *changes)
        key = 'change %d %s %s' % (kind, name or '(none)', ' '.join('%s %s=%s' % c for c in changes))
        self.answers[key] = [wire.err(r['error_code']), self.clean(r['error_message'])]

    def create(self, name, configs):
        body = {'topics': [{'name': name, 'num_partitions': 1, 'replication_factor': 1,
                            'configs': [{'name': k, 'value': v} for k, v in configs.items()]}],
                'timeout_ms': 10000}
        r = self.kit.call('create_topics', 7, body)['topics'][0]
        rows = {c['name']: [self.clean(c['value']), c['config_source'], c['read_only'], c['is_sensitive']]
                for c in r['configs'] or [] if c['name'] != 'segment.index.bytes'}
        self.answers['create ' + name] = [wire.err(r['error_code']), r['error_message'], rows]

    def replace(self, kind, name, configs):
        r = self.kit.call('alter_configs', 2, {'resources': [
            {'resource_type': kind, 'resource_name': name,
             'configs': [{'name': k, 'value': v} for k, v in configs.items()]}],
            'validate_only': False})['responses'][0]
        key = 'replace %d %s %s' % (kind, name, sorted(configs))
        self.answers[key] = [wire.err(r['error_code']), r['error_message']]

    def wrong(self, kind, name):
        r = self.kit.call('describe_configs', 4, {'resources': [
            {'resource_type': kind, 'resource_name': name, 'configuration_keys': None}]})['results'][0]
        self.answers['describe %d %s' % (kind, name or '(none)')] = [
            wire.err(r['error_code']), self.clean(r['error_message'])]

    def listing(self, version, types):
        body = {'resource_types': types} if version else {}
        r = self.kit.call('list_config_resources', version, body)
        rows = sorted([c.get('resource_type', METRICS), c['resource_name']] for c in r['config_resources'])
        self.answers['list v%d %s' % (version, types)] = [wire.err(r['error_code']), rows]

    def twice(self):
        row = {'resource_type': TOPIC, 'resource_name': 't', 'configs': [
            {'name': 'flush.ms', 'config_operation': 0, 'value': '1'}]}
        r = self.kit.call('incremental_alter_configs', 1, {'resources': [row, row, dict(row, resource_name='u')],
                                                           'validate_only': True})
        self.answers['same resource twice'] = sorted(
            [c['resource_name'], wire.err(c['error_code']), c['error_message']] for c in r['responses'])

    def keys(self):
        got = self.kit.configs(TOPIC, 't', ['retention.ms', 'no.such', 'flush.ms'])
        self.answers['only some keys'] = sorted(got)
        self.answers['an empty list of keys'] = len(self.kit.configs(TOPIC, 't', []))

    def run(self):
        self.create('t', {'cleanup.policy': 'compact, delete', 'segment.ms': ' 70000 '})
        self.create('u', {})
        self.create('bad-value', {'retention.ms': 'x'})
        self.create('bad-name', {'retention.hours': '1'})
        self.create('null-value', {'retention.ms': None})
        self.describe_all('at first')
        self.kit.wait(lambda: self.kit.configs(TOPIC, 't'), 'topic is not there')
        for change in CHANGES:
            self.change(*change)
        self.settled()
        self.describe_all('after changes')
        for version in (1, 2, 3):
            self.describe_all('after changes', version)
        self.replace(TOPIC, 't', {'retention.bytes': '77'})
        self.replace(TOPIC, 't', {'nothing': '77'})
        self.replace(TOPIC, 'missing', {'retention.bytes': '77'})
        self.replace(LOGGER, '1', {'root': 'INFO'})
        self.twice()
        self.keys()
        self.answers['topic replaced'] = self.describe(TOPIC, 't')
        for kind, name in WRONG:
            self.wrong(kind, name)
        self.listing(0, None)
        self.listing(1, [])
        self.listing(1, [METRICS, GROUP])
        self.listing(1, [3])
        return self.answers

    def settled(self):
        """Apache Kafka applies dynamic configs a moment after it answered."""
        def seen():
            return (self.kit.configs(BROKER, '1')['message.max.bytes']['value'] == '3000000' and
                    self.kit.configs(BROKER, '').get('my.dynamic.setting') and
                    self.kit.configs(GROUP, 'g')['consumer.session.timeout.ms']['value'] == '47000')
        self.kit.wait(seen, 'changes are not to be seen')


def run(lane):
    judge.run(lane, Script, PROPS, KEPT)
