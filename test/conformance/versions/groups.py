"""Classic groups and offsets at every version, as script.py does it: the life of a group with one member, and what is refused on the way."""
import wire

SESSION = 600000  # no session ends within the run


def versions(name):
    api = wire.APIS[name]
    return range(api.versions.low, api.versions.high + 1)


def coordinators(s):
    s.create('g', 3)
    s.until_found('ready')
    for v in versions('find_coordinator'):
        for kind in (0, 9) if v else (0,):
            keys = {'coordinator_keys': ['g1', 'g2', '']} if v >= 4 else {'key': 'g1'}
            s.call('kind %d' % kind, 'find_coordinator', v, dict(keys, key_type=kind))
        if v < 4:
            s.call('no name', 'find_coordinator', v, {'key': ''})


class Member:
    """Joins a group of its own at one version of the protocol."""

    def __init__(self, s, v, group, instance=None):
        self.s, self.v, self.group, self.instance = s, v, group, instance
        self.id, self.generation = '', -1

    def join(self, title, **more):
        body = dict({'group_id': self.group, 'session_timeout_ms': SESSION, 'rebalance_timeout_ms': SESSION, 'member_id': self.id,
                     'group_instance_id': self.instance, 'protocol_type': 'consumer',
                     'protocols': [{'name': 'range', 'metadata': b'm'}, {'name': 'roundrobin', 'metadata': b'n'}]}, **more)
        r = self.s.call(title, 'join_group', self.v, body)
        if r.get('error_code') in (0, 79) and 'member_id' not in more:
            self.id, self.generation = r['member_id'], r['generation_id']
        return r

    def sync(self, title, version, **more):
        return self.s.call(title, 'sync_group', version, dict(
            {'group_id': self.group, 'generation_id': self.generation, 'member_id': self.id, 'group_instance_id': self.instance,
             'protocol_type': 'consumer', 'protocol_name': 'range', 'assignments': [{'member_id': self.id, 'assignment': b'all'}]}, **more))

    def beat(self, title, version, **more):
        return self.s.call(title, 'heartbeat', version, dict(
            {'group_id': self.group, 'generation_id': self.generation, 'member_id': self.id, 'group_instance_id': self.instance}, **more))

    def leave(self, title, version, member=None):
        member = self.id if member is None else member
        return self.s.call(title, 'leave_group', version, {'group_id': self.group, 'member_id': member} if version < 3 else {
            'group_id': self.group, 'members': [{'member_id': member, 'group_instance_id': self.instance, 'reason': 'done'}]})

    def enter(self):
        self.join('first')
        if self.v >= 4 and self.instance is None:
            self.join('with the id')


def joins(s):
    for v in versions('join_group'):
        m = Member(s, v, 'join-%d' % v)
        m.enter()
        m.join('unknown member', member_id='nobody')
        m.join('another type', protocol_type='connect')
        m.join('no protocols', protocols=[])
        m.join('other protocols', protocols=[{'name': 'sticky', 'metadata': b''}])
        m.join('session too short', session_timeout_ms=1)
        m.join('session too long', session_timeout_ms=100000000)
        m.join('no group', group_id='')
        m.sync('leader', min(v, 5))
        m.join('again')
        m.leave('at the end', min(v, 5))
        if v >= 5:
            static(s, v)


def static(s, v):
    one, two = Member(s, v, 'static-%d' % v, 'i'), Member(s, v, 'static-%d' % v, 'i')
    one.join('static')
    one.sync('static leader', min(v, 5))
    two.join('static, replaced')
    two.sync('static, replaced', min(v, 5))
    one.beat('fenced', 4)
    two.beat('replaced', 4)
    one.join('fenced joins')
    two.leave('static leaves', min(v, 5), member='')


def members(s):
    for v in versions('sync_group'):
        m = Member(s, 5, 'sync-%d' % v)
        m.enter()
        m.sync('unknown member', v, member_id='nobody')
        m.sync('old generation', v, generation_id=m.generation - 1)
        m.sync('no group', v, group_id='none')
        m.sync('another protocol', v, protocol_name='sticky')
        m.sync('as leader', v)
        m.sync('again', v)
    for v in versions('heartbeat'):
        m = Member(s, 5, 'beat-%d' % v)
        m.enter()
        m.beat('before sync', v)
        m.sync('for heartbeats', 5)
        m.beat('good', v)
        m.beat('old generation', v, generation_id=0)
        m.beat('unknown member', v, member_id='nobody')
        m.beat('no group', v, group_id='none')
        m.beat('empty group', v, group_id='')
    for v in versions('leave_group'):
        m = Member(s, 5, 'leave-%d' % v)
        m.enter()
        m.sync('for leaving', 5)
        m.leave('unknown member', v, 'nobody')
        m.leave('good', v)
        m.leave('again', v)


