"""Apache Kafka's Java client: producer and consumer (assigned partitions) with default settings, admin client; groups whose
members are rolled from one protocol to the other and back."""
import os

# Members hear of each other quickly.
QUICK = {'group.consumer.min.heartbeat.interval.ms': 100, 'group.consumer.heartbeat.interval.ms': 200,
         'group.consumer.min.session.timeout.ms': 6000, 'group.consumer.session.timeout.ms': 10000,
         'group.consumer.assignment.interval.ms': 100, 'group.initial.rebalance.delay.ms': 0}


def run(lane):
    lane.need('java')

    def program(name, source, broker, version):
        lane.program(name + version, ['java', '-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp',
                                      lane.libs(version) + '/*', os.path.join(lane.dir, source), broker.bootstrap])
    for version in ('4.3.1', '4.4.0') if lane.long else ('4.4.0',):
        lane.need_apache(version)
        b = lane.broker(dict(QUICK, **{'num.partitions': 1}), name='for-' + version)
        program('java-', 'Session.java', b, version)
        if lane.long:
            program('java-migration-', 'Migration.java', b, version)
        lane.stop(b)
