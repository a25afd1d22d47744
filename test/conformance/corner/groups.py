"""Groups of the classic protocol and committed offsets."""
import concurrent.futures
import struct
import time

import wire
from kit import equal, error_is, fresh, true

PROPS = {
    'group.initial.rebalance.delay.ms': 500, 'group.min.session.timeout.ms': 1000,
    'offset.metadata.max.bytes': 20, 'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 3, 'offsets.retention.check.interval.ms': 600000,
}

JOIN, SYNC, BEAT, LEAVE, COMMIT, FETCH, DESCRIBE = 9, 5, 4, 5, 9, 9, 6


def subscription(*topics):
    out = struct.pack('>hi', 1, len(topics))
    for t in topics:
        out += struct.pack('>h', len(t)) + t.encode()
    return out + struct.pack('>i', -1) + struct.pack('>i', 0)


class Group:
    """Requests about one group; those that wait run in threads, each member on its connection."""

    def __init__(self, kit):
        self.kit, self.id = kit, fresh('g')
        self.pool = concurrent.futures.ThreadPoolExecutor(16)
        deadline = time.monotonic() + 30
        while True:
            r = kit.call('find_coordinator', 4, {'key_type': 0, 'coordinator_keys': [self.id]})
            if r['coordinators'][0]['error_code'] == 0:
                break
            true(time.monotonic() < deadline, 'no coordinator: %r' % r)
            time.sleep(0.1)
        # The first join loads the partition.
        while self.join(version=3, protocols=[])['error_code'] in (14, 15, 16):
            time.sleep(0.1)

    def call(self, name, version, body):
        with self.kit.conn() as conn:
            return conn.call(name, version, dict(body, group_id=self.id))

    def join(self, member='', instance=None, kind='consumer', protocols=('range',), topic='t',
             session=10000, rebalance=5000, version=JOIN):
        return self.call('join_group', version, {
            'session_timeout_ms': session, 'rebalance_timeout_ms': rebalance, 'member_id': member,
            'group_instance_id': instance, 'protocol_type': kind,
            'protocols': [{'name': p, 'metadata': subscription(topic)} for p in protocols]})

    def join_new(self, **kw):
        """The two steps of KIP-394."""
        r = self.join(**kw)
        if wire.err(r['error_code']) == 'MEMBER_ID_REQUIRED':
            r = self.join(member=r['member_id'], **kw)
        return r

    def later(self, call, *a, **kw):
        f = self.pool.submit(call, *a, **kw)
        time.sleep(0.1)
        return f

    def sync(self, member, generation, assign=(), instance=None, kind='consumer', protocol='range',
             version=SYNC):
        return self.call('sync_group', version, {
            'generation_id': generation, 'member_id': member, 'group_instance_id': instance,
            'protocol_type': kind, 'protocol_name': protocol,
            'assignments': [{'member_id': m, 'assignment': b'for ' + m.encode()} for m in assign]})

    def beat(self, member, generation, instance=None):
        r = self.call('heartbeat', BEAT, {'generation_id': generation, 'member_id': member,
                                          'group_instance_id': instance})
        return wire.err(r['error_code'])

    def leave(self, *members, version=LEAVE):
        if version < 3:
            return self.call('leave_group', version, {'member_id': members[0]})
        r = self.call('leave_group', version, {'members': [
            {'member_id': m, 'group_instance_id': i} for m, i in members]})
        error_is(r['error_code'], 'NONE')
        return [wire.err(m['error_code']) for m in r['members']]

    def commit(self, topic, offset, member='', generation=-1, instance=None, metadata='', epoch=-1,
               version=COMMIT, partition=0, **more):
        r = self.call('offset_commit', version, dict(more, **{
            'generation_id_or_member_epoch': generation, 'member_id': member,
            'group_instance_id': instance, 'topics': [{'name': topic, 'partitions': [
                {'partition_index': partition, 'committed_offset': offset,
                 'committed_leader_epoch': epoch, 'committed_metadata': metadata}]}]}))
        return wire.err(r['topics'][0]['partitions'][0]['error_code'])

    def offsets(self, topics, version=FETCH, **more):
        """{(topic, partition): (offset, epoch, metadata, error)}"""
        topics = topics if topics is None else [
            {'name': t, 'partition_indexes': p} for t, p in topics]
        if version < 8:
            r = self.call('offset_fetch', version, dict(more, topics=topics))
            rows = r['topics']
            error_is(r.get('error_code', 0), 'NONE')
        else:
            r = self.call('offset_fetch', version, dict(more, groups=[
                {'group_id': self.id, 'topics': topics}]))
            rows = r['groups'][0]['topics']
            error_is(r['groups'][0]['error_code'], 'NONE')
        return {(t['name'], p['partition_index']):
                (p['committed_offset'], p.get('committed_leader_epoch', -1), p['metadata'],
                 wire.err(p['error_code'])) for t in rows for p in t['partitions']}

    def describe(self, version=DESCRIBE):
        with self.kit.conn() as conn:
            return conn.call('describe_groups', version, {'groups': [self.id]})['groups'][0]

    def state(self):
        return self.describe()['group_state']

    def stable(self, count=1, **kw):
        """Members that have their assignments: their ids, the leader first; and the generation."""
        joins = [self.later(self.join_new, **kw) for _ in range(count)]
        answers = [j.result(20) for j in joins]
        for a in answers:
            error_is(a['error_code'], 'NONE')
        answers.sort(key=lambda a: a['member_id'] != a['leader'])
        ids = [a['member_id'] for a in answers]
        generation, protocol = answers[0]['generation_id'], answers[0]['protocol_name']
        syncs = [self.later(self.sync, m, generation, assign=ids if m == ids[0] else (),
                            protocol=protocol) for m in reversed(ids)]
        for s in syncs:
            error_is(s.result(20)['error_code'], 'NONE')
        return ids, generation


