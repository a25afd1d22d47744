"""Lanes that judge by Apache Kafka's own answers: one script of requests runs against the broker, and its answers are compared
with those that Apache Kafka 4.4.0 gave, kept beside the lane (short form) or given live in the same run (long form).
`--broker apache-4.4.0 --long` writes the kept answers anew.
"""
import json

from kit import Kit
from main import Failed


class Script:
    """A subclass has run(), which fills self.answers: name of a check -> JSON value."""

    def __init__(self, kit, broker):
        self.kit, self.broker, self.answers = kit, broker, {}

    def clean(self, text):
        """Ports and directories differ from run to run."""
        if not isinstance(text, str):
            return text
        for real, shown in ((str(self.broker.port), 'PORT'), (self.broker.data, 'DATA'),
                            (str(self.broker.controller_port), 'CONTROLLER')):
            text = text.replace(real, shown)
        # Scala's require adds words that say nothing to a person.
        return text.removeprefix('requirement failed: ')


def differences(got, want):
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got) == 3 and want[:2] == got[:2]:
        got, want = got[2], want[2]
    if isinstance(got, dict) and isinstance(want, dict):
        return ['%s: %s, Kafka %s' % (k, json.dumps(got.get(k)), json.dumps(want.get(k)))
                for k in sorted(set(got) | set(want)) if got.get(k) != want.get(k)]
    return [] if got == want else ['%s, Kafka %s' % (json.dumps(got), json.dumps(want))]


def compare(lane, got, want):
    for name in sorted(set(got) | set(want)):
        def check(name=name):
            wrong = differences(got.get(name), want.get(name))
            if wrong:
                raise Failed('%d differ: %s' % (len(wrong), '; '.join(wrong[:6])))
        lane.attempt(name, check)


def answers_of(lane, script, kind, props, name):
    b = lane.broker(dict(props), kind=kind, name=name)
    answers = json.loads(json.dumps(script(Kit(lane, b), b).run()))
    if not b.alive():
        lane.check('broker-alive', False, b.log_tail())
    lane.stop(b)
    return answers


def run(lane, script, props, kept):
    got = answers_of(lane, script, lane.kind, props, lane.kind)
    if lane.kind == 'apache-4.4.0' and lane.long:
        with open(kept, 'w', encoding='utf-8') as f:
            json.dump(got, f, indent=0, sort_keys=True)
            f.write('\n')
    if lane.long and lane.kind != 'apache-4.4.0':
        want = answers_of(lane, script, 'apache-4.4.0', props, 'judge')
    else:
        with open(kept, encoding='utf-8') as f:
            want = json.load(f)
    compare(lane, got, want)
