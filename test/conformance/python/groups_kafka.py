"""kafka-python 3.0: classic groups, admin of groups, transactions. Prints PASS, FAIL or SKIP lines."""
import sys
import threading
import uuid

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import NewTopic, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor

from check import check, eventually

BOOT = sys.argv[1]
RUN = uuid.uuid4().hex[:8]
ADMIN = KafkaAdminClient(bootstrap_servers=BOOT)


def topic(name, partitions=4):
    full = 'kpg-%s-%s' % (RUN, name)
    ADMIN.create_topics([NewTopic(full, partitions, 1)])
    eventually(lambda: full in ADMIN.list_topics(), 'topic')
    return full


def produce(name, n, partitions=4):
    p = KafkaProducer(bootstrap_servers=BOOT)
    futures = [p.send(name, b'%d' % i, partition=i % partitions) for i in range(n)]
    p.flush()
    assert all(f.get(10) for f in futures)
    p.close()


class Member(threading.Thread):
    """A consumer polled by a thread of its own; `ask` runs something between two polls."""

    def __init__(self, group, topics=(), pattern=None, **conf):
        super().__init__(daemon=True)
        settings = {'bootstrap_servers': BOOT, 'group_id': group, 'auto_offset_reset': 'earliest', 'enable_auto_commit': False,
                    'session_timeout_ms': 6000, 'heartbeat_interval_ms': 300, 'metadata_max_age_ms': 500}
        self.consumer = KafkaConsumer(**dict(settings, **conf))
        if pattern:
            self.consumer.subscribe(pattern=pattern)
        else:
            self.consumer.subscribe(list(topics))
        self.values, self.asked, self.answers, self.error, self.ending = [], [], [], None, False
        self.start()

    def run(self):
        try:
            while not self.ending:
                for records in self.consumer.poll(100).values():
                    self.values += [int(r.value) for r in records]
                while self.asked:
                    self.answers.append(self.asked.pop(0)(self.consumer))
            self.consumer.close()
        except Exception as e:  # noqa: BLE001 - told by whoever waits
            self.error = e

    def ask(self, what):
        n = len(self.answers)
        self.asked.append(what)
        eventually(lambda: self.error or len(self.answers) > n, 'an answer')
        assert not self.error, self.error
        return self.answers[-1]

    def owned(self):
        assert not self.error, self.error
        return sorted((p.topic, p.partition) for p in self.consumer.assignment())

    def close(self):
        self.ending = True
        self.join(20)
        assert not self.is_alive() and not self.error, self.error


def shared(members, count):
    owned = sum((m.owned() for m in members), [])
    return all(m.owned() for m in members) and len(owned) == count == len(set(owned))


def group_checks(label, assignor):
    group, name = 'kpg-%s-%s' % (RUN, label), topic(label)
    conf = {'partition_assignment_strategy': [assignor]}

    @check(label + '/members-come-and-leave')
    def _():
        produce(name, 200)
        a = Member(group, [name], **conf)
        eventually(lambda: shared([a], 4) and len(a.values) == 200, 'one member', 30)
        b = Member(group, [name], **conf)
        eventually(lambda: shared([a, b], 4), 'two members', 30)
        for m in (a, b):
            m.ask(lambda c: c.commit({p: OffsetAndMetadata(50, 'note', -1) for p in c.assignment()}))
        a.close()
        eventually(lambda: shared([b], 4), 'one member again', 30)
        b.values = []
        produce(name, 40)
        eventually(lambda: len(b.values) >= 40, 'read on')
        assert sorted(b.values) == list(range(40)), sorted(b.values)
        b.close()

    @check(label + '/committed-and-seek')
    def _():
        a = Member(group, [name], **conf)
        eventually(lambda: shared([a], 4) and len(a.values) >= 40, 'one member', 30)
        tp = TopicPartition(name, 2)
        assert a.ask(lambda c: c.committed(tp)) == 50
        a.values = []
        a.ask(lambda c: c.seek(tp, 58) or True)
        eventually(lambda: len(a.values) >= 2, 'after seek')
        assert a.values == [34, 38], a.values
        a.close()

    @check(label + '/pause-and-resume')
    def _():
        a = Member(group + '-pause', [name], **conf)
        eventually(lambda: shared([a], 4) and len(a.values) >= 240, 'one member', 30)
        tp = TopicPartition(name, 1)
        a.ask(lambda c: c.pause(tp) or True)
        a.values = []
        produce(name, 40)
        eventually(lambda: len(a.values) >= 30, 'the three others')
        assert not [v for v in a.values if v % 4 == 1], a.values
        a.ask(lambda c: c.resume(tp) or True)
        eventually(lambda: len(a.values) >= 40, 'resumed')
        a.close()

    @check(label + '/pattern')
    def _():
        first = topic(label + '-re-one', 1)
        a = Member(group + '-re', pattern='^kpg-%s-%s-re-.*' % (RUN, label), **conf)
        eventually(lambda: a.owned() == [(first, 0)], 'the first', 30)
        second = topic(label + '-re-two', 1)
        eventually(lambda: a.owned() == sorted([(first, 0), (second, 0)]), 'a new topic that fits', 30)
        a.close()

    @check(label + '/static-member-comes-back')
    def _():
        a, b = (Member(group + '-static', [name], group_instance_id='i%d' % i, **conf) for i in (1, 2))
        eventually(lambda: shared([a, b], 4), 'two members', 30)
        before, other = a.owned(), b.owned()
        a.close()
        again = Member(group + '-static', [name], group_instance_id='i1', **conf)
        eventually(lambda: again.owned() == before, 'the same partitions again', 30)
        assert b.owned() == other
        again.close()
        b.close()