def member_id_required(kit):
    """From v4 on a member's id is given out first; before, it joins at once."""
    g = Group(kit)
    for version in range(4, 10):
        r = g.join(version=version)
        error_is(r['error_code'], 'MEMBER_ID_REQUIRED')
        true(r['member_id'], 'no id in v%d' % version)
        equal((r['generation_id'], r['leader'], r['members']), (-1, '', []), 'v%d' % version)
        equal(g.leave((r['member_id'], None)), ['NONE'])
    true(r['member_id'].startswith('conformance') or '-' in r['member_id'], r['member_id'])
    for version in range(0, 4):
        h = Group(kit)
        r = h.join(version=version)
        error_is(r['error_code'], 'NONE')
        equal((r['generation_id'], r['leader']), (1, r['member_id']), 'v%d' % version)
        equal([m['member_id'] for m in r['members']], [r['member_id']])
    error_is(g.join(member='never-given-out')['error_code'], 'UNKNOWN_MEMBER_ID')


def leader_and_protocol(kit):
    """The leader is told of all members, the others of none; the protocol is one that all know."""
    g = Group(kit)
    a = g.later(g.join_new, protocols=('range', 'sticky'))
    b = g.later(g.join_new, protocols=('sticky', 'other'))
    c = g.later(g.join_new, protocols=('other', 'sticky'))
    answers = [f.result(20) for f in (a, b, c)]
    for r in answers:
        error_is(r['error_code'], 'NONE')
        equal((r['generation_id'], r['protocol_name'], r['protocol_type']), (1, 'sticky', 'consumer'))
        leads = r['member_id'] == r['leader']
        equal(len(r['members']), 3 if leads else 0, 'members')
    equal(len({r['leader'] for r in answers}), 1, 'leaders')


def mixed_protocols(kit):
    g = Group(kit)
    ids, generation = g.stable()
    error_is(g.join(kind='connect')['error_code'], 'INCONSISTENT_GROUP_PROTOCOL')
    error_is(g.join(protocols=('other',))['error_code'], 'INCONSISTENT_GROUP_PROTOCOL')
    error_is(g.join(protocols=())['error_code'], 'INCONSISTENT_GROUP_PROTOCOL')
    error_is(g.join(kind='')['error_code'], 'INCONSISTENT_GROUP_PROTOCOL')
    error_is(g.sync(ids[0], generation, kind='connect')['error_code'], 'INCONSISTENT_GROUP_PROTOCOL')
    error_is(g.sync(ids[0], generation, protocol='other')['error_code'],
             'INCONSISTENT_GROUP_PROTOCOL')
    equal(g.beat(ids[0], generation), 'NONE')


