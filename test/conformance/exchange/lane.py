"""Apache Kafka and Taccola on one directory, in turns. See README.md beside this file."""
import os
import shutil
import struct
import subprocess
import time

import broker as brokers
import directory
from directory import Directory
from kit import equal
from main import CannotRun, Failed
from work import World

TOPICS = ('x-plain', 'x-idempotent', 'x-codecs', 'x-empty')


def kind_name(kind):
    return {'taccola': 'ours', 'apache': '4.3.1', 'apache-4.4.0': '4.4.0'}[kind]


class Story:
    """One directory and the brokers that run on it, one after the other."""

    def __init__(self, lane, name, first, props=None, flags=()):
        self.lane, self.name = lane, name
        self.broker = lane.broker(props, kind=first, name=name, start=False)
        self.flags = flags
        self.world = World(self.broker)
        self.step = 0
        self.is_44 = False  # the directory is at the level of 4.4
        self.lines = None  # of the metadata log when we last looked

    def check(self, what, function, *args):
        self.lane.attempt('%s/%d-%s/%s' % (self.name, self.step, kind_name(self.broker.kind), what),
                          function, *args)

    def begin(self):
        self.broker.format(*self.flags)
        self.broker.start()
        self.world.connect()
        self.check('begin', self.world.begin)

    def turn(self, kind, kill):
        """Stops who runs and starts another one; compares; goes on."""
        facts = self.world.settled_facts()
        killed_apache = kill and self.broker.kind != 'taccola'
        self.stop(kill)
        if self.broker.kind == 'taccola':
            self.look(kill)
        d = Directory(self.lane, self.broker)
        d.plant_stranger()
        self.step += 1
        self.broker.kind = kind
        self.broker.start(timeout=90)
        self.world.connect()
        self.check('clean-shutdown file gone, stranger set aside', d.while_running)
        self.check('same after ' + ('kill -9' if kill else 'a clean stop'), self.world.compare, facts,
                   killed_apache)
        self.check('goes on', self.world.go_on)

    def stop(self, kill):
        if kill:
            # What DeleteRecords did is written in the background, by both.
            time.sleep(1)
            self.broker.kill()
        else:
            self.lane.stop(self.broker)

    def look(self, kill):
        """At what we left."""
        d = Directory(self.lane, self.broker)
        dynamic = '--standalone' in self.flags
        lines = self.lines = d.metadata()
        cluster_id = directory.properties(os.path.join(d.meta, 'meta.properties'))['cluster.id']
        self.check('identity', d.identity, cluster_id)
        self.check('quorum-state', d.quorum_state, dynamic)
        state = d.snapshot_lines() + lines
        self.check('partition.metadata', d.partition_ids, state)
        self.check('directory ids', d.partition_directories, state, d.identity(cluster_id))
        self.check('producer ids', d.no_duplicate_ids, lines)
        if dynamic:
            self.check('voter', d.voter, state)
        if kill:
            return
        self.check('clean stop', d.clean_stop, lines)
        self.check('epochs', d.epochs_equal_batches)
        self.check('dump', d.dump_everything)
        if not self.is_44:  # its shell came out with 4.3 last
            self.check('metadata shell', d.metadata_shell, TOPICS)

    def end(self):
        if self.broker.alive():
            self.stop(False)
        if self.broker.kind == 'taccola':
            self.look(False)


# ---- The formatter

def batches(path):
    """The batches of a checkpoint without CRC and times, which differ from run to run."""
    with open(path, 'rb') as f:
        data = f.read()
    out, at = [], 0
    while at < len(data):
        size = struct.unpack_from('>i', data, at + 8)[0] + 12
        b = bytearray(data[at:at + size])
        b[17:21] = bytes(4)
        b[27:43] = bytes(16)
        if at == 0:
            b[74:82] = bytes(8)
        out.append(bytes(b).hex())
        at += size
    return out


def tree(where):
    out = {}
    for root, _, names in os.walk(where):
        for n in names:
            path = os.path.join(root, n)
            key = os.path.relpath(path, where)
            if n == 'meta.properties':
                out[key] = {k: v for k, v in directory.properties(path).items() if k != 'directory.id'}
            else:
                out[key] = batches(path)
    return out


def formatted(lane, props, apache, *flags):
    """What one of the two tools prints and leaves."""
    where = os.path.join(lane.tmp, 'format')
    shutil.rmtree(where, ignore_errors=True)
    b = brokers.Broker('apache' if apache else 'taccola', where, props)
    b.port, b.controller_port = 19992, 19993
    path = b.write_properties()
    args = ['format', '-c', path, '-t', '4vWWAMQmSZiL5Sz1LxswAw', *flags]
    command = (brokers.java('4.3.1', 'kafka.tools.StorageTool', *args,
                            log4j=os.path.join(where, 'log4j2.yaml'))
               if apache else [brokers.TACCOLA, 'storage', *args])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, tree(os.path.join(where, 'data'))


def format_case(lane, props, *flags):
    want, got = formatted(lane, props, True, *flags), formatted(lane, props, False, *flags)
    equal(got[0], want[0], 'exit code')
    if not any('SCRAM' in f for f in flags):  # we do not print credentials
        equal(got[1], want[1], 'output')
    equal(got[2], want[2], 'files')


