"""Go's clients: franz-go and sarama, with their default settings and others."""
import os


def run(lane):
    lane.need('go')
    lane.install('go')
    b = lane.broker({'num.partitions': 1})
    for name in ('franz', 'sarama'):
        lane.program(name, [os.path.join(lane.cache, 'go-' + name), b.bootstrap])
    lane.stop(b)