def rebalance(kit):
    """During a rebalance heartbeats say so; commits of the old generation still count until the new one begins."""
    t = kit.create()
    g = Group(kit)
    (first,), generation = g.stable(topic=t)
    second = g.later(g.join_new, topic=t)
    equal(g.state(), 'PreparingRebalance')
    equal(g.beat(first, generation), 'REBALANCE_IN_PROGRESS')
    equal(g.commit(t, 5, first, generation), 'NONE')
    error_is(g.sync(first, generation)['error_code'], 'REBALANCE_IN_PROGRESS')
    r = g.join(member=first, topic=t)
    error_is(r['error_code'], 'NONE')
    equal(r['generation_id'], generation + 1)
    s = second.result(20)
    equal(g.state(), 'CompletingRebalance')
    equal(g.beat(first, generation), 'ILLEGAL_GENERATION')
    equal(g.beat(first, generation + 1), 'NONE')
    equal(g.commit(t, 6, first, generation), 'ILLEGAL_GENERATION')
    equal(g.commit(t, 6, first, generation + 1), 'REBALANCE_IN_PROGRESS')
    ids = [first, s['member_id']]
    other = [m for m in ids if m != r['leader']][0]
    waiting = g.later(g.sync, other, generation + 1)
    error_is(g.sync(r['leader'], generation + 1, assign=ids)['error_code'], 'NONE')
    equal(waiting.result(20)['assignment'], b'for ' + other.encode())
    equal(g.state(), 'Stable')
    equal(g.commit(t, 7, first, generation + 1), 'NONE')
    equal(g.offsets([(t, [0])])[t, 0][0], 7)


def rejoining(kit):
    """A member that joins again unchanged is told what it knows; a leader asks for a new round."""
    g = Group(kit)
    (leader, other), generation = g.stable(count=2)
    r = g.join(member=other)
    error_is(r['error_code'], 'NONE')
    equal((r['generation_id'], r['members']), (generation, []))
    again = g.later(g.join, member=leader)
    equal(g.state(), 'PreparingRebalance')
    error_is(g.join(member=other)['error_code'], 'NONE')
    equal(again.result(20)['generation_id'], generation + 1)
    # Empty assignments are valid.
    waiting = g.later(g.sync, other, generation + 1)
    equal(g.sync(again.result()['leader'], generation + 1)['assignment'], b'')
    equal((waiting.result(20)['error_code'], waiting.result()['assignment']), (0, b''))
    equal(g.state(), 'Stable')


def static_members(kit):
    g = Group(kit)
    a = g.later(g.join, instance='one')
    b = g.later(g.join, instance='two')
    a, b = a.result(20), b.result(20)
    for r, i in ((a, 'one'), (b, 'two')):
        error_is(r['error_code'], 'NONE')
        true(r['member_id'].startswith(i + '-'), r['member_id'])
    lead, other = (a, b) if a['leader'] == a['member_id'] else (b, a)
    name = {a['member_id']: 'one', b['member_id']: 'two'}
    equal(sorted(m['group_instance_id'] for m in lead['members']), ['one', 'two'])
    m, n = lead['member_id'], other['member_id']
    waiting = g.later(g.sync, n, 1, instance=name[n])
    error_is(g.sync(m, 1, assign=[m, n], instance=name[m])['error_code'], 'NONE')
    error_is(waiting.result(20)['error_code'], 'NONE')
    # It comes back: the same generation, a new id; the old one is fenced.
    r = g.join(instance=name[n])
    error_is(r['error_code'], 'NONE')
    equal((r['generation_id'], r['skip_assignment'], r['members']), (1, False, []))
    new = r['member_id']
    true(new != n, 'the same id')
    equal(g.beat(n, 1, name[n]), 'FENCED_INSTANCE_ID')
    equal(g.beat(new, 1, name[n]), 'NONE')
    error_is(g.sync(n, 1, instance=name[n])['error_code'], 'FENCED_INSTANCE_ID')
    error_is(g.join(member=n, instance=name[n])['error_code'], 'FENCED_INSTANCE_ID')
    equal(g.sync(new, 1, instance=name[n])['assignment'], b'for ' + n.encode())
    equal(g.state(), 'Stable')
    # The leader too: it is told not to assign again; older versions see the old leader's id.
    r = g.join(instance=name[m])
    error_is(r['error_code'], 'NONE')
    equal((r['skip_assignment'], r['leader'], len(r['members'])), (True, r['member_id'], 2))
    before = r['member_id']
    r = g.join(instance=name[m], version=8)
    equal((r['generation_id'], r['leader'], r['members']), (1, before, []))
    lead_id = r['member_id']
    # Leaving: by the instance alone, but not under another's id.
    equal(g.leave(('stranger', name[n]), ('', 'three'), ('', name[n]), (lead_id, None)),
          ['FENCED_INSTANCE_ID', 'UNKNOWN_MEMBER_ID', 'NONE', 'NONE'])
    equal(g.state(), 'Empty')


