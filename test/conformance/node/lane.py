"""Node's clients from npm: kafkajs, @platformatic/kafka, node-rdkafka."""
import os


def run(lane):
    lane.need('node', 'npm')
    lane.install('node')
    modules = os.path.join(lane.cache, 'node', 'node_modules')
    # A second member is to be assigned at once, not after the interval between two assignments.
    interval = {} if lane.kind == 'apache' else {'group.consumer.assignment.interval.ms': 0}
    b = lane.broker(dict({'num.partitions': 1}, **interval))
    env = {'NODE_PATH': modules}
    for name in ('kafkajs', 'platformatic'):
        for part in ('session', 'groups'):
            lane.program(name if part == 'session' else name + '-groups',
                         ['node', os.path.join(lane.dir, '%s_%s.js' % (part, name)), b.bootstrap], env=env)
    if os.path.exists(os.path.join(modules, 'node-rdkafka', 'build', 'Release', 'node-librdkafka.node')):
        lane.program('node-rdkafka', ['node', os.path.join(lane.dir, 'session_rdkafka.js'), b.bootstrap], env=env)
        lane.program('node-rdkafka-groups', ['node', os.path.join(lane.dir, 'groups_rdkafka.js'), b.bootstrap], env=env)
    else:
        lane.skip('node-rdkafka', 'its native part is not built here')
    lane.stop(b)
