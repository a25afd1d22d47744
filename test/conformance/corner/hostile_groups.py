"""What nobody should send to a group: megabytes, thousands, strangers. Errors as Apache Kafka gives them; nothing is left behind."""
import wire
from groups import BEAT, LEAVE, PROPS, SYNC, Group, subscription
from kit import equal, true

__all__ = ['PROPS', 'run']


def listed(kit):
    r = kit.call('list_groups', 5, {'states_filter': [], 'types_filter': []})
    return {g['group_id'] for g in r['groups']}


def raw_join(g, protocols, member='', version=3, kind='consumer', session=10000):
    return g.call('join_group', version, {
        'session_timeout_ms': session, 'rebalance_timeout_ms': 5000, 'member_id': member, 'group_instance_id': None,
        'protocol_type': kind, 'protocols': [{'name': n, 'metadata': m} for n, m in protocols]})


def megabytes(kit):
    """A member may say a lot. Apache Kafka refuses to write what is more than max.message.bytes of the internal topic and lets the
    group begin again for ever; we write it, since the request's own limit has passed it."""
    g = Group(kit)
    r = raw_join(g, [('range', b'x' * 3000000)])
    equal(wire.err(r['error_code']), 'NONE')
    equal([len(m['metadata']) for m in r['members']], [3000000])
    equal(wire.err(g.call('sync_group', SYNC, {
        'member_id': r['member_id'], 'generation_id': r['generation_id'], 'group_instance_id': None,
        'protocol_type': 'consumer', 'protocol_name': 'range',
        'assignments': [{'member_id': r['member_id'], 'assignment': b'y'}]})['error_code']),
          'NONE' if kit.ours else 'UNKNOWN_SERVER_ERROR')
    equal(g.leave((r['member_id'], None)), ['NONE'])


def thousands_of_protocols(kit):
    g = Group(kit)
    names = [('p%d' % i, subscription('t')) for i in range(4000)]
    r = raw_join(g, names)
    equal((wire.err(r['error_code']), r['protocol_name']), ('NONE', 'p0'))
    equal(len(r['members'][0]['metadata']), len(subscription('t')))
    other = raw_join(g, [('q%d' % i, b'') for i in range(4000)])
    equal(wire.err(other['error_code']), 'INCONSISTENT_GROUP_PROTOCOL')
    equal(g.leave((r['member_id'], None)), ['NONE'])


def nothing_said(kit):
    g = Group(kit)
    equal(wire.err(raw_join(g, [])['error_code']), 'INCONSISTENT_GROUP_PROTOCOL')
    equal(wire.err(raw_join(g, [('range', b'')], kind='')['error_code']), 'INCONSISTENT_GROUP_PROTOCOL')
    equal(wire.err(raw_join(g, [('range', b'')], session=1)['error_code']), 'INVALID_SESSION_TIMEOUT')
    equal(wire.err(raw_join(g, [('range', b'')], session=-5)['error_code']), 'INVALID_SESSION_TIMEOUT')
    equal(wire.err(raw_join(g, [('range', b'')], session=2**31 - 1)['error_code']), 'INVALID_SESSION_TIMEOUT')


def strangers(kit):
    """Of a group that is not there."""
    g = Group(kit)
    g.id += '-nobody'
    equal(wire.err(g.call('heartbeat', BEAT, {'member_id': 'x', 'generation_id': 1})['error_code']), 'UNKNOWN_MEMBER_ID')
    equal(wire.err(g.call('sync_group', SYNC, {
        'member_id': 'x', 'generation_id': 1, 'group_instance_id': None, 'protocol_type': 'consumer', 'protocol_name': 'range',
        'assignments': []})['error_code']), 'UNKNOWN_MEMBER_ID')
    r = g.call('leave_group', LEAVE, {'members': [{'member_id': 'x', 'group_instance_id': None, 'reason': None}]})
    equal((wire.err(r['error_code']), [wire.err(m['error_code']) for m in r['members']]), ('NONE', ['UNKNOWN_MEMBER_ID']))
    equal(wire.err(g.join(member='x')['error_code']), 'UNKNOWN_MEMBER_ID')
    equal(wire.err(g.join(member='x', instance='i')['error_code']), 'UNKNOWN_MEMBER_ID')
    t = kit.create()
    equal(g.commit(t, 1, 'x', 1), 'GROUP_ID_NOT_FOUND')
    equal(g.commit(t, 1, 'x', 1, version=8), 'ILLEGAL_GENERATION')
    true(g.id not in listed(kit), 'left behind')