def sessions(kit):
    """A silent member goes after its session; who is left joins again."""
    g = Group(kit)
    (leader, other), generation = g.stable(count=2, session=2000)
    deadline = time.monotonic() + 10
    while g.beat(leader, generation) == 'NONE':
        true(time.monotonic() < deadline, 'the other member stays')
        time.sleep(0.2)
    equal(g.beat(leader, generation), 'REBALANCE_IN_PROGRESS')
    equal(g.beat(other, generation), 'UNKNOWN_MEMBER_ID')
    r = g.join(member=leader, session=2000)
    equal((r['error_code'], r['generation_id'], len(r['members'])), (0, generation + 1, 1))
    time.sleep(3)
    equal(g.state(), 'Empty')
    error_is(g.join(session=999)['error_code'], 'INVALID_SESSION_TIMEOUT')
    error_is(g.join(session=1800001)['error_code'], 'INVALID_SESSION_TIMEOUT')


def leaving(kit):
    g = Group(kit)
    (m,), generation = g.stable()
    equal(g.leave(('stranger', None), ('', None)), ['UNKNOWN_MEMBER_ID'] * 2)
    equal(g.state(), 'Stable')
    for version in range(0, 3):
        error_is(g.leave('stranger', version=version)['error_code'], 'UNKNOWN_MEMBER_ID')
    error_is(g.leave(m, version=2)['error_code'], 'NONE')
    equal(g.state(), 'Empty')
    equal(g.beat(m, generation + 1), 'UNKNOWN_MEMBER_ID')
    error_is(g.sync(m, generation + 1)['error_code'], 'UNKNOWN_MEMBER_ID')
    unknown = Group.__new__(Group)
    unknown.kit, unknown.id = kit, fresh('nobody')
    equal(unknown.leave(('a', None)), ['UNKNOWN_MEMBER_ID'])
    equal(unknown.beat('a', 1), 'UNKNOWN_MEMBER_ID')
    error_is(unknown.sync('a', 1)['error_code'], 'UNKNOWN_MEMBER_ID')
    unknown.id = ''
    equal(unknown.beat('a', 1), 'INVALID_GROUP_ID')
    error_is(unknown.join()['error_code'], 'INVALID_GROUP_ID')


def simple_commits(kit):
    """Generation -1 and no member: only while the group has no members."""
    t = kit.create(partitions=2)
    g = Group(kit)
    for version in range(2, 10):
        equal(g.commit(t, version, version=version), 'NONE', 'v%d' % version)
        equal(g.offsets([(t, [0])])[t, 0][0], version, 'v%d' % version)
    equal(g.commit(t, 5, 'stranger', 3), 'UNKNOWN_MEMBER_ID')
    fresh_group = Group.__new__(Group)
    fresh_group.kit, fresh_group.id = kit, fresh('nobody')
    equal(fresh_group.commit(t, 5, 'stranger', 3), 'GROUP_ID_NOT_FOUND')
    equal(fresh_group.commit(t, 5, 'stranger', 3, version=8), 'ILLEGAL_GENERATION')
    (m,), generation = g.stable(topic=t)
    equal(g.commit(t, 5), 'UNKNOWN_MEMBER_ID')
    equal(g.commit(t, 5, m, generation + 1), 'ILLEGAL_GENERATION')
    equal(g.commit(t, 5, 'stranger', generation), 'UNKNOWN_MEMBER_ID')
    equal(g.commit(t, 50, m, generation), 'NONE')
    equal(g.commit(t, 5, m, generation, partition=7), 'UNKNOWN_TOPIC_OR_PARTITION')
    equal(g.commit('no-such-topic', 5, m, generation), 'UNKNOWN_TOPIC_OR_PARTITION')
    equal(g.offsets([(t, [0])])[t, 0][0], 50)


