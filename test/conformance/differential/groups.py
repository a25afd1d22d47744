"""Sequences of groups: classic members driven one request after the other, consumer groups (KIP-848), offsets, and the admin's view.

Each member has a connection of its own, so that a JoinGroup or SyncGroup may wait there. No timer plays a part: every timeout is
ten minutes. Members of a consumer group that name an assignor name the same one: Apache breaks a tie by the order of a hash map that
is not always the same. A group keeps its first offset (P-t0, 0): a group without member and offset is forgotten at once by us, by Apache
when it looks for expired offsets or starts again. The member that joined first (Apache's leader) leaves only when at most one other is there: Apache takes the next leader
by hash of random ids.
"""
import wire

TIMEOUT = 600000
PROTOCOLS = [['range'], ['range', 'roundrobin'], ['roundrobin', 'range'], ['sticky', 'range'], ['range', 'sticky', 'roundrobin'], ['sticky']]


class Member:
    def __init__(self, w, group, static):
        self.group, self.number = group, len(w.groups[group]['members'])
        self.name = '%s-m%d' % (group, self.number)
        self.instance = 'i%d' % self.number if static else None
        self.protocols = w.pick(PROTOCOLS[:5])
        self.joined = False

    @property
    def id(self):
        return {'$': self.name, 'or': ''}


def group_of(w):
    if not w.groups or (len(w.groups) < 3 and w.chance(0.05)):
        name = 'P-g%d' % len(w.groups)
        w.groups[name] = {'members': [], 'generation': 'generation of ' + name}
    return w.pick(w.groups)


def member_of(w, group, fresh=0.15):
    members = w.groups[group]['members']
    if not members or (len(members) < 4 and w.chance(fresh)):
        members.append(Member(w, group, w.chance(0.3)))
        return members[-1]
    return w.pick(members)


def generation(w, group):
    if w.chance(0.06):
        return w.pick([0, -1, 99])
    return {'$': w.groups[group]['generation'], 'or': 1, 'plus': w.pick([0] * 20 + [1, -1])}


def member_id(w, m):
    return m.id if w.chance(0.95) else w.pick(['', 'nobody', 'P-x'])


def join(w):
    group = group_of(w)
    m = member_of(w, group, 0.25)
    version = w.rng.randint(5, 9) if m.instance else w.version('join_group')
    protocols = m.protocols if w.chance(0.93) else w.pick(PROTOCOLS + [[]])
    body = {'group_id': group if w.chance(0.99) else '', 'session_timeout_ms': TIMEOUT if w.chance(0.97) else w.pick([1, -1, 100000000]),
            'rebalance_timeout_ms': TIMEOUT, 'member_id': member_id(w, m), 'group_instance_id': m.instance,
            'protocol_type': 'consumer' if w.chance(0.96) else w.pick(['connect', '']),
            'protocols': [{'name': p, 'metadata': {'$bytes': '%02x' % m.number}} for p in protocols]}
    if version >= 8 and w.chance(0.3):
        body['reason'] = w.pick(['because', '', None])
    more = {'conn': m.name, 'park': True, 'keep': {m.name: 'member_id', w.groups[group]['generation']: 'generation_id'}}
    w.call('join_group', body, version, **more)
    if version >= 4 and not m.instance and not m.joined:  # the id was asked for: comes again with it
        w.call('join_group', dict(body, member_id=m.id), version, **more)
    m.joined = True


def sync(w):
    group = group_of(w)
    m = member_of(w, group, 0)
    version = w.rng.randint(3, 5) if m.instance else w.version('sync_group')
    rows = [{'member_id': o.id, 'assignment': {'$bytes': '%02x%02x' % (o.number, w.rng.randrange(256))}}
            for o in w.groups[group]['members'] if o.joined]
    w.call('sync_group', {'group_id': group, 'generation_id': generation(w, group), 'member_id': member_id(w, m), 'group_instance_id': m.instance,
                          'protocol_type': w.pick(['consumer'] * 9 + [None, 'connect']) if version >= 5 else None,
                          'protocol_name': w.pick([None] * 9 + ['range', 'sticky']) if version >= 5 else None,
                          'assignments': rows if w.chance(0.7) else []}, version, conn=m.name, park=True)


