"""confluent-kafka 2.16: groups in both protocols, admin of groups, transactions. Prints PASS, FAIL or SKIP lines."""
import sys
import time
import uuid

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AclBinding, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType, ConfigEntry,
                                   ConfigResource, NewTopic, OffsetSpec, ResourcePatternType, ResourceType)

from check import check, eventually

BOOT = sys.argv[1]  # then 'long' or 'short'
RUN = uuid.uuid4().hex[:8]
ADMIN = AdminClient({'bootstrap.servers': BOOT})


def done(futures):
    return [f.result(15) for f in futures.values()]


def topic(name, partitions=4):
    full = 'ccg-%s-%s' % (RUN, name)
    done(ADMIN.create_topics([NewTopic(full, partitions, 1)]))
    return full


def produce(name, n, partitions=4, **conf):
    errors = []
    p = Producer(dict({'bootstrap.servers': BOOT, 'enable.idempotence': True}, **conf))
    for i in range(n):
        p.produce(name, b'%d' % i, b'k%d' % i, i % partitions, on_delivery=lambda e, _: errors.append(e) if e else None)
    assert p.flush(20) == 0 and not errors, errors[:3]


class Member:
    """A consumer and what it saw: values, and the partitions that it has now."""

    def __init__(self, group, protocol, topics, **conf):
        settings = {'bootstrap.servers': BOOT, 'group.id': group, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False,
                    'group.protocol': protocol, 'topic.metadata.refresh.interval.ms': 500}
        if protocol == 'classic':
            settings.update({'session.timeout.ms': 6000, 'heartbeat.interval.ms': 300})
        self.consumer = Consumer(dict(settings, **conf))
        self.values, self.errors = [], []
        self.consumer.subscribe(topics)

    def poll(self, seconds=0.1):
        m = self.consumer.poll(seconds)
        if m is None:
            return
        if m.error():
            self.errors.append(str(m.error()))
        else:
            self.values.append(int(m.value()))

    def owned(self):
        return sorted((p.topic, p.partition) for p in self.consumer.assignment())


def until(members, test, what, seconds=40):
    end = time.time() + seconds
    while not test():
        assert time.time() < end, '%s: %s %s' % (what, [m.owned() for m in members], [m.errors[-1:] for m in members])
        for m in members:
            m.poll(0.05)


def shared(members, count):
    """Every partition has exactly one owner, and every member has some."""
    owned = [m.owned() for m in members]
    return all(owned) and len(sum(owned, [])) == count == len(set(sum(owned, [])))


def close(*members):
    for m in members:
        m.consumer.close()