def fetching(kit):
    """Null topics are all; unknown is -1 without an error; epoch and metadata come back."""
    t = kit.create(partitions=3)
    g = Group(kit)
    equal(g.commit(t, 5, metadata='mine', epoch=0), 'NONE')
    equal(g.commit(t, 6, partition=1), 'NONE')
    equal(g.commit(t, 7, partition=2, metadata='x' * 21), 'OFFSET_METADATA_TOO_LARGE')
    equal(g.commit(t, 8, partition=2, metadata='x' * 20), 'NONE')
    equal(g.commit(t, 9, partition=2, metadata=None), 'NONE')
    for version in range(1, 10):
        epoch = 0 if version >= 5 else -1
        equal(g.offsets([(t, [0, 7]), ('no-such-topic', [0])], version=version),
              {(t, 0): (5, epoch, 'mine', 'NONE'), (t, 7): (-1, -1, '', 'NONE'),
               ('no-such-topic', 0): (-1, -1, '', 'NONE')}, 'v%d' % version)
        if version >= 2:
            equal({k: v[0] for k, v in g.offsets(None, version=version).items()},
                  {(t, 0): 5, (t, 1): 6, (t, 2): 9}, 'all in v%d' % version)
    rows = kit.call('offset_fetch', 10, {'groups': [
        {'group_id': g.id, 'topics': [{'topic_id': kit.ids[t], 'partition_indexes': [1]},
                                      {'topic_id': b'\1' * 16, 'partition_indexes': [1]}]},
        {'group_id': 'no-such-group', 'topics': [{'topic_id': kit.ids[t], 'partition_indexes': [1]}]},
    ]})['groups']
    answers = [[(p['committed_offset'], wire.err(p['error_code'])) for x in r['topics']
                for p in x['partitions']] for r in rows]
    equal(answers, [[(6, 'NONE'), (-1, 'UNKNOWN_TOPIC_ID')], [(-1, 'NONE')]])


def deleting(kit):
    """Offsets and groups are deleted when nobody uses them, and stay away."""
    t, u = kit.create(), kit.create()
    g = Group(kit)
    (m,), generation = g.stable(topic=t)
    equal(g.commit(t, 5, m, generation), 'NONE')
    equal(g.commit(u, 6, m, generation), 'NONE')

    def delete_offset(topic):
        r = g.call('offset_delete', 0, {'topics': [
            {'name': topic, 'partitions': [{'partition_index': 0}]}]})
        return wire.err(r['error_code'] or r['topics'][0]['partitions'][0]['error_code'])

    def delete_group(version=2):
        r = kit.call('delete_groups', version, {'groups_names': [g.id]})
        return wire.err(r['results'][0]['error_code'])
    equal(delete_offset(t), 'GROUP_SUBSCRIBED_TO_TOPIC')
    equal(delete_offset(u), 'NONE')
    equal(delete_offset(u), 'NONE')
    equal(delete_group(), 'NON_EMPTY_GROUP')
    equal(g.leave((m, None)), ['NONE'])
    equal({k: v[0] for k, v in g.offsets(None).items()}, {(t, 0): 5})
    equal(delete_offset(t), 'NONE')
    equal(g.commit(t, 7), 'NONE')
    equal(delete_group(), 'NONE')
    equal(g.offsets(None), {})
    equal(delete_group(), 'GROUP_ID_NOT_FOUND')
    equal(delete_offset(t), 'GROUP_ID_NOT_FOUND')
    # A new group with the name begins from nothing.
    (m,), generation = g.stable(topic=t)
    equal(generation, 1)
    equal(g.offsets([(t, [0])])[t, 0][0], -1)
    # The offsets of a topic go with it.
    equal(g.commit(t, 5, m, generation), 'NONE')
    kit.call('delete_topics', 6, {'topics': [{'name': t}], 'timeout_ms': 10000})
    deadline = time.monotonic() + 10
    while g.offsets(None) != {}:
        true(time.monotonic() < deadline, 'offsets of a deleted topic: %r' % g.offsets(None))
        time.sleep(0.1)


