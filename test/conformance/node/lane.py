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
    names = ['kafkajs', 'platformatic']
    if os.path.exists(os.path.join(modules, 'node-rdkafka', 'build', 'Release', 'node-librdkafka.node')):
        names.append('rdkafka')
    else:
        lane.skip('node-rdkafka', 'its native part is not built here')
    calls = []
    for name in names:
        title = 'node-' + name if name == 'rdkafka' else name
        for part, end in (('session', ''), ('groups', '-groups')):
            calls.append((title + end, ['node', os.path.join(lane.dir, '%s_%s.js' % (part, name)), b.bootstrap], 180, env))
    lane.programs(*calls)
    lane.stop(b)