def rounds(w):
    """Everybody joins, then everybody syncs: most groups should be stable at times."""
    group = group_of(w)
    info = w.groups[group]
    while len(info['members']) < 2 and w.chance(0.7):
        info['members'].append(Member(w, group, w.chance(0.3)))
    keep = dict(info)
    saved, w.groups = w.groups, {group: keep}
    order = list(info['members'])
    w.rng.shuffle(order)
    for m in order:
        version = w.rng.randint(5, 9)
        body = {'group_id': group, 'session_timeout_ms': TIMEOUT, 'rebalance_timeout_ms': TIMEOUT, 'member_id': m.id,
                'group_instance_id': m.instance, 'protocol_type': 'consumer',
                'protocols': [{'name': p, 'metadata': {'$bytes': '%02x' % m.number}} for p in m.protocols]}
        more = {'conn': m.name, 'park': True, 'keep': {m.name: 'member_id', info['generation']: 'generation_id'}}
        w.call('join_group', body, version, **more)
        if not m.instance and not m.joined:
            w.call('join_group', dict(body, member_id=m.id), version, **more)
        m.joined = True
    for m in order:
        w.call('sync_group', {'group_id': group, 'generation_id': {'$': info['generation'], 'or': 1}, 'member_id': m.id,
                              'group_instance_id': m.instance, 'protocol_type': None, 'protocol_name': None, 'assignments': [
                                  {'member_id': o.id, 'assignment': {'$bytes': '%02x' % o.number}} for o in order]},
               w.rng.randint(3, 5), conn=m.name, park=True)
    w.groups = saved


def heartbeat(w):
    group = group_of(w)
    m = member_of(w, group, 0)
    version = w.rng.randint(3, 4) if m.instance else w.version('heartbeat')
    w.call('heartbeat', {'group_id': group, 'generation_id': generation(w, group), 'member_id': member_id(w, m),
                         'group_instance_id': m.instance if w.chance(0.9) or version < 3 else w.pick(['i9', None])}, version)


def leave(w):
    group = group_of(w)
    members = w.groups[group]['members']
    if not members:
        return
    m = members[-1] if len(members) > 2 else w.pick(members)
    version = w.version('leave_group')
    if version < 3:
        w.call('leave_group', {'group_id': group, 'member_id': member_id(w, m)}, version, drop=m.name)
    else:
        rows = [{'member_id': '' if m.instance and w.chance(0.5) else member_id(w, m),
                 'group_instance_id': m.instance if w.chance(0.9) else 'i9', 'reason': w.pick([None, 'bye'])}]
        if w.chance(0.2):
            rows.append({'member_id': 'nobody', 'group_instance_id': None, 'reason': None})
        w.call('leave_group', {'group_id': group, 'members': rows}, version, drop=m.name)
    if w.chance(0.7):
        members.remove(m)


def topic_rows(w, version, partition_row, topics=None):
    by_topic = {}
    for _ in range(w.pick([1, 1, 2])):
        topic = w.pick(topics) if topics else w.topic()
        by_topic.setdefault(topic, []).append(partition_row(topic))
    return [dict(w.where(t, version >= 10), partitions=rows) for t, rows in by_topic.items()]


def commit(w):
    group = w.pick(['P-simple', group_of(w)])
    version = w.version('offset_commit')

    def row(topic):
        return {'partition_index': w.partition(topic), 'committed_offset': w.pick([0, 1, 5, 100, -1, -5]),
                'committed_leader_epoch': w.pick([-1, 0, 3]), 'committed_metadata': w.pick(['', 'note', None, 'x' * 4096, 'x' * 4097])}
    body = {'group_id': group, 'generation_id_or_member_epoch': -1, 'member_id': '',
            'topics': topic_rows(w, version, row)}
    if group != 'P-simple' and w.groups[group]['members'] and w.chance(0.8):
        m = w.pick(w.groups[group]['members'])
        body.update(generation_id_or_member_epoch=generation(w, group), member_id=member_id(w, m))
        if version >= 7:
            body['group_instance_id'] = m.instance if w.chance(0.9) else 'i9'
    elif w.chance(0.1):
        body.update(generation_id_or_member_epoch=w.pick([3, -2]), member_id=w.pick(['', 'x']))
    elif group not in w.committed:  # after a refused first commit Apache keeps an empty group
        w.committed.add(group)
        body.update(group_id=group, topics=[{'name': 'P-t0', 'partitions': [{
            'partition_index': 0, 'committed_offset': 1, 'committed_leader_epoch': -1, 'committed_metadata': ''}]}])
        version = w.rng.randint(2, 9)
    w.call('offset_commit', body, version)