def describing(kit):
    """An unknown group is Dead: no error until v5, GROUP_ID_NOT_FOUND from v6 on."""
    for version in range(0, 7):
        r = kit.call('describe_groups', version, {'groups': ['no-such-group']})['groups'][0]
        equal((r['group_state'], r['protocol_type'], r['members']), ('Dead', '', []))
        error_is(r['error_code'], 'NONE' if version < 6 else 'GROUP_ID_NOT_FOUND')
    equal(r['error_message'], 'Group no-such-group not found.')
    g = Group(kit)
    (leader, other), generation = g.stable(count=2)
    for version in range(0, 7):
        r = g.describe(version)
        equal((r['error_code'], r['group_state'], r['protocol_type'], r['protocol_data']),
              (0, 'Stable', 'consumer', 'range'))
        equal(sorted(m['member_id'] for m in r['members']), sorted([leader, other]))
        for m in r['members']:
            equal(m['member_assignment'], b'for ' + m['member_id'].encode())
            equal(m['member_metadata'], subscription('t'))
            equal(m['client_host'], '/127.0.0.1')
    rows = {x['group_id']: x for x in kit.call('list_groups', 5, {'states_filter': ['stable'],
                                                                  'types_filter': []})['groups']}
    equal((rows[g.id]['protocol_type'], rows[g.id]['group_state'], rows[g.id]['group_type']),
          ('consumer', 'Stable', 'classic'))
    equal([x for x in kit.call('list_groups', 5, {'states_filter': ['empty'], 'types_filter': []})
           ['groups'] if x['group_id'] == g.id], [])
    equal([x for x in kit.call('list_groups', 5, {'states_filter': [], 'types_filter': ['Consumer']})
           ['groups'] if x['group_id'] == g.id], [])


def finding(kit):
    """Batches from v4 on; keys of every type."""
    Group(kit)
    r = kit.call('find_coordinator', 4, {'key_type': 0, 'coordinator_keys': ['a', 'b', 'a']})
    equal([(c['key'], c['error_code'], c['node_id']) for c in r['coordinators']],
          [('a', 0, 1), ('b', 0, 1), ('a', 0, 1)])
    for version in range(0, 4):
        r = kit.call('find_coordinator', version, {'key': 'a', 'key_type': 0})
        equal((r['error_code'], r['node_id']), (0, 1), 'v%d' % version)
    error_is(kit.call('find_coordinator', 3, {'key': 'a', 'key_type': 9})['error_code'],
             'INVALID_REQUEST')


def many_members(kit):
    """300 members join, and are answered together."""
    g = Group(kit)
    conns = [kit.conn() for _ in range(300)]
    body = {'group_id': g.id, 'session_timeout_ms': 30000, 'rebalance_timeout_ms': 30000,
            'member_id': '', 'group_instance_id': None, 'protocol_type': 'consumer',
            'protocols': [{'name': 'range', 'metadata': subscription('t')}]}
    with concurrent.futures.ThreadPoolExecutor(300) as pool:
        answers = list(pool.map(lambda c: c.call('join_group', 3, body), conns))
    equal({a['error_code'] for a in answers}, {0})
    last = max(a['generation_id'] for a in answers)
    leaders = [a for a in answers if a['members'] and a['generation_id'] == last]
    equal([len(a['members']) for a in leaders], [300])
    for c in conns:
        c.close()


def run(kit, attempt):
    for test in (member_id_required, leader_and_protocol, mixed_protocols, rebalance, rejoining,
                 static_members, sessions, leaving, simple_commits, fetching, deleting, describing,
                 finding, many_members):
        attempt('groups/' + test.__name__.replace('_', '-'), test, kit)