def group_checks(protocol, strategy=None):
    label = protocol + ('-' + strategy if strategy else '')
    conf = {'partition.assignment.strategy': strategy} if strategy else {}
    group = 'ccg-%s-%s' % (RUN, label)
    name = topic(label)

    @check(label + '/members-come-and-leave')
    def _():
        produce(name, 200)
        a = Member(group, protocol, [name], **conf)
        until([a], lambda: shared([a], 4) and len(a.values) == 200, 'one member')
        assert sorted(a.values) == list(range(200))
        b, c = Member(group, protocol, [name], **conf), Member(group, protocol, [name], **conf)
        until([a, b, c], lambda: shared([a, b, c], 4), 'three members')
        a.consumer.commit(offsets=[TopicPartition(name, i, 50) for i in range(4) if (name, i) in a.owned()], asynchronous=False)
        for m in (b, c):
            m.consumer.commit(offsets=[TopicPartition(t, i, 50) for t, i in m.owned()], asynchronous=False)
        close(a)
        until([b, c], lambda: shared([b, c], 4), 'two members')
        b.values, c.values = [], []
        produce(name, 40)
        until([b, c], lambda: len(b.values) + len(c.values) >= 40, 'read on')
        # What moved begins at its commit, what stayed goes on: nothing comes twice.
        assert sorted(b.values + c.values) == list(range(40)), sorted(b.values + c.values)[:60]
        close(b, c)

    @check(label + '/committed-and-seek')
    def _():
        a = Member(group, protocol, [name], **conf)
        until([a], lambda: shared([a], 4), 'one member')
        got = a.consumer.committed([TopicPartition(name, i) for i in range(4)], timeout=10)
        assert [p.offset for p in got] == [50] * 4, got
        until([a], lambda: len(a.values) >= 40, 'from the commits on')
        assert sorted(a.values) == list(range(40)), a.values
        a.values = []
        a.consumer.seek(TopicPartition(name, 2, 58))
        until([a], lambda: len(a.values) >= 2, 'after seek')
        assert a.values == [34, 38], a.values
        a.consumer.commit(offsets=[TopicPartition(name, 0, 55, metadata='note')], asynchronous=False)
        got = a.consumer.committed([TopicPartition(name, 0)], timeout=10)[0]
        assert (got.offset, got.metadata) == (55, 'note'), got
        close(a)

    @check(label + '/pause-and-resume')
    def _():
        a = Member(group + '-pause', protocol, [name], **conf)
        until([a], lambda: shared([a], 4), 'one member')
        until([a], lambda: len(a.values) >= 240, 'all')
        a.consumer.pause([TopicPartition(name, 1)])
        a.values = []
        produce(name, 40)
        until([a], lambda: len(a.values) >= 30, 'the three others')
        for _ in range(5):
            a.poll(0.1)
        assert not [v for v in a.values if v % 4 == 1], a.values
        a.consumer.resume([TopicPartition(name, 1)])
        until([a], lambda: len(a.values) >= 40, 'resumed')
        close(a)

    @check(label + '/pattern')
    def _():
        first = topic(label + '-re-one', 1)
        a = Member(group + '-re', protocol, ['^ccg-%s-%s-re-.*' % (RUN, label)], **conf)
        until([a], lambda: a.owned() == [(first, 0)], 'the first')
        second = topic(label + '-re-two', 1)
        until([a], lambda: a.owned() == sorted([(first, 0), (second, 0)]), 'a new topic that fits')
        close(a)

    @check(label + '/static-member-comes-back')
    def _():
        members = [Member(group + '-static', protocol, [name], **dict(conf, **{'group.instance.id': 'i%d' % i})) for i in (1, 2)]
        until(members, lambda: shared(members, 4), 'two members')
        before, other = members[0].owned(), members[1].owned()
        close(members[0])
        again = Member(group + '-static', protocol, [name], **dict(conf, **{'group.instance.id': 'i1'}))
        until([again, members[1]], lambda: again.owned() == before, 'the same partitions again')
        assert members[1].owned() == other
        close(again, members[1])

    @check(label + '/auto-commit')
    def _():
        a = Member(group + '-auto', protocol, [name], **dict(conf, **{'enable.auto.commit': True}))
        until([a], lambda: len(a.values) >= 280, 'all')
        close(a)
        b = Member(group + '-auto', protocol, [name], **conf)
        got = b.consumer.committed([TopicPartition(name, i) for i in range(4)], timeout=10)
        assert [p.offset for p in got] == [70] * 4, got
        close(b)

    @check(label + '/admin-of-the-group')
    def _():
        a = Member(group + '-admin', protocol, [name], **conf)
        until([a], lambda: shared([a], 4), 'one member')
        described = done(ADMIN.describe_consumer_groups([group + '-admin']))[0]
        assert described.state.name == 'STABLE' and len(described.members) == 1, described.state
        assert described.type.name == ('CLASSIC' if protocol == 'classic' else 'CONSUMER'), described.type
        assert len(described.members[0].assignment.topic_partitions) == 4
        listed = {g.group_id: g for g in ADMIN.list_consumer_groups().result(10).valid}
        assert listed[group + '-admin'].state.name == 'STABLE'
        a.consumer.commit(offsets=[TopicPartition(name, 0, 7)], asynchronous=False)
        try:
            done(ADMIN.delete_consumer_groups([group + '-admin']))
            raise AssertionError('a group with members was deleted')
        except KafkaException as e:
            assert e.args[0].name() == 'NON_EMPTY_GROUP', e
        close(a)
        done(ADMIN.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group + '-admin', [TopicPartition(name, 0, 3)])]))
        got = done(ADMIN.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group + '-admin')]))[0]
        assert [(p.partition, p.offset) for p in got.topic_partitions] == [(0, 3)], got.topic_partitions
        done(ADMIN.delete_consumer_groups([group + '-admin']))
        assert group + '-admin' not in {g.group_id for g in ADMIN.list_consumer_groups().result(10).valid}


for each in (('classic', 'range'), ('classic', 'roundrobin')) if 'long' in sys.argv else ():
    group_checks(*each)
