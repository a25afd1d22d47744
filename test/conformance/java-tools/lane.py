"""Apache Kafka's own command-line tools, each once: exit code and output (checks.py). The short form runs them in one JVM (Tools.java), the long one each in
its own, as a person does. Checks of features that the broker does not have yet are skipped by name."""
import itertools
import json
import os
import re
import shlex
import time

import verifiable
from checks import CHECKS
from kit import Kit
from main import Failed

PREFIX = 'org.apache.kafka.tools.'
# A feature is there when this API is advertised.
FEATURES = {'': 18, 'group': 11, 'consumer group': 68, 'transactions': 26, 'share': 76, 'streams': 88, 'security': 51}
SECONDS = 40


class Tools:
    def __init__(self, lane, broker):
        self.lane, self.broker = lane, broker
        stamp = str(int(time.time()))
        self.words = {'bs': broker.bootstrap, 'bc': broker.controller, 'S': stamp, 'dir': lane.tmp, 'data': broker.data}
        self.words.update((letter, 'jt-%s-%s' % (letter.lower(), stamp)) for letter in 'ACXYZW')
        with broker.conn() as c:
            rows = c.call('api_versions', 3, {'client_software_name': 'lane', 'client_software_version': '1'})['api_keys']
        self.keys = {row['api_key'] for row in rows}
        self.write('in.txt', ''.join('k%d:v%d\n' % (i, i) for i in range(1, 101)))
        a, x = self.words['A'], self.words['X']
        self.write('delete.json', json.dumps({'version': 1, 'partitions': [{'topic': x, 'partition': 0, 'offset': 1000}]}))
        self.write('topics.json', json.dumps({'version': 1, 'topics': [{'topic': a}]}))
        self.write('reassign.json', json.dumps({'version': 1, 'partitions': [
            {'topic': a, 'partition': 0, 'replicas': [1], 'log_dirs': ['any']}]}))

    def write(self, name, text):
        with open(os.path.join(self.lane.tmp, name), 'w', encoding='utf-8') as f:
            f.write(text)

    def fill(self, text):
        for word, value in self.words.items():
            text = text.replace('{%s}' % word, value)
        return text

    def has(self, feature):
        return FEATURES.get(feature) in self.keys or self.broker.kind != 'taccola' and feature != 'compaction'

    def command(self, row):
        """name, seconds, standard input, class, arguments"""
        name, _, _, _, cls, arguments = row[:6]
        more = row[6] if len(row) > 6 else {}
        cls = cls if cls.startswith('kafka.') else PREFIX + cls
        stdin = os.path.join(self.lane.tmp, more['in']) if 'in' in more else '-'
        return [name, str(more.get('seconds', SECONDS)), stdin, cls] + shlex.split(self.fill(arguments))

    def java(self, *arguments):
        return self.lane.java('4.3.1', *arguments, heap='512m', log4j=os.path.join(self.broker.dir, 'log4j2.yaml'))

    def run_together(self, rows):
        """{name: exit code} of all, from one JVM."""
        self.write('commands', ''.join('\t'.join(self.command(row)) + '\n' for row in rows))
        _, text = self.lane.run(self.java(os.path.join(self.lane.dir, 'Tools.java'), 'commands', self.lane.tmp), 600)
        return {m[1]: int(m[2]) for m in re.finditer(r'^(\S+) (\d+) \d+$', text, re.M)}

    def run_alone(self, row):
        name, seconds, stdin, cls, *arguments = self.command(row)
        content = open(stdin, 'rb').read() if stdin != '-' else None
        code, text = self.lane.run(self.java(cls, *arguments), int(seconds), stdin=content)
        self.write(name + '.out', text)
        return code

    def judge(self, row, code):
        name, _, want, pattern = row[:4]
        with open(os.path.join(self.lane.tmp, name + '.out'), encoding='utf-8', errors='replace') as f:
            text = f.read()
        if code != want:
            raise Failed('exit %s, not %d: %s' % (code, want, text[-300:]))
        if not re.search(self.fill(pattern), text, re.S):
            raise Failed('no %s in: %s' % (self.fill(pattern), text[-300:]))


def run(lane):
    lane.need('java')
    lane.need_apache('4.3.1')
    b = lane.broker(dict(verifiable.PROPS, **{'num.partitions': 1}))
    b.write_properties()
    tools = Tools(lane, b)
    rows = []
    for row in CHECKS:
        if not tools.has(row[1]):
            lane.skip(row[0], 'a feature of a later stage: ' + row[1])
        elif lane.wanted(row[0]) or row[0].startswith('topic-create'):
            rows.append(row)
    for alone, group in itertools.groupby(rows, lambda row: lane.long or len(row) > 6 and row[6].get('alone', False)):
        group = list(group)
        codes = {row[0]: tools.run_alone(row) for row in group} if alone else tools.run_together(group)
        for row in group:
            lane.attempt(row[0], tools.judge, row, codes.get(row[0]))
    for protocol, feature in (('classic', 'group'), ('consumer', 'consumer group')):
        if tools.has(feature):
            lane.attempt('verifiable-session-' + protocol, verifiable.session, tools, Kit(lane, b), protocol)
    lane.stop(b)