def format_cases(lane):
    voter = '1@127.0.0.1:19993:32FV3zAsRLWhebFxmSylVA'
    static = {'controller.quorum.bootstrap.servers': None,
              'controller.quorum.voters': '1@127.0.0.1:19993'}
    cases = [
        ('dynamic', {}, ['-I', voter]),
        ('static', static, []),
        ('scram', {}, ['-I', voter, '-S', 'SCRAM-SHA-256=[name=a,password=b,salt="N3E="]']),
    ]
    if lane.long:
        cases += [
            ('two voters', {}, ['-I', voter + ',2@h:9093:tkNbvX07SbO87Yhq2hOjbQ']),
            ('no voters', {}, ['-N']),
            ('release 3.3', {}, ['-I', voter, '-r', '3.3-IV3']),
            ('release 4.0', {}, ['-I', voter, '-r', '4.0']),
            ('feature', {}, ['-I', voter, '-r', '4.1', '-f', 'share.version=1']),
            ('static and standalone', static, ['-s']),
            ('unknown feature', {}, ['-I', voter, '-f', 'no.such=1']),
            ('unknown release', {}, ['-I', voter, '-r', '9.9']),
            ('nothing said', {}, []),
            ('scram too early', {}, ['-I', voter, '-r', '3.4', '-S',
                                     'SCRAM-SHA-256=[name=a,password=b]']),
        ]
    for name, props, flags in cases:
        lane.attempt('format/' + name, format_case, lane, props, *flags)


# ---- The first records

def first_records(ours, theirs):
    """Our first start writes the records that Apache's first start writes."""
    got, want = directory.first_records(ours.lines), directory.first_records(theirs.lines)
    for g, w in zip(got[0], want[0]):
        equal(g, w, 'record')
    equal(len(got[0]), len(want[0]), 'number of records')
    equal(got[1], want[1], 'changes of the registration')


def short(lane):
    ours = Story(lane, 'ours first', 'taccola', flags=('--standalone',))
    ours.begin()
    theirs = Story(lane, 'apache first', 'apache', flags=('--standalone',))
    ours.turn('apache', kill=False)
    ours.turn('taccola', kill=False)
    ours.end()
    theirs.begin()
    theirs.turn('taccola', kill=False)
    theirs.turn('apache', kill=False)
    lane.attempt('first records', first_records, ours, theirs)
    theirs.end()


def long(lane):
    """Both releases, both kinds of stop, both kinds of quorum, several log directories."""
    static = {'controller.quorum.bootstrap.servers': None}
    for apache, release in (('apache', '4.3'), ('apache-4.4.0', '4.4')):
        for quorum in ('dynamic', 'static'):
            for first in ('taccola', apache):
                name = '%s %s %s first' % (release, quorum, kind_name(first))
                # Broker.format takes no flags for --standalone.
                flags = ['--standalone'] if quorum == 'dynamic' else ['--ignore-formatted']
                if first == 'taccola' and release == '4.4':
                    flags += ['--release-version', '4.4']
                story = Story(lane, name, first, dict(static) if quorum == 'static' else {},
                              tuple(flags))
                story.is_44 = release == '4.4'
                if quorum == 'static':
                    story.broker.props['controller.quorum.voters'] = '1@' + story.broker.controller
                if first == 'taccola':
                    data = story.broker.data
                    story.broker.props['log.dirs'] = '%s,%s2' % (data, data)
                    story.broker.props['metadata.log.dir'] = data + '-meta'
                other = apache if first == 'taccola' else 'taccola'
                lane.attempt(name, play, story, first, other)


def snapshots(lane, first, other):
    """The metadata log begins above 0: whoever comes next must load the snapshot before it."""
    story = Story(lane, 'snapshots %s first' % kind_name(first), first, {
        'metadata.log.segment.bytes': 8388608,
        'metadata.log.max.record.bytes.between.snapshots': 2000000,
        'metadata.max.retention.bytes': 10000000}, ('--standalone',))
    story.begin()
    story.check('grow', story.world.grow, 20)
    log = Directory(lane, story.broker).log
    story.check('the first segment goes', story.world.kit.wait, lambda: not os.path.exists(
        os.path.join(log, '%020d.log' % 0)), 'it is still there', 150)
    story.turn(other, kill=True)
    story.turn(first, kill=False)
    story.end()


def play(story, first, other):
    story.begin()
    for kill in (False, True, True):
        story.turn(other, kill)
        story.turn(first, kill)
    story.end()


def run(lane):
    if lane.kind != 'taccola':
        raise CannotRun('this lane compares Taccola with Apache Kafka; it has no other broker')
    lane.need_apache('4.3.1')
    if not os.access(brokers.TACCOLA, os.X_OK):
        raise CannotRun('no taccola binary (set TACCOLA or run make build)')
    with open(os.path.join(lane.tmp, 'log4j2.yaml'), 'w', encoding='utf-8') as f:
        f.write(brokers.LOG4J)
    format_cases(lane)
    try:
        short(lane)
    except (Failed, brokers.BrokerError) as e:
        lane.check('short', False, e)
    if lane.long:
        lane.need_apache('4.4.0')
        for first, other in (('taccola', 'apache'), ('apache', 'taccola')):
            lane.attempt('snapshots', snapshots, lane, first, other)
        long(lane)
