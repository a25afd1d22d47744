"""Copies between topics in transactions (TV1 and TV2) while the broker is killed and the copiers drop dead in the middle: the output is
the input, once and in order; nothing stays open."""
import random
import threading
import time

import wire
from kit import Kit, true
from main import Failed
from transactional import Producer, committed, coordinator_of_group, offset_of, stable

COPIERS, OUTPUTS = 4, 2


class Dead(Exception):
    pass


class Copier(threading.Thread):
    """One input topic, and a transactional id that instance after instance takes over."""

    def __init__(self, lane, broker, number, output, records, seed):
        super().__init__(daemon=True)
        self.lane, self.broker, self.number, self.output = lane, broker, number, output
        self.rng, self.two, self.error = random.Random(seed), number % 2 == 1, None
        self.group, self.id = 'copy-group-%d' % number, 'copy-%d' % number
        self.instances = self.transactions = self.aborts = 0
        kit = Kit(lane, broker)
        self.input = kit.create()
        self.values = [b'%d-%d' % (number, i) for i in range(records)]
        for at in range(0, records, 50):
            kit.put(self.input, *self.values[at:at + 50])
        coordinator_of_group(kit, self.group)
        self.end = time.monotonic() + 120 + records

    def position(self, kit):
        offset, error = offset_of(kit, self.group, self.input, True)
        if error == 'UNSTABLE_OFFSET_COMMIT':  # of the instance before: its end is on the way
            raise Dead()
        return max(offset, 0)

    def maybe_die(self):
        if self.rng.random() < 0.02:
            raise Dead()

    def copy(self, kit, p, at, values):
        """True: committed."""
        if not self.two:
            p.add((self.output, 0))
        for value in values:
            p.write(self.output, value)
            self.maybe_die()
        p.commit_offset(self.group, self.input, at + len(values))
        self.maybe_die()
        commit = self.rng.random() < 0.8
        p.end(commit)
        self.transactions += 1
        self.aborts += not commit
        return commit

    def live(self):
        kit = Kit(self.lane, self.broker)
        p = Producer(kit, id=self.id, two=self.two, timeout=20000)
        at = self.position(kit)
        while at < len(self.values):
            values = self.values[at:at + self.rng.randrange(1, 6)]
            if self.copy(kit, p, at, values):
                at += len(values)

    def run(self):
        while time.monotonic() < self.end:
            self.instances += 1
            try:
                self.live()
                return
            except (OSError, wire.Closed, Dead, Failed) as e:
                self.last = e
                time.sleep(0.05)
            except Exception as e:  # noqa: BLE001 - reported by the lane
                self.error = e
                return
        self.error = self.error or Failed('it does not come to its end: %r' % self.last)


def check(lane, broker, outputs, copiers):
    for c in copiers:
        if c.error:
            raise c.error
    kit = Kit(lane, broker)

    def open_ones():
        r = kit.call('list_transactions', 1, {'state_filters': [], 'producer_id_filters': []})
        return r['error_code'] or [t for t in r['transaction_states']
                                   if not t['transaction_state'].startswith(('Complete', 'Empty'))]
    kit.wait(lambda: not open_ones(), 'transactions stay open', 40)
    got = []
    for topic in outputs:
        end = kit.list_offset(topic, -1)['offset']
        true(stable(kit, topic) == end, 'the last stable offset of %s hangs' % topic)
        got += committed(kit, topic)
    for c in copiers:
        mine = [v for v in got if v.startswith(b'%d-' % c.number)]
        true(mine == c.values, 'copier %d (TV%d): %d records of %d; the first difference at %s' % (
            c.number, 2 if c.two else 1, len(mine), len(c.values),
            next((i for i, (a, b) in enumerate(zip(mine, c.values)) if a != b), 'the end')))
        true(offset_of(kit, c.group, c.input, True) == (len(c.values), 'NONE'), 'its offset')


def run(lane, broker, title, seed):
    rng = random.Random(seed)
    kit = Kit(lane, broker)
    outputs = [kit.create() for _ in range(OUTPUTS)]
    records = 3000 if lane.long else 250
    copiers = [Copier(lane, broker, i, outputs[i % OUTPUTS], records, rng.random())
               for i in range(COPIERS)]
    for c in copiers:
        c.start()
    kills, end = 0, time.monotonic() + 400
    while any(c.is_alive() for c in copiers) and time.monotonic() < end:
        time.sleep(rng.uniform(0.3, 1.5))
        broker.kill()
        broker.start()
        kills += 1
    for c in copiers:
        c.join(30)
    lane.attempt(title, check, lane, broker, outputs, copiers)
    print('  %s: %d kills, %d transactions, %d aborted, %d instances' % (
        title, kills, sum(c.transactions for c in copiers), sum(c.aborts for c in copiers),
        sum(c.instances for c in copiers)))
