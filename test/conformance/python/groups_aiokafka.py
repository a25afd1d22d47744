"""aiokafka 0.14: codecs, classic groups, admin, transactions. Prints PASS, FAIL or SKIP lines."""
import asyncio
import sys
import time
import traceback
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

BOOT = sys.argv[1]
RUN = uuid.uuid4().hex[:8]
CHECKS = []


def check(name, *args):
    return lambda f: CHECKS.append((name, f, args))


async def eventually(test, what, seconds=30):
    end = time.time() + seconds
    while not test():
        assert time.time() < end, what
        await asyncio.sleep(0.05)


async def topic(admin, name, partitions=4):
    full = 'aio-%s-%s' % (RUN, name)
    await admin.create_topics([NewTopic(full, partitions, 1)])
    return full


async def produce(name, n, partitions=4, **conf):
    async with AIOKafkaProducer(bootstrap_servers=BOOT, **conf) as p:
        futures = [await p.send(name, b'%d' % i, partition=i % partitions, headers=[('h', b'x')]) for i in range(n)]
        await asyncio.gather(*futures)


class Member:
    """A consumer read by a task of its own."""

    async def begin(self, group, topics=(), pattern=None, **conf):
        settings = {'bootstrap_servers': BOOT, 'group_id': group, 'auto_offset_reset': 'earliest', 'enable_auto_commit': False,
                    'session_timeout_ms': 6000, 'heartbeat_interval_ms': 300, 'metadata_max_age_ms': 500}
        self.consumer = AIOKafkaConsumer(**dict(settings, **conf))
        self.consumer.subscribe(topics, pattern=pattern)
        await self.consumer.start()
        self.values = []
        self.task = asyncio.create_task(self.read())
        return self

    async def read(self):
        while True:
            for records in (await self.consumer.getmany(timeout_ms=100)).values():
                self.values += [int(r.value) for r in records]

    def owned(self):
        return sorted((p.topic, p.partition) for p in self.consumer.assignment())

    async def close(self):
        self.task.cancel()
        await self.consumer.stop()


def member(*args, **conf):
    return Member().begin(*args, **conf)


def shared(members, count):
    owned = sum((m.owned() for m in members), [])
    return all(m.owned() for m in members) and len(owned) == count == len(set(owned))


for codec in (None, 'gzip', 'snappy', 'lz4', 'zstd'):
    @check('produce-and-read-%s' % codec, codec)
    async def _(admin, kind):
        name = await topic(admin, 'codec-%s' % kind, 1)
        await produce(name, 200, 1, compression_type=kind, enable_idempotence=True)
        c = AIOKafkaConsumer(bootstrap_servers=BOOT, auto_offset_reset='earliest')
        c.assign([TopicPartition(name, 0)])
        await c.start()
        got = [await asyncio.wait_for(c.getone(), 10) for _ in range(200)]
        assert [int(r.value) for r in got] == list(range(200)) and got[0].headers == (('h', b'x'),)
        tp = TopicPartition(name, 0)
        assert (await c.end_offsets([tp]))[tp] == 200 and (await c.offsets_for_times({tp: 1}))[tp].offset == 0
        await c.stop()

for assignor in (RangePartitionAssignor, StickyPartitionAssignor) if 'long' in sys.argv else (StickyPartitionAssignor,):
    @check('group-' + assignor.name, assignor)
    async def _(admin, kind):
        name, group = await topic(admin, 'group-' + kind.name), 'aio-%s-%s' % (RUN, kind.name)
        conf = {'partition_assignment_strategy': (kind,)}
        await produce(name, 200)
        a = await member(group, [name], **conf)
        await eventually(lambda: shared([a], 4) and len(a.values) == 200, 'one member')
        b, c = await member(group, [name], **conf), await member(group, [name], **conf)
        await eventually(lambda: shared([a, b, c], 4), 'three members')
        for m in (a, b, c):
            await m.consumer.commit({p: (50, 'note') for p in m.consumer.assignment()})
        await a.close()
        await eventually(lambda: shared([b, c], 4), 'two members')
        await b.close()
        await eventually(lambda: shared([c], 4), 'one member again')
        c.values = []
        await produce(name, 40)
        await eventually(lambda: len(c.values) >= 40, 'read on')
        assert sorted(c.values) == list(range(40)), sorted(c.values)
        tp = TopicPartition(name, 2)
        assert await c.consumer.committed(tp) == 50
        c.values = []
        c.consumer.seek(tp, 58)
        await eventually(lambda: len(c.values) >= 2, 'after seek')
        assert c.values == [34, 38], c.values
        c.consumer.pause(tp)
        c.values = []
        await produce(name, 40)
        await eventually(lambda: len(c.values) >= 30, 'the three others')
        assert not [v for v in c.values if v % 4 == 2], c.values
        c.consumer.resume(tp)
        await eventually(lambda: len(c.values) >= 40, 'resumed')
        await c.close()