if 'long' in sys.argv:
    group_checks('range', RangePartitionAssignor)
group_checks('cooperative-sticky', CooperativeStickyAssignor)


@check('admin-of-groups')
def _():
    group, name = 'kpg-%s-admin' % RUN, topic('admin')
    produce(name, 40)
    a = Member(group, [name])
    eventually(lambda: shared([a], 4) and len(a.values) == 40, 'one member', 30)
    a.ask(lambda c: c.commit() or True)
    described = ADMIN.describe_groups([group])[group]
    assert 'Stable' in str(described) and len(described['members']) == 1, described
    assert group in str(ADMIN.list_groups())
    assert 'NonEmptyGroup' in str(ADMIN.delete_groups([group])), 'a group with members was deleted'
    a.close()
    tp = TopicPartition(name, 0)
    got = ADMIN.list_group_offsets({group: None})[group]
    assert {p.partition: o.offset for p, o in got.items()} == {0: 10, 1: 10, 2: 10, 3: 10}, got
    ADMIN.alter_group_offsets(group, {tp: OffsetAndMetadata(3, '', -1)})
    assert ADMIN.list_group_offsets({group: [tp]})[group][tp].offset == 3
    ADMIN.reset_group_offsets(group, {tp: OffsetSpec.EARLIEST})
    assert ADMIN.list_group_offsets({group: [tp]})[group][tp].offset == 0
    ADMIN.delete_group_offsets(group, [tp])
    assert tp not in ADMIN.list_group_offsets({group: None})[group]
    ADMIN.delete_groups([group])
    assert group not in str(ADMIN.list_groups())


@check('admin')
def _():
    name = topic('more', 2)
    produce(name, 20, 2)
    tp = TopicPartition(name, 0)
    ADMIN.delete_records({tp: 4})
    assert ADMIN.list_partition_offsets({tp: OffsetSpec.EARLIEST})[tp].offset == 4
    assert ADMIN.list_partition_offsets({tp: OffsetSpec.LATEST})[tp].offset == 10
    ADMIN.describe_producers([tp])
    ADMIN.describe_log_dirs()
    ADMIN.describe_features()


@check('transactions')
def _():
    source, sink = topic('txn-in', 1), topic('txn-out', 1)
    group = 'kpg-%s-txn' % RUN
    produce(source, 20, 1)
    a = Member(group, [source], isolation_level='read_committed')
    eventually(lambda: len(a.values) == 20, 'all', 30)
    p = KafkaProducer(bootstrap_servers=BOOT, transactional_id=group)
    p.init_transactions()
    p.begin_transaction()
    p.send(sink, b'1', partition=0).get(10)
    p.abort_transaction()
    p.begin_transaction()
    p.send(sink, b'2', partition=0).get(10)
    tp = TopicPartition(source, 0)
    p.send_offsets_to_transaction({tp: OffsetAndMetadata(12, '', -1)}, a.ask(lambda c: c.group_metadata()))
    p.commit_transaction()
    eventually(lambda: ADMIN.list_group_offsets({group: [tp]})[group].get(tp, OffsetAndMetadata(-1, '', -1)).offset == 12, 'the offset is there')
    p.close()
    a.close()
    for level, want in (('read_committed', [2]), ('read_uncommitted', [1, 2])):
        c = KafkaConsumer(bootstrap_servers=BOOT, isolation_level=level, consumer_timeout_ms=1500, auto_offset_reset='earliest')
        c.assign([TopicPartition(sink, 0)])
        got = [int(r.value) for r in c]
        c.close()
        assert got == want, (level, got)
