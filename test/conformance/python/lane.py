"""Python's clients: Debian's kafka-python and confluent-kafka as packaged, and today's from PyPI, with groups and transactions."""
import os

from main import CannotRun


# kafka-python's cooperative assignor now and then leaves a member without a part of its partitions for longer than the
# checks wait; not understood yet whether that is the client's doing.
TRIES = 3


def run(lane):
    # A second member is to be assigned at once, not after the interval between two assignments.
    interval = {} if lane.kind == 'apache' else {'group.consumer.assignment.interval.ms': 0}
    b = lane.broker(dict({'num.partitions': 1}, **interval))
    sessions = [(name, os.path.join(lane.dir, 'session_%s.py' % name)) for name in ('kafka', 'confluent')]
    groups = [(name + '-groups', os.path.join(lane.dir, 'groups_%s.py' % name)) for name in ('confluent', 'kafka', 'aiokafka')]
    lane.install('apt')
    for name, path in sessions:
        lane.program('debian-' + name, ['/usr/bin/python3', path, b.bootstrap])
    try:
        lane.install('python')
    except CannotRun as e:
        lane.skip('pypi', str(e))
    else:
        python = os.path.join(lane.cache, 'venv', 'bin', 'python')
        form = 'long' if lane.long else 'short'
        lane.programs(*[('pypi-' + name, [python, path, b.bootstrap, form], 300, None, None,
                         TRIES if (name, path) in groups else 1) for name, path in sessions + groups])
    lane.stop(b)
