"""Groups that move between the protocols while they run: the classic requests of members of consumer groups, both ways."""
import struct

import wire

JOIN, SYNC, BEAT, LEAVE = 9, 5, 4, 5


def text(s):
    return struct.pack('>h', len(s)) + s.encode()


def partitions(owned):
    out = struct.pack('>i', len(owned))
    for topic, numbers in owned.items():
        out += text(topic) + struct.pack('>i%di' % len(numbers), len(numbers), *numbers)
    return out


def subscription(topics, owned):
    out = struct.pack('>hi', 1, len(topics))
    for t in topics:
        out += text(t)
    return out + struct.pack('>i', -1) + partitions(owned)


def assignment(owned, user_data=None):
    data = struct.pack('>i', -1) if user_data is None else struct.pack('>i', len(user_data)) + user_data
    return struct.pack('>h', 1) + partitions(owned) + data


def read_assignment(data):
    """{topic: partitions} of what SyncGroup answers, with its version."""
    if not data:
        return None
    version, count = struct.unpack_from('>hi', data)
    at, out = 6, {}
    for _ in range(count):
        size, = struct.unpack_from('>h', data, at)
        topic = data[at + 2:at + 2 + size].decode()
        at += 2 + size
        numbers, = struct.unpack_from('>i', data, at)
        out[topic] = sorted(struct.unpack_from('>%di' % numbers, data, at + 4))
        at += 4 + 4 * numbers
    return [version, out]


