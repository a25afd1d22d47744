"""KIP-848 heartbeat by heartbeat: what Apache Kafka 4.4.0's coordinator answers to the same requests (harness/judge.py)."""
import os

import judge
import wire
from kit import Kit, equal
from main import Failed
from migration import Migration

# Assignments are made at once, so that answers do not depend on time.
PROPS = {'group.consumer.assignment.interval.ms': 0, 'group.consumer.min.assignment.interval.ms': 0,
         'group.consumer.assignor.offload.enable': 'false', 'group.consumer.max.size': 5, 'group.initial.rebalance.delay.ms': 0,
         'offsets.topic.num.partitions': 3}
KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kafka-4.4.0.json')
SAME = object()


class Script(judge.Script, Migration):
    step = 0

    def topics_of(self, rows):
        """Assigned partitions by topic name."""
        names = {i: n for n, i in self.kit.ids.items()}
        return {names.get(t['topic_id'], '?'): sorted(t['partitions']) for t in rows}

    def beat(self, title, group, member, epoch, topics=None, owned=None, timeout=None, version=1, show=True, **more):
        body = dict(more, group_id=group, member_id=member, member_epoch=epoch)
        if topics is not None:
            body['subscribed_topic_names'] = topics
        if epoch == 0:
            body.setdefault('rebalance_timeout_ms', 60000)
            owned = {} if owned is None else owned
        if timeout is not None:
            body['rebalance_timeout_ms'] = timeout
        if owned is not None and owned is not SAME:
            body['topic_partitions'] = [{'topic_id': self.kit.ids[t], 'partitions': p} for t, p in owned.items()]
        if owned is SAME:
            body['topic_partitions'] = None
        r = self.kit.call('consumer_group_heartbeat', version, body)
        got = None if r['assignment'] is None else self.topics_of(r['assignment']['topic_partitions'])
        if show:
            self.step += 1
            self.answers['%03d %s' % (self.step, title)] = [
                wire.err(r['error_code']), r['error_message'],
                {'member': r['member_id'], 'epoch': r['member_epoch'], 'interval': r['heartbeat_interval_ms'],
                 'assignment': got}]
        return r['member_epoch'], got

    def describe(self, title, *groups, version=1):
        r = self.kit.call('consumer_group_describe', version, {'group_ids': list(groups),
                                                               'include_authorized_operations': False})
        out = {}
        for g in r['groups']:
            members = {m['member_id']: [
                m['instance_id'], m['rack_id'], m['member_epoch'], m['subscribed_topic_names'], m['subscribed_topic_regex'],
                self.topics_of(m['assignment']['topic_partitions']),
                self.topics_of(m['target_assignment']['topic_partitions']), m.get('member_type')] for m in g['members']}
            out[g['group_id']] = [wire.err(g['error_code']), g['error_message'], g['group_state'], g['group_epoch'],
                                  g['assignment_epoch'], g['assignor_name'], members]
        self.step += 1
        self.answers['%03d describe: %s' % (self.step, title)] = out

    def refused(self):
        b = self.beat
        b('empty group', '', 'm', 0, ['t'])
        b('no member id', 'r', '', 0, ['t'])
        b('no subscription', 'r', 'm', 0)
        b('empty subscription', 'r', 'm', 0, [])
        b('no timeout', 'r', 'm', 0, ['t'], timeout=-1)
        b('joins with partitions', 'r', 'm', 0, ['t'], owned={'t': [0]})
        b('joins without saying', 'r', 'm', 0, ['t'], owned=SAME)
        b('empty instance', 'r', 'm', 0, ['t'], instance_id='')
        b('empty rack', 'r', 'm', 0, ['t'], rack_id='')
        b('unknown assignor', 'r', 'm', 0, ['t'], server_assignor='sticky')
        b('epoch -3', 'r', 'm', -3)
        b('epoch -2 without instance', 'r', 'm', -2)
        b('leaves what is not there', 'r', 'm', -1)
        b('goes on in what is not there', 'r', 'm', 5)
        self.describe('what is not there', 'r')

    def one(self):
        b = self.beat
        epoch, got = b('joins', 'one', 'm1', 0, ['t'])
        b('goes on', 'one', 'm1', epoch)
        b('goes on with what it has', 'one', 'm1', epoch, owned=got)
        b('says everything', 'one', 'm1', epoch, ['t'], owned=got, timeout=60000)
        b('too far', 'one', 'm1', epoch + 1)
        b('too far back', 'one', 'm1', epoch - 1 if epoch > 1 else 99)
        b('another member', 'one', 'm9', 1)
        self.describe('one member', 'one', 'nobody')
        epoch, got = b('subscribes to more', 'one', 'm1', epoch, ['t', 'u'])
        b('gets more', 'one', 'm1', epoch, owned=got)
        epoch2, got2 = b('subscribes to less', 'one', 'm1', epoch, ['u'], owned=got or {})
        b('gave it up', 'one', 'm1', epoch2, owned={'u': [0, 1]})
        epoch, got = b('subscribes to what is not there', 'one', 'm1', epoch2 if epoch2 else epoch, ['later'])
        self.describe('after all that', 'one')
        b('joins again', 'one', 'm1', 0, ['t'])
        b('leaves', 'one', 'm1', -1)
        b('leaves again', 'one', 'm1', -1)
        self.describe('empty', 'one')

    def several(self):
        b = self.beat
        e1, a1 = b('first joins', 'sev', 'm1', 0, ['t'])
        e2, a2 = b('second joins', 'sev', 'm2', 0, ['t'])
        self.describe('second waits', 'sev')
        b('second asks', 'sev', 'm2', e2)
        e1, k1 = b('first is told to revoke', 'sev', 'm1', e1, owned=a1)
        b('first is not done', 'sev', 'm1', e1, owned=a1)
        b('second still waits', 'sev', 'm2', e2)
        e1, k1b = b('first gave up', 'sev', 'm1', e1, owned=k1 or {})
        e2, a2 = b('second gets', 'sev', 'm2', e2)
        self.describe('two', 'sev')
        e3, a3 = b('third joins', 'sev', 'm3', 0, ['t', 'u'])
        self.describe('third waits', 'sev')
        e1, n1 = b('first revokes', 'sev', 'm1', e1, owned=k1)
        e1, _ = b('first gave up again', 'sev', 'm1', e1, owned=n1 or k1)
        e2, n2 = b('second revokes', 'sev', 'm2', e2, owned=a2 or {})
        e2, _ = b('second gave up', 'sev', 'm2', e2, owned=n2 or a2 or {})
        e3, a3 = b('third gets', 'sev', 'm3', e3)
        self.describe('three', 'sev')
        b('fourth', 'sev', 'm4', 0, ['t'])
        b('fifth', 'sev', 'm5', 0, ['t'])
        b('too many', 'sev', 'm6', 0, ['t'])
        b('second leaves', 'sev', 'm2', -1)
        # Which partitions move between members of unequal subscriptions is the assignor's own affair.
        b('sixth has room', 'sev', 'm6', 0, ['t'], show=False)

    def static(self):
        b = self.beat
        e1, a1 = b('static joins', 'sta', 'm1', 0, ['t'], instance_id='i1')
        b('another with its instance', 'sta', 'm2', 0, ['t'], instance_id='i1')
        b('wrong member goes on', 'sta', 'm2', e1, instance_id='i1')
        b('unknown instance goes on', 'sta', 'm1', e1, instance_id='i9')
        b('goes on', 'sta', 'm1', e1, instance_id='i1')
        b('wrong member leaves', 'sta', 'm2', -2, instance_id='i1')
        b('unknown instance leaves', 'sta', 'm1', -2, instance_id='i9')
        b('leaves for a while', 'sta', 'm1', -2, instance_id='i1')
        self.describe('away', 'sta')
        e2, a2 = b('comes back as another', 'sta', 'm2', 0, ['t'], instance_id='i1')
        self.describe('back', 'sta')
        b('its old self', 'sta', 'm1', e1, instance_id='i1')
        e3, a3 = b('a dynamic one joins', 'sta', 'm3', 0, ['t'])
        b('leaves for good', 'sta', 'm2', -1, instance_id='i1')
        b('the dynamic one', 'sta', 'm3', e3)
        self.describe('only the dynamic one', 'sta')

    def ranges(self):
        b = self.beat
        b('range: first', 'ran', 'm1', 0, ['t', 'u'], server_assignor='range', show=False)
        e2, a2 = b('range: second', 'ran', 'm2', 0, ['t', 'u'], server_assignor='range')
        e3, a3 = b('range: third', 'ran', 'm3', 0, ['t'], server_assignor='range', instance_id='a')
        self.describe('range', 'ran')
        b('range: first changes its mind', 'ran', 'm1', 1, ['t', 'u'], server_assignor='uniform')
        b('version 0 gives an id', 'v0', '', 0, ['t'], version=0, show=False)

    def regexes(self):
        b = self.beat
        b('malformed', 'reg', 'm1', 0, subscribed_topic_regex='a(')
        b('malformed too', 'reg', 'm1', 0, subscribed_topic_regex='*a')
        e, _ = b('by expression', 'reg', 'm1', 0, subscribed_topic_regex='t|u', show=False)
        # Apache Kafka resolves expressions beside the heartbeats.
        def resolved():
            e, _ = b('', 'reg', 'm1', 0, subscribed_topic_regex='t|u', show=False)
            rows = self.kit.call('consumer_group_describe', 1, {'group_ids': ['reg'], 'include_authorized_operations': False})
            return len(rows['groups'][0]['members'][0]['assignment']['topic_partitions']) == 2
        self.kit.wait(resolved, 'expression is not resolved')
        r = self.kit.call('consumer_group_describe', 1, {'group_ids': ['reg'], 'include_authorized_operations': False})
        m = r['groups'][0]['members'][0]
        self.answers['described by expression'] = [m['subscribed_topic_names'], m['subscribed_topic_regex'],
                                                   self.topics_of(m['assignment']['topic_partitions'])]

    def offsets(self):
        def commit(title, member, epoch, group='off'):
            r = self.kit.call('offset_commit', 9, {'group_id': group, 'member_id': member,
                              'generation_id_or_member_epoch': epoch, 'topics': [{'name': 't', 'partitions': [
                                  {'partition_index': 0, 'committed_offset': 5, 'committed_metadata': 'x'}]}]})
            self.step += 1
            self.answers['%03d commit: %s' % (self.step, title)] = wire.err(
                r['topics'][0]['partitions'][0]['error_code'])

        def fetch(title, member, epoch, group='off'):
            r = self.kit.call('offset_fetch', 9, {'groups': [{'group_id': group, 'member_id': member,
                              'member_epoch': epoch, 'topics': [{'name': 't', 'partition_indexes': [0]}]}]})['groups'][0]
            self.step += 1
            self.answers['%03d offsets: %s' % (self.step, title)] = [
                wire.err(r['error_code']), [p['committed_offset'] for t in r['topics'] for p in t['partitions']]]
        e, _ = self.beat('joins to commit', 'off', 'm1', 0, ['t'])
        commit('of the member', 'm1', e)
        commit('of nobody', '', -1)
        commit('of another', 'm9', e)
        commit('of a later epoch', 'm1', e + 1)
        fetch('of the member', 'm1', e)
        fetch('of anybody', None, -1)
        fetch('of another', 'm9', e)
        fetch('of a later epoch', 'm1', e + 1)
        r = self.kit.call('delete_groups', 2, {'groups_names': ['off', 'nobody']})['results']
        self.answers['delete: with a member'] = [[g['group_id'], wire.err(g['error_code'])] for g in r]
        self.beat('leaves after commits', 'off', 'm1', -1)
        commit('of nobody, empty', '', -1)
        r = self.kit.call('delete_groups', 2, {'groups_names': ['off']})['results']
        self.answers['delete: empty'] = [[g['group_id'], wire.err(g['error_code'])] for g in r]
        fetch('deleted', None, -1)

    def listing(self):
        r = self.kit.call('list_groups', 5, {'states_filter': [], 'types_filter': ['consumer']})
        self.answers['list'] = sorted([g['group_id'], g['protocol_type'], g['group_state'], g['group_type']]
                                      for g in r['groups'])
        r = self.kit.call('describe_groups', 6, {'groups': ['sev'], 'include_authorized_operations': False})
        self.answers['described as classic'] = [[wire.err(g['error_code']), g['error_message'], g['group_state']]
                                                for g in r['groups']]

    def ready(self):
        """The offsets topic is made by the first FindCoordinator."""
        def found():
            r = self.kit.call('find_coordinator', 4, {'key_type': 0, 'coordinator_keys': ['one']})
            return r['coordinators'][0]['error_code'] == 0
        self.kit.wait(found, 'no coordinator', 30)

        def loaded():
            return all(self.kit.call('consumer_group_heartbeat', 1, {
                'group_id': g, 'member_id': 'x', 'member_epoch': 7})['error_code'] in (69, 25, 81)  # 81: full, said first
                for g in ('one', 'sev', 'sta', 'ran', 'off', 'r', 'v0', 'reg', 'up', 'down', 'swap', 'void', 'user', 'bad', 'work'))
        self.kit.wait(loaded, 'coordinators are not ready', 30)

    def run(self):
        self.kit.create('t', partitions=6)
        self.kit.create('u', partitions=2)
        self.ready()
        for part in (self.refused, self.one, self.several, self.static, self.ranges, self.regexes, self.offsets, self.listing,
                     self.migrate):
            part()
        return self.answers


