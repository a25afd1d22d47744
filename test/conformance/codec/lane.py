"""The codec against Apache Kafka 4.4.0's own message classes: test/codec-java/run."""
import os
import re

from main import Failed


def run(lane):
    lane.need('java', 'mvn', 'cmake')
    lane.need_apache('4.4.0')

    def equal():
        cases = '400' if lane.long else '40'
        code, text = lane.run([os.path.join(lane.repo, 'test', 'codec-java', 'run'), cases], 600)
        seen = re.search(r'(\d+) messages, (\d+) versions, (\d+) cases', text)
        if code or not seen or int(seen[3]) < 20000:
            raise Failed('exit %d: %s' % (code, text[-500:]))
    lane.attempt('bytes and JSON of every message', equal)
