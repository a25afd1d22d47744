"""Node's clients from npm: kafkajs, @platformatic/kafka, node-rdkafka."""
import os


def run(lane):
    lane.need('node', 'npm')
    lane.install('node')
    modules = os.path.join(lane.cache, 'node', 'node_modules')
    b = lane.broker({'num.partitions': 1})
    env = {'NODE_PATH': modules}
    for name in ('kafkajs', 'platformatic'):
        lane.program(name, ['node', os.path.join(lane.dir, 'session_%s.js' % name), b.bootstrap], env=env)
    if os.path.exists(os.path.join(modules, 'node-rdkafka', 'build', 'Release', 'node-librdkafka.node')):
        lane.program('node-rdkafka', ['node', os.path.join(lane.dir, 'session_rdkafka.js'), b.bootstrap], env=env)
    else:
        lane.skip('node-rdkafka', 'its native part is not built here')
    lane.stop(b)