def after_a_kill(lane):
    """What is described is what the records say: the same after kill -9, and members go on."""
    b = lane.broker(dict(PROPS), name='killed')
    script = Script(Kit(lane, b), b)
    kit = script.kit
    kit.create('t', partitions=6)
    kit.create('u', partitions=2)
    script.ready()
    script.several()
    script.static()

    def described():
        rows = kit.call('consumer_group_describe', 1, {'group_ids': ['sev', 'sta'],
                                                       'include_authorized_operations': False})['groups']
        for g in rows:
            g['members'].sort(key=lambda m: m['member_id'])
        return rows
    before = described()
    b.kill()
    b.start()
    script.ready()
    equal(described(), before)
    epoch = [m['member_epoch'] for m in before[1]['members']]
    equal(script.beat('', 'sta', 'm3', epoch[0], show=False)[0], epoch[0])
    lane.stop(b)


def assignors(lane):
    """Random groups through Apache Kafka's assignors and ours."""
    code, text = lane.run([os.path.join(lane.repo, 'test', 'assignor-java', 'run'), '2000'], 300)
    if code or '14000 steps' not in text:
        raise Failed('exit %d: %s' % (code, text[-500:]))


def run(lane):
    judge.run(lane, Script, PROPS, KEPT)
    if lane.kind == 'taccola':
        lane.attempt('the same after kill -9', after_a_kill, lane)
        if lane.long:
            lane.need('java', 'mvn', 'cmake')
            lane.need_apache('4.4.0')
            lane.attempt('the same assignments', assignors, lane)
