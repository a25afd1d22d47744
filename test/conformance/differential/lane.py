"""Random sequences of requests, sent to Apache Kafka 4.4.0 and to us; see README.md."""
import json
import lzma
import os

import allowed
import groups
import minimise
import sequence
import transactions
from main import Failed
from play import Player
from words import play

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = os.path.join(HERE, 'answers.json.xz')
SEEDS, LENGTH = 54, 60  # of the short form
PROPS = {'log.retention.ms': -1, 'num.partitions': 2, 'offsets.topic.num.partitions': 3, 'transaction.state.log.num.partitions': 3,
         'group.consumer.assignment.interval.ms': 0, 'group.consumer.min.assignment.interval.ms': 0,
         'group.consumer.assignor.offload.enable': 'false', 'group.max.session.timeout.ms': 3600000}
# Ours as Kafka promises it, so that what is seen when is the same: by default consumers see what is synced.
OURS = {'taccola.record.validation': 'full', 'taccola.durability': 'page-cache', 'taccola.internal.topics.durability': 'page-cache'}
MIXES = dict(sequence.MIXES)
MIXES.update({
    'classic groups': (groups.CLASSIC, 6, groups.OFFSETS, 2, sequence.TOPICS, 0.3),
    'offsets': (groups.OFFSETS, 6, groups.CLASSIC, 1.5, sequence.TOPICS, 0.7),
    'consumer groups': (groups.CONSUMER, 6, groups.OFFSETS, 1, sequence.TOPICS, 0.7),
    'transactions': (transactions.TRANSACTIONS, 7, groups.OFFSETS, 0.5, sequence.TOPICS, 0.3, sequence.LOG, 0.4),
    'all': (groups.CLASSIC, 1, groups.OFFSETS, 1, groups.CONSUMER, 1, sequence.TOPICS, 1, sequence.LOG, 2, sequence.SETTINGS, 0.5,
            transactions.TRANSACTIONS, 1),
})


class Side:
    """A broker and the numbers of its runs: no two runs share a name."""

    def __init__(self, broker):
        self.broker, self.number = broker, 0

    def play(self, steps):
        self.number += 1
        return play(self.broker, self.number, steps, Player)


def start(lane, kind, name):
    b = lane.broker(PROPS if kind != 'taccola' else dict(PROPS, **OURS), kind=kind, name=name, start=False)
    if kind != 'taccola':
        b.format('--standalone', '--release-version', '4.3')
    b.start()
    side = Side(b)
    warm_up(side)
    return side


def warm_up(side):
    """The internal topics are there and led before anything counts."""
    def step(api, version, **body):
        return {'api': api, 'version': version, 'body': body}
    first = [step('find_coordinator', 4, coordinator_keys=['warm-up'], key_type=kind) for kind in (0, 1)]
    steps = first + [step('init_producer_id', 4, transactional_id=None, transaction_timeout_ms=60000)]
    for i in range(12):
        steps.append(step('offset_fetch', 7, group_id='warm-up-%d' % i, topics=None))
        steps.append(step('init_producer_id', 4, transactional_id='warm-up-%d' % i, transaction_timeout_ms=60000))
    for _ in range(60):
        side.play(first)
        if 'COORDINATOR' not in json.dumps(side.play(steps)):
            return
    raise Failed('%s: no coordinators' % side.broker.kind)


def option(lane, name):
    value = dict(lane.options.set).get('lane.' + name)
    return value


def run(lane):
    seeds, length = option(lane, 'seeds'), int(option(lane, 'length') or LENGTH)
    record, live = option(lane, 'record'), lane.long or seeds
    lane.options.set = [pair for pair in lane.options.set if not pair[0].startswith('lane.')]
    first, _, last = (seeds or ('0-199' if lane.long else '0-%d' % (SEEDS - 1))).partition('-')
    seeds = range(int(first), int(last or first) + 1)
    ours = start(lane, lane.kind, lane.kind)
    if record:
        return keep(lane, ours, seeds, length, {} if first == '0' else read_kept())
    judge = start(lane, 'apache-4.4.0', 'judge') if live else None
    kept = None if live else read_kept()
    rules = allowed.Rules()
    for seed in seeds:
        focus, steps = sequence.generate(seed, MIXES, length)
        name = 'seed %d (%s)' % (seed, focus)
        lane.attempt(name, one, lane, ours, judge, kept, seed, steps, rules)
        if not ours.broker.alive():
            lane.check('broker-alive', False, ours.broker.log_tail())
            break
    lane.notes += allowed.page(rules)
    lane.stop(ours.broker)


def one(lane, ours, judge, kept, seed, steps, rules):
    got = ours.play(steps)
    want = judge.play(steps) if judge else kept.get(str(seed))
    if want is None:
        raise Failed('Apache Kafka\'s answers are not kept; record them')
    found = rules.differences(steps, got, want)
    for _ in range(2):  # a machine that stalls makes an answer late: it counts when it is so each time
        if found:
            found = rules.differences(steps, ours.play(steps), want)
    if found and not judge:
        raise Failed(minimise.describe(steps, found, seed))
    if not found:
        return
    # What the judge does not say twice is not compared; what we do not say twice is not ours to keep.
    again = judge.play(steps)
    if rules.differences(steps, again, want):
        found = [d for d in found if not minimise.varies(d, want, again)]
    if not found:
        return
    least = minimise.least(ours, judge, steps, found[0], rules)
    raise Failed(minimise.describe(*least, seed, live=True))


def keep(lane, side, seeds, length, out):
    """Apache's answers for CI, but where it does not say the same twice."""
    for seed in seeds:
        _, steps = sequence.generate(seed, MIXES, length)
        answers, again = side.play(steps), side.play(steps)
        out[str(seed)] = minimise.same_part(answers, again)
        lane.check('seed %d' % seed, True)
        if seed % 9 == 8 or seed == seeds[-1]:
            with lzma.open(KEPT, 'wt', preset=9, encoding='utf-8') as f:
                json.dump(out, f, separators=(',', ':'), sort_keys=True)
    lane.stop(side.broker)


def read_kept():
    with lzma.open(KEPT, 'rt', encoding='utf-8') as f:
        return json.load(f)