def odd_names(kit):
    """An id is any text."""
    t = kit.create()
    for name in (' ', '\0', '\n\r\t', '"\'\\%s{}', '../..', 'ж漢🐦', 'x' * 32000):
        g = Group(kit)
        g.id = name
        equal(g.commit(t, 5), 'NONE', repr(name[:20]))
        equal(g.offsets([(t, [0])])[t, 0][0], 5, repr(name[:20]))
        true(name in listed(kit), repr(name[:20]))
        r = kit.call('delete_groups', 2, {'groups_names': [name]})
        equal(wire.err(r['results'][0]['error_code']), 'NONE', repr(name[:20]))
        true(name not in listed(kit), repr(name[:20]))


def empty_name(kit):
    g = Group(kit)
    g.id = ''
    t = kit.create()
    equal(wire.err(g.join()['error_code']), 'INVALID_GROUP_ID')
    equal(wire.err(g.call('heartbeat', BEAT, {'member_id': 'x', 'generation_id': 1})['error_code']), 'INVALID_GROUP_ID')
    equal(wire.err(g.call('sync_group', SYNC, {
        'member_id': 'x', 'generation_id': 1, 'group_instance_id': None, 'protocol_type': 'consumer', 'protocol_name': 'range',
        'assignments': []})['error_code']), 'INVALID_GROUP_ID')
    # Offsets may belong to nobody.
    equal(g.commit(t, 5), 'NONE')
    equal(g.offsets([(t, [0])])[t, 0][0], 5)


def wild_numbers(kit):
    t = kit.create()
    g = Group(kit)
    for offset in (-1, -5, 2**63 - 1, -2**63):
        equal(g.commit(t, offset), 'NONE', str(offset))
        equal(g.offsets([(t, [0])])[t, 0][0], offset)
    equal(g.commit(t, 1, epoch=-7), 'NONE')
    equal(g.commit(t, 1, partition=-1), 'UNKNOWN_TOPIC_OR_PARTITION')
    equal(g.commit(t, 1, partition=2**31 - 1), 'UNKNOWN_TOPIC_OR_PARTITION')
    equal(g.commit(t, 1, '', 5), 'UNKNOWN_MEMBER_ID')
    equal(g.commit(t, 1, 'x', -1), 'NONE')
    equal(g.commit(t, 1, '', -2), 'NONE')


def expressions(kit):
    """What would take other engines for ever."""
    for text, error in (('(a*)*b', 'NONE'), ('(' * 200 + 'a' + ')' * 200, 'NONE'), ('a{1000}', 'NONE'),
                        ('a{1001}', 'INVALID_REGULAR_EXPRESSION'), ('(?=a)', 'INVALID_REGULAR_EXPRESSION'),
                        ('(a)\\1', 'INVALID_REGULAR_EXPRESSION'), ('[z-a]', 'INVALID_REGULAR_EXPRESSION'),
                        ('a**', 'INVALID_REGULAR_EXPRESSION'), ('\\', 'INVALID_REGULAR_EXPRESSION')):
        g = Group(kit)
        g.id += '-regex'
        r = g.call('consumer_group_heartbeat', 1, {
            'member_id': 'x', 'member_epoch': 0, 'rebalance_timeout_ms': 60000, 'subscribed_topic_regex': text,
            'topic_partitions': []})
        equal(wire.err(r['error_code']), error, text[:20])
        equal(g.id in listed(kit), error == 'NONE', text[:20])
        if error == 'NONE':
            g.call('consumer_group_heartbeat', 1, {'member_id': 'x', 'member_epoch': -1})


def run(kit, attempt):
    for test in (megabytes, thousands_of_protocols, nothing_said, strangers, odd_names, empty_name, wild_numbers,
                 expressions):
        attempt('groups/hostile-' + test.__name__.replace('_', '-'), test, kit)