@check('pattern')
async def _(admin):
    first = await topic(admin, 're-one', 1)
    a = await member('aio-%s-re' % RUN, pattern='^aio-%s-re-.*' % RUN)
    await eventually(lambda: a.owned() == [(first, 0)], 'the first')
    second = await topic(admin, 're-two', 1)
    await eventually(lambda: a.owned() == sorted([(first, 0), (second, 0)]), 'a new topic that fits')
    await a.close()


@check('static-member-comes-back')
async def _(admin):
    name, group = await topic(admin, 'static'), 'aio-%s-static' % RUN
    a, b = await member(group, [name], group_instance_id='i1'), await member(group, [name], group_instance_id='i2')
    await eventually(lambda: shared([a, b], 4), 'two members')
    before, other = a.owned(), b.owned()
    await a.close()
    again = await member(group, [name], group_instance_id='i1')
    await eventually(lambda: again.owned() == before, 'the same partitions again')
    assert b.owned() == other
    await again.close()
    await b.close()


@check('auto-commit-and-admin-of-the-group')
async def _(admin):
    name, group = await topic(admin, 'auto'), 'aio-%s-auto' % RUN
    await produce(name, 40)
    a = await member(group, [name], enable_auto_commit=True)
    await eventually(lambda: len(a.values) == 40, 'all')
    described = await admin.describe_consumer_groups([group])
    assert 'Stable' in str([d.to_object() for d in described]), described
    assert group in str(await admin.list_consumer_groups())
    await a.close()
    got = await admin.list_consumer_group_offsets(group)
    assert {p.partition: o.offset for p, o in got.items()} == {0: 10, 1: 10, 2: 10, 3: 10}, got


@check('admin')
async def _(admin):
    name = await topic(admin, 'admin', 2)
    await produce(name, 20, 2)
    await admin.create_partitions({name: NewPartitions(3)})
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {'retention.ms': '1000000'})])
    assert '1000000' in str([d.to_object() for d in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])])
    assert len((await admin.describe_topics([name]))[0]['partitions']) == 3
    assert len((await admin.describe_cluster())['brokers']) == 1
    await admin.delete_records({TopicPartition(name, 0): RecordsToDelete(before_offset=4)})
    c = AIOKafkaConsumer(bootstrap_servers=BOOT)
    await c.start()
    assert list((await c.beginning_offsets([TopicPartition(name, 0)])).values()) == [4]
    await c.stop()
    await admin.delete_topics([name])


@check('transactions')
async def _(admin):
    source, sink, group = await topic(admin, 'txn-in', 1), await topic(admin, 'txn-out', 1), 'aio-%s-txn' % RUN
    await produce(source, 20, 1)
    tp = TopicPartition(source, 0)
    a = await member(group, [source], isolation_level='read_committed')
    await eventually(lambda: len(a.values) == 20, 'all')
    p = AIOKafkaProducer(bootstrap_servers=BOOT, transactional_id=group)
    await p.start()
    await p.begin_transaction()
    await p.send_and_wait(sink, b'1', partition=0)
    await p.abort_transaction()
    async with p.transaction():
        await p.send_and_wait(sink, b'2', partition=0)
        await p.send_offsets_to_transaction({tp: 12}, group)
    for _ in range(100):
        if await a.consumer.committed(tp) == 12:
            break
        await asyncio.sleep(0.1)
    assert await a.consumer.committed(tp) == 12
    await p.stop()
    await a.close()
    for level, want in (('read_committed', [2]), ('read_uncommitted', [1, 2])):
        c = AIOKafkaConsumer(bootstrap_servers=BOOT, isolation_level=level, auto_offset_reset='earliest')
        c.assign([TopicPartition(sink, 0)])
        await c.start()
        got = []
        for _ in range(8):
            got += [int(r.value) for rows in (await c.getmany(timeout_ms=200)).values() for r in rows]
        await c.stop()
        assert got == want, (level, got)


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOT)
    await admin.start()
    for name, f, args in CHECKS:
        try:
            await asyncio.wait_for(f(admin, *args), 90)
            print('PASS ' + name, flush=True)
        except Exception as e:  # noqa: BLE001 - every failure is a line
            print('FAIL %s: %s %s' % (name, type(e).__name__, str(e)[:300].replace('\n', ' ')), flush=True)
            traceback.print_exc()
    await admin.close()


asyncio.run(main())