def offsets(w):
    version = w.version('offset_fetch')
    groups = ['P-simple', 'P-none', ''] + list(w.groups) * 2 + ['P-c0']

    def rows():
        if version >= 2 and w.chance(0.4):
            return None
        names = {w.topic(): None for _ in range(w.pick([1, 2]))}
        return [dict(w.where(t, version >= 10), partition_indexes=sorted({w.partition(t), 0})) for t in names]
    body = {'require_stable': w.chance(0.3)} if version >= 7 else {}
    if version >= 8:
        body['groups'] = [{'group_id': w.pick(groups), 'topics': rows()} for _ in range(w.pick([1, 1, 2]))]
        if version >= 9 and w.chance(0.2):
            body['groups'][0].update(member_id=w.pick(['nobody', 'c0', '']), member_epoch=w.pick([-1, 1, 2]))
    else:
        body.update(group_id=w.pick(groups), topics=rows())
    w.call('offset_fetch', body, version)


def offset_delete(w):
    group = w.pick(['P-simple', 'P-none', group_of(w), group_of(w), 'P-c0'])
    topic = w.topic()
    w.call('offset_delete', {'group_id': group, 'topics': [{'name': topic, 'partitions': [
        {'partition_index': p} for p in sorted({w.partition(topic), 1 if topic == 'P-t0' else 0})
        if (topic, p) != ('P-t0', 0)]}]})


def describe(w):
    group, kind = w.pick(['P-simple', 'P-none', group_of(w), group_of(w), 'P-c0']), w.rng.randrange(4)
    if kind == 0:
        w.call('list_groups', {'states_filter': w.pick([[], [], ['Stable'], ['empty', 'Dead'], ['CompletingRebalance'], ['Nonsense'], ['Reconciling']]),
                               'types_filter': w.pick([[], [], ['classic'], ['consumer'], ['Classic'], ['share']])},
               w.rng.randint(5, 5) if w.chance(0.7) else 4)
        if w.steps[-1]['version'] < 5:
            w.steps[-1]['body'].pop('types_filter')
    elif kind == 1 and w.chance(0.5):
        w.call('consumer_group_describe', {'group_ids': [group], 'include_authorized_operations': w.chance(0.2)})
    else:
        version = w.version('describe_groups')
        w.call('describe_groups', {'groups': sorted({group, w.pick(['P-none', group])}),
                                   'include_authorized_operations': version >= 3 and w.chance(0.2)}, version)


def delete_groups(w):
    names = {w.pick(['P-simple', 'P-none', group_of(w), 'P-c0']), w.pick(['', 'P-simple', group_of(w)])}
    w.committed -= names
    w.call('delete_groups', {'groups_names': sorted(names)})


def coordinator(w):
    version = w.version('find_coordinator')
    kind = w.pick([0, 0, 1, 9]) if version else 0
    keys = {'coordinator_keys': w.pick([['P-a'], ['P-a', 'P-b'], [''], []])} if version >= 4 else {'key': w.pick(['P-a', ''])}
    w.call('find_coordinator', dict(keys, key_type=kind), version)


# ---------------------------------------------------------------- consumer groups

class Consumer:
    def __init__(self, w, group):
        self.group, self.id = group, 'c%d' % len(w.consumers[group])
        self.name = group + self.id
        self.topics = None
        self.instance = 'ci%s' % self.id if w.chance(0.2) else None

    @property
    def epoch(self):
        return {'$': 'epoch of ' + self.name, 'or': 0}


def consumer_of(w, fresh=0.15):
    if not w.consumers:
        w.consumers['P-c0'] = []
    group = w.pick(w.consumers)
    members = w.consumers[group]
    if not members or (len(members) < 3 and w.chance(fresh)):
        members.append(Consumer(w, group))
    return w.pick(members)