def offsets(s):
    def commit(title, v, group, generation=-1, member='', topic='g', partition=0, offset=5, metadata='note'):
        where = {'topic_id': s.kit.ids.get(topic, bytes(15) + b'\7')} if v >= 10 else {'name': topic}
        s.call(title, 'offset_commit', v, {'group_id': group, 'generation_id_or_member_epoch': generation, 'member_id': member, 'topics': [
            dict(where, partitions=[{'partition_index': partition, 'committed_offset': offset, 'committed_leader_epoch': 0,
                                     'committed_metadata': metadata}])]})
    for v in versions('offset_commit'):
        commit('simple', v, 'commit-%d' % v)
        commit('null metadata', v, 'commit-%d' % v, partition=1, metadata=None)
        commit('metadata too long', v, 'commit-%d' % v, metadata='x' * 5000)
        commit('unknown topic', v, 'commit-%d' % v, topic='nope')
        commit('unknown partition', v, 'commit-%d' % v, partition=77)
        commit('generation without members', v, 'commit-%d' % v, generation=3, member='x')
        commit('empty group', v, '')
        m = Member(s, 5, 'member-%d' % v)
        m.enter()
        commit('before sync', v, m.group, m.generation, m.id)
        m.sync('for commits', 5)
        commit('as member', v, m.group, m.generation, m.id, offset=9)
        commit('old generation', v, m.group, m.generation - 1, m.id)
        commit('unknown member', v, m.group, m.generation, 'nobody')
        commit('from outside', v, m.group)
        m.leave('for commits', 5)
    for v in versions('offset_fetch'):
        fetches(s, v)


def fetches(s, v):
    def fetch(title, group, topics):
        def row(name, partitions):
            where = {'topic_id': s.kit.ids.get(name, bytes(15) + b'\7')} if v >= 10 else {'name': name}
            return dict(where, partition_indexes=partitions)
        rows = None if topics is None else [row(n, p) for n, p in topics]
        s.call(title, 'offset_fetch', v, {'groups': [{'group_id': group, 'topics': rows}]} if v >= 8 else {'group_id': group, 'topics': rows})
    fetch('some', 'commit-6', [('g', [0, 1, 2])])
    fetch('of a member', 'member-6', [('g', [0])])
    fetch('unknown topic', 'commit-6', [('nope', [0])])
    fetch('unknown partition', 'commit-6', [('g', [77])])
    fetch('unknown group', 'none', [('g', [0])])
    fetch('empty group', '', [('g', [0])])
    if v >= 2:
        fetch('all', 'commit-6', None)
        fetch('all of an unknown group', 'none', None)
    if v >= 7:
        s.call('stable', 'offset_fetch', v, {'require_stable': True, 'groups': [{'group_id': 'commit-6', 'topics': None}]} if v >= 8 else {
            'require_stable': True, 'group_id': 'commit-6', 'topics': None})
    if v >= 8:
        s.call('two groups', 'offset_fetch', v, {'groups': [{'group_id': 'commit-6', 'topics': None}, {'group_id': 'none', 'topics': None}]})


def admin(s):
    m = Member(s, 5, 'admin')
    m.enter()
    for v in versions('describe_groups'):
        s.call('not stable', 'describe_groups', v, {'groups': ['admin']})
    m.sync('for admin', 5)
    for v in versions('describe_groups'):
        s.call('stable, offsets only, unknown', 'describe_groups', v, {'groups': ['admin', 'commit-6', 'none', '']})
        if v >= 3:
            s.call('with operations', 'describe_groups', v, {'groups': ['admin'], 'include_authorized_operations': True})
    for v in versions('list_groups'):
        s.call('all', 'list_groups', v, {})
        if v >= 4:
            s.call('stable', 'list_groups', v, {'states_filter': ['Stable']})
            s.call('no such state', 'list_groups', v, {'states_filter': ['Sleeping']})
        if v >= 5:
            s.call('classic', 'list_groups', v, {'types_filter': ['classic']})
            s.call('consumer', 'list_groups', v, {'types_filter': ['consumer']})
            s.call('no such type', 'list_groups', v, {'types_filter': ['planet']})
    for v in versions('offset_delete'):
        def delete(title, group, topic='g', partition=0):
            s.call(title, 'offset_delete', v, {'group_id': group, 'topics': [{'name': topic, 'partitions': [{'partition_index': partition}]}]})
        delete('good', 'commit-2')
        delete('unknown topic', 'commit-2', 'nope')
        delete('unknown partition', 'commit-2', partition=77)
        delete('unknown group', 'none')
        delete('in use', 'admin')
    for v in versions('delete_groups'):
        s.call('good, unknown, in use', 'delete_groups', v, {'groups_names': ['commit-%d' % (v + 3), 'none', 'admin']})
        s.call('again', 'delete_groups', v, {'groups_names': ['commit-%d' % (v + 3)]})
        s.call('empty name', 'delete_groups', v, {'groups_names': ['']})
    m.leave('for admin', 5)


PARTS = (coordinators, joins, members, offsets, admin)
