"""Python's clients: Debian's kafka-python and confluent-kafka as packaged, and today's from PyPI."""
import os

from main import CannotRun


def run(lane):
    b = lane.broker({'num.partitions': 1})
    sessions = [(name, os.path.join(lane.dir, 'session_%s.py' % name)) for name in ('kafka', 'confluent')]
    lane.install('apt')
    for name, path in sessions:
        lane.program('debian-' + name, ['/usr/bin/python3', path, b.bootstrap])
    try:
        lane.install('python')
    except CannotRun as e:
        lane.skip('pypi', str(e))
    else:
        for name, path in sessions:
            lane.program('pypi-' + name, [os.path.join(lane.cache, 'venv', 'bin', 'python'), path, b.bootstrap])
    lane.stop(b)
