"""librdkafka's C API, Debian's library: produce and read by assignment with its default settings and others."""
import os

from main import CannotRun


def run(lane):
    lane.install('apt')
    lane.need('gcc')
    b = lane.broker({'num.partitions': 1, 'auto.create.topics.enable': 'true'})
    program = os.path.join(lane.tmp, 'session')
    code, text = lane.run(['gcc', '-O1', '-Wall', '-o', program, os.path.join(lane.dir, 'session.c'),
                           '-lrdkafka'])
    if code:
        raise CannotRun('session.c does not build: ' + text[-300:])
    lane.program('c', [program, b.bootstrap])
    lane.stop(b)
