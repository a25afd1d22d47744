"""Three programs that copy records exactly once, each in a process of its own: Apache Kafka's Java client and franz-go (TV2) and librdkafka (TV1).
Broker and copiers are killed with kill -9 at random moments. tools/check_history.py judges what they did and what readers saw."""
import collections
import os
import random
import subprocess
import sys
import time

from kit import Kit, true
from main import Failed

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', '..', '..', 'tools'))
import check_history  # noqa: E402

SETTINGS = {'group.min.session.timeout.ms': 500, 'group.initial.rebalance.delay.ms': 0, 'transaction.abort.timed.out.transaction.cleanup.interval.ms': 500,
            'offsets.topic.num.partitions': 3, 'transaction.state.log.num.partitions': 3}
RECORDS_PER_SECOND = 60
BATCH = 10
SILENCE = 20  # seconds after which a copier counts as hung


class Copier:
    """One of the programs, started again whenever it ends before its work is done."""

    def __init__(self, lane, broker, name, command, count, pace):
        self.lane, self.broker, self.name, self.command, self.count, self.pace = lane, broker, name, command, count, pace
        self.histories, self.process, self.kills, self.is_done = [], None, 0, False
        self.hangs, self.seen = 0, (0, 0, time.time())  # lives, bytes of history, since when

    def start(self):
        path = os.path.join(self.lane.tmp, '%s-%d.history' % (self.name, len(self.histories)))
        self.histories.append(path)
        with open(path + '.out', 'wb') as out:
            self.process = subprocess.Popen(self.command + [self.broker.bootstrap, self.name, str(self.count), str(self.pace), path],
                                            stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def look(self):
        if self.is_done or self.process.poll() is None:
            return
        if self.process.returncode == 0:
            self.is_done = True
        else:
            self.start()

    def kill(self):
        if not self.is_done and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.kills += 1
            self.start()

    def wake(self):
        """librdkafka may hang for ever after AddOffsetsToTxn was sent again on a new connection (answered; it asks nothing more): with Apache
        Kafka as well. Who says nothing for a while is killed and goes on in its next life, as after any kill."""
        lives, size = len(self.histories), os.path.getsize(self.histories[-1]) if os.path.exists(self.histories[-1]) else 0
        if self.seen[:2] != (lives, size):
            self.seen = (lives, size, time.time())
        elif not self.is_done and time.time() > self.seen[2] + SILENCE:
            self.hangs += 1
            self.kill()

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def commands(lane):
    lane.need('java', 'go')
    lane.need_apache('4.4.0')
    lane.install('go')
    lane.install('python')
    classes, program = os.path.join(lane.tmp, 'classes'), os.path.join(lane.tmp, 'go-copier')
    code, text = lane.run(['javac', '-d', classes, '-cp', lane.libs('4.4.0') + '/*', os.path.join(lane.dir, 'Copier.java')])
    if code:
        raise Failed('javac: ' + text[-500:])
    code, text = lane.run(['go', 'build', '-o', program, './copier'], cwd=os.path.join(lane.dir, '..', 'go'), timeout=300)
    if code:
        raise Failed('go build: ' + text[-500:])
    python = os.path.join(lane.cache, 'venv', 'bin', 'python')
    return python, {
        'python': [python, os.path.join(lane.dir, 'copier.py')],
        'java': ['java', '-Xmx128m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', classes + ':' + lane.libs('4.4.0') + '/*', 'Copier'],
        'go': [program]}


def fill(kit, name, count):
    topic = kit.create('in-' + name, partitions=1)
    for base in range(0, count, 500):
        kit.put(topic, *[b'%s-%d' % (name.encode(), i) for i in range(base, min(base + 500, count))])


def harass(rng, broker, copiers, seconds):
    """Kills one of them every second or two; answers how often the broker was hit."""
    broker_kills, end = 0, time.time() + seconds
    while time.time() < end:
        time.sleep(rng.uniform(0.3, 2.2))
        if rng.random() < 0.4:
            broker.kill()
            broker.start()
            broker_kills += 1
        else:
            rng.choice(copiers).kill()
        for copier in copiers:
            copier.look()
    return broker_kills


def finish(copiers, limit):
    end = time.time() + limit
    while not all(c.is_done for c in copiers):
        if time.time() > end:
            raise Failed('not done after %d s: %s' % (limit, ', '.join(c.name for c in copiers if not c.is_done)))
        time.sleep(0.1)
        for copier in copiers:
            copier.look()
            copier.wake()


def judge(paths, copiers, count):
    files = [open(p, encoding='utf-8') for p in paths]
    events = check_history.read_events(files)
    found = check_history.check(events)
    true(not found, '%d anomalies: %s' % (len(found), '; '.join('%s: %s' % f for f in found[:5])))
    made = {e['value']: e['source'] for e in events if e['op'] == 'send'}
    copied = {made[e['value']] for e in events if e['op'] == 'read' and e['client'] == 'last'}
    true(len(copied) == count * len(copiers), '%d of %d records were copied' % (len(copied), count * len(copiers)))
    return collections.Counter(e['op'] + (':' + e['result'] if 'result' in e else '') for e in events)


def run(lane):
    seconds = 300 if lane.long else 30
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    python, programs = commands(lane)
    b = lane.broker(SETTINGS)
    kit = Kit(lane, b)
    count = seconds * RECORDS_PER_SECOND
    for name in programs:
        fill(kit, name, count)
    kit.create('out', partitions=3)
    pace = 1000 * BATCH // RECORDS_PER_SECOND
    copiers = [Copier(lane, b, name, command, count, pace) for name, command in programs.items()]
    watching = os.path.join(lane.tmp, 'watching.history')
    with open(watching + '.out', 'wb') as out:
        watcher = subprocess.Popen([python, os.path.join(lane.dir, 'reader.py'), b.bootstrap, 'watching', watching, 'follow'],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    kills = 0
    try:
        for copier in copiers:
            copier.start()
        time.sleep(3)
        kills = harass(rng, b, copiers, seconds)
        lane.attempt('every copier comes to its end', finish, copiers, (120 if lane.kind == 'taccola' else 240) + seconds)
    finally:
        watcher.kill()
        watcher.wait()
        for copier in copiers:
            copier.end()
    last = os.path.join(lane.tmp, 'last.history')
    code, text = lane.run([python, os.path.join(lane.dir, 'reader.py'), b.bootstrap, 'last', last, 'once', *programs])
    lane.check('the last stable offset comes to the end', code == 0, text[-300:])
    paths = [p for c in copiers for p in c.histories] + [watching, last]
    counts = lane.attempt('no anomaly', judge, paths, copiers, count) or {}
    lane.check('the kills hit', kills > 0 and sum(c.kills for c in copiers) > 2, '%d of the broker, %s' % (kills, [c.kills for c in copiers]))
    hangs = sum(c.hangs for c in copiers)
    if hangs:
        print('  %d times a copier hung and was killed' % hangs)
    print('  seed %d: %d kills of the broker, %s of the copiers; %d records, %d commits, %d aborts, %d reads' % (
        seed, kills, '/'.join(str(c.kills) for c in copiers), counts.get('send', 0), counts.get('commit:ok', 0), counts.get('abort:ok', 0),
        counts.get('read', 0)))
    lane.stop(b)