for each in (('classic', 'cooperative-sticky'), ('consumer',)):
    group_checks(*each)


@check('admin')
def _():
    name = topic('admin', 2)
    produce(name, 20, 2)
    ends = done(ADMIN.list_offsets({TopicPartition(name, 0): OffsetSpec.latest(), TopicPartition(name, 1): OffsetSpec.earliest()}))
    assert [r.offset for r in ends] == [10, 0], ends
    low = done(ADMIN.delete_records([TopicPartition(name, 0, 4)]))[0]
    assert low.low_watermark == 4, low.low_watermark
    resource = ConfigResource('topic', name, incremental_configs=[
        ConfigEntry('cleanup.policy', 'compact', incremental_operation=AlterConfigOpType.APPEND)])
    done(ADMIN.incremental_alter_configs([resource]))
    got = done(ADMIN.describe_configs([ConfigResource('topic', name)]))[0]
    assert got['cleanup.policy'].value == 'delete,compact', got['cleanup.policy'].value
    cluster = ADMIN.describe_cluster().result(10)
    assert len(cluster.nodes) == 1 and cluster.cluster_id
    from confluent_kafka import TopicCollection
    described = done(ADMIN.describe_topics(TopicCollection([name])))[0]
    assert len(described.partitions) == 2 and described.partitions[0].leader.id == 1


@check('acls-are-refused')
def _():
    acl = AclBinding(ResourceType.TOPIC, 'x', ResourcePatternType.LITERAL, 'User:a', '*', AclOperation.READ, AclPermissionType.ALLOW)
    try:
        done(ADMIN.create_acls([acl]))
    except KafkaException as e:
        # A broker that has no ACLs at all does not offer the API either.
        assert e.args[0].name() in ('SECURITY_DISABLED', '_UNSUPPORTED_FEATURE'), e
    else:
        raise AssertionError('an ACL was created without an authorizer')


def read_all(name, n, level):
    c = Consumer({'bootstrap.servers': BOOT, 'group.id': 'ccg-none', 'isolation.level': level, 'enable.partition.eof': True})
    c.assign([TopicPartition(name, 0, 0)])
    out, end = [], time.time() + 15
    while time.time() < end:
        m = c.poll(0.5)
        if m is not None and m.error():
            break
        if m is not None:
            out.append(int(m.value()))
    c.close()
    assert len(out) == n, (level, out)
    return out


for protocol in ('classic', 'consumer'):
    @check('transactions/' + protocol)
    def _():
        source, sink = topic('txn-in-' + protocol, 1), topic('txn-out-' + protocol, 1)
        group = 'ccg-%s-txn-%s' % (RUN, protocol)
        produce(source, 20, 1)
        a = Member(group, protocol, [source], **{'isolation.level': 'read_committed'})
        until([a], lambda: len(a.values) == 20, 'all')
        p = Producer({'bootstrap.servers': BOOT, 'transactional.id': group})
        p.init_transactions(20)
        p.begin_transaction()
        p.produce(sink, b'1', partition=0)
        p.flush(20)
        p.abort_transaction(20)
        p.begin_transaction()
        p.produce(sink, b'2', partition=0)
        p.send_offsets_to_transaction([TopicPartition(source, 0, 12)], a.consumer.consumer_group_metadata(), 20)
        p.commit_transaction(20)
        eventually(lambda: a.consumer.committed([TopicPartition(source, 0)], timeout=10)[0].offset == 12, 'the offset is there')
        eventually(lambda: done(ADMIN.list_offsets({TopicPartition(sink, 0): OffsetSpec.latest()},
                                                   isolation_level=IsolationLevel.READ_COMMITTED))[0].offset == 4, 'the marker is there')
        assert read_all(sink, 1, 'read_committed') == [2]
        assert read_all(sink, 2, 'read_uncommitted') == [1, 2]
        fresh = Producer({'bootstrap.servers': BOOT, 'transactional.id': group})
        fresh.init_transactions(20)
        p.begin_transaction()
        p.produce(sink, b'3', partition=0)
        try:
            p.commit_transaction(20)
            raise AssertionError('a fenced producer has committed')
        except KafkaException as e:
            assert e.args[0].fatal() or e.args[0].name() in ('_FENCED', 'INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'), e
        close(a)