class Migration:
    """Part of the lane's script."""

    def named(self, member):
        """Ids that the coordinator made differ from run to run."""
        return self.names.get(member, member)

    def keep(self, title, answer):
        self.step += 1
        self.answers['%03d %s' % (self.step, title)] = answer

    def join(self, title, group, member, topics=('t',), owned=None, instance=None, protocols=('range',), name=None,
             version=JOIN, metadata=None):
        said = subscription(topics, owned or {}) if metadata is None else metadata
        r = self.kit.call('join_group', version, {
            'group_id': group, 'member_id': member, 'group_instance_id': instance, 'protocol_type': 'consumer',
            'session_timeout_ms': 10000, 'rebalance_timeout_ms': 60000,
            'protocols': [{'name': p, 'metadata': said} for p in protocols]})
        if name is not None:
            self.names[r['member_id']] = name
        self.keep('join: ' + title, [
            wire.err(r['error_code']), None,
            {'member': self.named(r['member_id']), 'generation': r['generation_id'], 'type': r['protocol_type'],
             'protocol': r['protocol_name'], 'leader': self.named(r['leader']), 'skip': r['skip_assignment'],
             'members': sorted(self.named(m['member_id']) for m in r['members'])}])
        return r['member_id'], r['generation_id']

    def sync(self, title, group, member, generation, instance=None, given=None, protocol='range'):
        r = self.kit.call('sync_group', SYNC, {
            'group_id': group, 'member_id': member, 'group_instance_id': instance, 'generation_id': generation,
            'protocol_type': 'consumer', 'protocol_name': protocol,
            'assignments': [{'member_id': m, 'assignment': a} for m, a in (given or {}).items()]})
        got = read_assignment(r['assignment'])
        self.keep('sync: ' + title, [wire.err(r['error_code']), None,
                                     {'type': r['protocol_type'], 'protocol': r['protocol_name'], 'assignment': got}])
        return got[1] if got else {}

    def classic_beat(self, title, group, member, generation, instance=None):
        r = self.kit.call('heartbeat', BEAT, {'group_id': group, 'member_id': member, 'group_instance_id': instance,
                                              'generation_id': generation})
        self.keep('classic heartbeat: ' + title, wire.err(r['error_code']))

    def leave(self, title, group, *members):
        r = self.kit.call('leave_group', LEAVE, {'group_id': group, 'members': [
            {'member_id': m, 'group_instance_id': i, 'reason': None} for m, i in members]})
        self.keep('leave: ' + title, [wire.err(r['error_code']), None,
                                      {self.named(m['member_id']) or m['group_instance_id']: wire.err(m['error_code'])
                                       for m in r['members']}])

    def show(self, title, group):
        """Whichever kind of group it is."""
        r = self.kit.call('describe_groups', 6, {'groups': [group], 'include_authorized_operations': False})['groups'][0]
        if wire.err(r['error_code']) == 'NONE':
            self.keep('classic: ' + title, [r['group_state'], r['protocol_type'], {
                self.named(m['member_id']): [m['group_instance_id'], read_assignment(m['member_assignment'])]
                for m in r['members']}])
            return
        r = self.kit.call('consumer_group_describe', 1, {'group_ids': [group], 'include_authorized_operations': False})
        g = r['groups'][0]
        self.keep('consumer: ' + title, [g['group_state'], g['group_epoch'], {
            self.named(m['member_id']): [m['instance_id'], m['member_epoch'], m['member_type'],
                                         m['subscribed_topic_names'], self.topics_of(m['assignment']['topic_partitions']),
                                         self.topics_of(m['target_assignment']['topic_partitions'])]
            for m in g['members']}])

    def commit_as(self, title, group, member, epoch, topic='t', partition=0, version=9):
        r = self.kit.call('offset_commit', version, {
            'group_id': group, 'member_id': member, 'generation_id_or_member_epoch': epoch, 'topics': [
                {'name': topic, 'partitions': [{'partition_index': partition, 'committed_offset': 5,
                                                'committed_metadata': ''}]}]})
        self.keep('commit: ' + title, wire.err(r['topics'][0]['partitions'][0]['error_code']))

    def classic(self, group, instance, given, user_data=None, **more):
        """A stable classic group of one static member."""
        member, generation = self.join(group + ': classic', group, '', instance=instance, name=group + '-old', **more)
        self.sync(group + ': classic', group, member, generation, instance, {member: assignment(given, user_data)})
        return member, generation

    def up(self):
        b = self.beat
        old, gen = self.classic('up', 'i1', {'t': [0, 1, 2, 3, 4, 5]})
        b('up: not by going on', 'up', 'new', 3)
        b('up: not by a bad expression', 'up', 'new', 0, subscribed_topic_regex='(')
        e, _ = b('up: comes', 'up', 'new', 0, ['t'])
        self.show('up', 'up')
        self.classic_beat('told to join', 'up', old, gen, 'i1')
        self.classic_beat('wrong generation', 'up', old, gen + 1, 'i1')
        self.classic_beat('not classic', 'up', 'new', e)
        self.classic_beat('unknown', 'up', 'nobody', e)
        self.classic_beat('wrong instance', 'up', 'nobody', gen, 'i1')
        self.commit_as('of the old generation', 'up', old, gen, version=8)
        self.commit_as('of a later generation', 'up', old, gen + 5)
        self.sync('must join first', 'up', old, gen, 'i1')
        self.sync('not classic', 'up', 'new', e)
        self.sync('another protocol', 'up', old, gen, 'i1', protocol='sticky')
        _, gen = self.join('to revoke', 'up', old, owned={'t': [0, 1, 2, 3, 4, 5]}, instance='i1')
        kept = self.sync('what it keeps', 'up', old, gen, 'i1')
        b('up: waits', 'up', 'new', e)
        self.classic_beat('has to revoke', 'up', old, gen, 'i1')
        _, gen = self.join('revoked', 'up', old, owned=kept, instance='i1')
        kept = self.sync('the same', 'up', old, gen, 'i1')
        b('up: gets', 'up', 'new', e)
        self.show('both', 'up')
        self.classic_beat('stable', 'up', old, gen, 'i1')
        self.commit_as('of what it had before', 'up', old, gen - 1)
        self.commit_as('of what it has not', 'up', old, gen - 1, partition=5)
        self.join('another protocol', 'up', 'x', protocols=('sticky',))
        self.join('malformed', 'up', 'x', metadata=b'\0')
        self.join('is given an id', 'up', '', name='up-third')
        third = next(m for m, n in self.names.items() if n == 'up-third')
        _, g3 = self.join('a third', 'up', third)
        self.sync('a third', 'up', third, g3)
        self.show('three', 'up')
        self.leave('one that is there and one that is not', 'up', (third, None), ('nobody', None), ('', 'i9'))
        self.show('two again', 'up')
        self.leave('the old one, by its instance', 'up', ('', 'i1'))
        self.show('only the new one', 'up')

    def refused_up(self):
        b = self.beat
        self.classic('user', 'i1', {'t': [0]}, b'mine')
        b('up: user data', 'user', 'new', 0, ['t'])
        self.classic('bad', 'i1', {}, metadata=b'\0')
        b('up: bad subscription', 'bad', 'new', 0, ['t'])
        r = self.kit.call('join_group', JOIN, {
            'group_id': 'work', 'member_id': '', 'group_instance_id': 'i1', 'protocol_type': 'connect',
            'session_timeout_ms': 10000, 'rebalance_timeout_ms': 60000, 'protocols': [{'name': 'x', 'metadata': b''}]})
        self.keep('join: workers', wire.err(r['error_code']))
        b('up: workers', 'work', 'new', 0, ['t'])

    def down(self):
        b = self.beat
        e, a = b('down: alone', 'down', 'new', 0, ['t'])
        old, gen = self.join('down: comes', 'down', 'old', instance='i1')
        self.join('down: static with an id', 'down', 'old')
        self.show('down: comes', 'down')
        e, a = b('down: revokes', 'down', 'new', e, owned=a)
        e, _ = b('down: revoked', 'down', 'new', e, owned=a or {})
        _, gen = self.join('down: again', 'down', 'old')
        self.sync('down', 'down', 'old', gen)
        b('down: the last one goes', 'down', 'new', -1)
        self.show('down: rebalance', 'down')
        _, gen = self.join('down: classic again', 'down', 'old')
        self.sync('down: classic again', 'down', 'old', gen, given={'old': assignment({'t': [0, 1, 2, 3, 4, 5]})})
        self.show('down: stable', 'down')
        b('down: and up again', 'down', 'newer', 0, ['t'])
        self.show('down: up again', 'down')

    def static_swap(self):
        b = self.beat
        self.classic('swap', 'i1', {'t': [0, 1, 2, 3, 4, 5]})
        e, _ = b('swap: to the new protocol', 'swap', 'new', 0, ['t'], instance_id='i1')
        self.show('swap: new', 'swap')
        old, gen = self.join('swap: back', 'swap', '', instance='i1', owned={'t': [0, 1, 2, 3, 4, 5]}, name='swap-back')
        self.show('swap: back', 'swap')
        self.sync('swap: back', 'swap', old, gen, 'i1')
        b('swap: its other self', 'swap', 'new', e, instance_id='i1')

    def emptied(self):
        b = self.beat
        b('emptied: comes', 'void', 'new', 0, ['t'], show=False)
        b('emptied: goes', 'void', 'new', -1, show=False)
        self.classic_beat('of an empty group', 'void', 'x', 1)
        self.sync('of an empty group', 'void', 'x', 1)
        self.classic('void', 'i1', {'t': [0]})
        self.show('emptied: classic', 'void')
        self.leave('emptied', 'void', ('', 'i1'))
        b('emptied: comes again', 'void', 'new', 0, ['t'])

    def migrate(self):
        self.names = {}
        for part in (self.up, self.refused_up, self.down, self.static_swap, self.emptied):
            part()
