"""Apache Kafka's Java client: producer and consumer (assigned partitions) with default settings, admin client."""
import os


def run(lane):
    lane.need('java')
    source = os.path.join(lane.dir, 'Session.java')
    for version in ('4.3.1', '4.4.0') if lane.long else ('4.4.0',):
        lane.need_apache(version)
        b = lane.broker({'num.partitions': 1}, name='for-' + version)
        command = ['java', '-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp',
                   lane.libs(version) + '/*', source, b.bootstrap]
        lane.program('java-' + version, command)
        lane.stop(b)