def beat(w, c, version=None, **more):
    w.call('consumer_group_heartbeat', dict({'group_id': c.group, 'member_id': c.id, 'member_epoch': c.epoch}, **more), version,
           keep={'epoch of ' + c.name: 'member_epoch'}, owner=c.name)


def consumer_joins(w):
    c = consumer_of(w, 0.5)
    c.topics = sorted({w.topic(0.1) for _ in range(w.pick([1, 2]))})
    more = {'member_epoch': 0, 'rebalance_timeout_ms': TIMEOUT, 'subscribed_topic_names': c.topics, 'topic_partitions': [],
            'instance_id': c.instance, 'rack_id': w.pick([None, None, 'r1']), 'server_assignor': w.pick([None, w.assignor])}
    version = w.version('consumer_group_heartbeat')
    if w.chance(0.15):
        more.update(w.pick([{'rebalance_timeout_ms': -1}, {'topic_partitions': None}, {'subscribed_topic_names': None}, {'server_assignor': 'x'},
                            {'subscribed_topic_names': []}, {'member_id': ''}, {'group_id': ''}, {'instance_id': ''}, {'rack_id': ''},
                            {'member_epoch': -3}, {'member_epoch': -1}, {'member_epoch': -2},
                            {'topic_partitions': [{'topic_id': {'$id': w.topic()}, 'partitions': [0]}]}]))
        if more.get('member_id') == '' and version == 0:
            more.pop('member_id')
    beat(w, c, version, **more)


def consumer_goes_on(w):
    c = consumer_of(w, 0)
    if w.chance(0.7):
        beat(w, c, topic_partitions={'$owned': c.name})
    elif w.chance(0.5):
        beat(w, c)
    else:
        more = w.pick([{'subscribed_topic_names': sorted({w.topic(0.1)})}, {'member_epoch': 99}, {'member_epoch': {'$': 'epoch of ' + c.name, 'or': 1, 'plus': -1}},
                       {'topic_partitions': []}, {'server_assignor': w.assignor}, {'rebalance_timeout_ms': TIMEOUT - 1},
                       {'topic_partitions': [{'topic_id': {'$id': w.topic()}, 'partitions': [0, 1]}]}])
        if 'subscribed_topic_names' in more:
            c.topics = more['subscribed_topic_names']
        beat(w, c, **more)


def reconcile(w):
    """Every consumer of a group says what it has, some rounds long."""
    consumer_of(w)
    for _ in range(w.pick([1, 2, 3])):
        for c in w.consumers['P-c0']:
            beat(w, c, 1, topic_partitions={'$owned': c.name})


def consumer_leaves(w):
    c = consumer_of(w, 0)
    beat(w, c, member_epoch=-2 if c.instance and w.chance(0.6) else -1, instance_id=c.instance)
    if w.chance(0.6):
        w.consumers[c.group].remove(c)
        if not w.consumers[c.group]:
            del w.consumers[c.group]


def consumer_commits(w):
    c = consumer_of(w, 0)
    version = w.rng.randint(9, wire.APIS['offset_commit'].versions.high)
    w.call('offset_commit', {'group_id': c.group, 'generation_id_or_member_epoch': c.epoch if w.chance(0.8) else w.pick([-1, 0, 1, 50]),
                             'member_id': c.id if w.chance(0.9) else w.pick(['', 'x']), 'topics': topic_rows(w, version, lambda t: {
                                 'partition_index': w.partition(t), 'committed_offset': 3, 'committed_leader_epoch': -1, 'committed_metadata': ''})},
           version)


def consumer_describe(w):
    w.call('consumer_group_describe', {'group_ids': w.pick([['P-c0'], ['P-c0', 'P-none'], ['P-g0'], ['']])})


OFFSETS = [(commit, 4), (offsets, 4), (offset_delete, 1.5), (delete_groups, 1), (coordinator, 0.5), (describe, 3)]
CLASSIC = [(join, 4), (sync, 4), (rounds, 2), (heartbeat, 3), (leave, 2), (describe, 2)]
CONSUMER = [(consumer_joins, 4), (consumer_goes_on, 5), (reconcile, 2), (consumer_leaves, 1.5), (consumer_commits, 1.5), (consumer_describe, 2)]
