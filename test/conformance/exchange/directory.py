"""Checks of a directory's files while no broker runs, most of them by Apache Kafka's own tools."""
import glob
import json
import os
import re
import shutil

import broker as brokers
from kit import equal, true
from main import Failed

UUID = re.compile(r'"[A-Za-z0-9_-]{22}"')


def read(*path):
    with open(os.path.join(*path), encoding='utf-8') as f:
        return f.read()


def properties(path):
    out = {}
    for line in read(path).splitlines():
        if line and not line.startswith('#'):
            key, _, value = line.partition('=')
            out[key] = value
    return out


def files(data, *patterns):
    out = []
    for p in patterns:
        out += glob.glob(os.path.join(data, '*-[0-9]*', p))
    return sorted(out)


# ---- DumpLogSegments

class Dump:
    """DumpLogSegments over some files: {path: lines}."""

    def __init__(self, lane, paths, *flags):
        self.sections, here = {}, None
        if not paths:
            return
        code, text = lane.run(brokers.java(
            '4.3.1', 'org.apache.kafka.tools.DumpLogSegments', '--files', ','.join(paths), *flags,
            log4j=os.path.join(lane.tmp, 'log4j2.yaml')), 60)
        if code:
            raise Failed('DumpLogSegments ends with %d: %s' % (code, text[-400:]))
        self.text = text
        for line in text.splitlines():
            if line.startswith('Dumping '):
                here = self.sections.setdefault(line[len('Dumping '):], [])
            elif here is not None:
                here.append(line)

    def complaints(self):
        bad = re.compile(r'isvalid: false|mismatch|Found|Exception|invalid|corrupt|not valid|WARN|ERROR')
        return [l for lines in self.sections.values() for l in lines if bad.search(l)]


def records(lines):
    """(type, version, data) of the metadata records, (control, …) of the control records."""
    out = []
    for line in lines:
        m = re.search(r' payload: (\{.*\})$', line)
        if m:
            r = json.loads(m[1])
            out.append((r['type'], r['version'], r['data']))
            continue
        m = re.search(r' (LeaderChange|KRaftVersion|KRaftVoters):? (\{.*\})$', line)
        if m:
            out.append((m[1], json.loads(m[2])['version'], json.loads(m[2])))
    return out


def normal(record):
    """One record as text without what differs from run to run and from release to release."""
    kind, version, data = record
    data = dict(data)
    data.pop('brokerEpoch', None)
    if 'features' in data:
        data['features'] = sorted((f['name'], f['minSupportedVersion']) for f in data['features'])
    text = json.dumps(data, sort_keys=True)
    return '%s v%d %s' % (kind, version, re.sub(r'"port": \d+', '"port": 0', UUID.sub('"id"', text)))


def first_records(lines):
    """The records of a first start up to the broker's unfencing, those of its registration sorted."""
    out = []
    for r in records(lines):
        if r[0] != 'NO_OP_RECORD':
            out.append(normal(r))
        if r[0] == 'BROKER_REGISTRATION_CHANGE_RECORD' and len(out) > 1 and \
                'BROKER_REGISTRATION_CHANGE' in out[-2]:
            break
    head = [r for r in out if not r.startswith('BROKER_REGISTRATION_CHANGE')]
    return head, sorted(r for r in out if r.startswith('BROKER_REGISTRATION_CHANGE'))


# ---- the directory of a stopped node

class Directory:
    def __init__(self, lane, broker):
        self.lane, self.broker = lane, broker
        self.data = broker.properties()['log.dirs'].split(',')
        self.meta = broker.properties().get('metadata.log.dir', self.data[0])
        self.log = os.path.join(self.meta, '__cluster_metadata-0')
        self.metadata_dump = None

    def all(self):
        return sorted(set(self.data + [self.meta]))

    def metadata(self):
        """Lines of the metadata log, oldest segment first; one dump of it and of its snapshots."""
        if self.metadata_dump is None:
            paths = sorted(glob.glob(os.path.join(self.log, '*.log')) +
                           glob.glob(os.path.join(self.log, '*.checkpoint')))
            self.metadata_dump = Dump(self.lane, paths, '--cluster-metadata-decoder',
                                      '--deep-iteration')
        return [l for p, lines in sorted(self.metadata_dump.sections.items())
                if p.endswith('.log') for l in lines]

    def snapshot_lines(self):
        """Lines of the oldest snapshot: with it the log says everything."""
        paths = [p for p in self.metadata_dump.sections if p.endswith('.checkpoint') and
                 not os.path.basename(p).startswith('0' * 20)]
        return self.metadata_dump.sections[min(paths)] if paths else []

    # ---- Apache's tools read what we wrote

    def dump_everything(self):
        """Segments, indexes, producer snapshots; then the metadata log and its snapshots."""
        paths = [p for d in self.all() if d in self.data
                 for p in files(d, '*.log', '*.index', '*.timeindex', '*.txnindex', '[0-9]*.snapshot')
                 if '__cluster_metadata' not in p]
        dump = Dump(self.lane, paths, '--deep-iteration', '--print-data-log')
        equal(dump.complaints(), [], 'DumpLogSegments of the data')
        equal(len(dump.sections), len(paths), 'dumped files')
        self.metadata()
        equal(self.metadata_dump.complaints(), [], 'DumpLogSegments of the metadata log')
        for path, lines in self.metadata_dump.sections.items():
            true('isvalid: true' in '\n'.join(lines), 'nothing dumped of ' + path)

    def newest_snapshot(self):
        paths = sorted(glob.glob(os.path.join(self.log, '*.checkpoint')))
        if not paths or '00000000000000000000-' in paths[-1]:
            raise Failed('no snapshot in %s' % self.log)
        return paths[-1]

    def metadata_shell(self, topics):
        """The shell loads our newest snapshot and shows the topics in it."""
        for _ in range(3):  # on a busy machine it sometimes looks before it has loaded
            code, text = self.lane.run(brokers.java(
                '4.3.1', 'org.apache.kafka.shell.MetadataShell', '--snapshot',
                self.newest_snapshot(), 'ls', '/image/topics/byName',
                log4j=os.path.join(self.lane.tmp, 'log4j2.yaml')), 60)
            true(code == 0 and 'xception' not in text, 'exit %d: %s' % (code, text[-400:]))
            if any(t in text.split() for t in topics):
                break
        equal(sorted(t for t in text.split() if t in topics), sorted(topics), 'topics in the shell')

    # ---- small files

    def identity(self, cluster_id):
        ids = set()
        for d in self.all():
            p = properties(os.path.join(d, 'meta.properties'))
            equal(p['version'], '1', 'version')
            equal(p['cluster.id'], cluster_id, 'cluster.id')
            equal(p['node.id'], str(self.broker.node_id), 'node.id')
            ids.add(p['directory.id'])
        equal(len(ids), len(self.all()), 'different directory ids')
        for d in self.all():
            true(os.path.isdir(os.path.join(d, '__cluster_metadata-0')) == (d == self.meta),
                 '__cluster_metadata-0 in ' + d)
        return ids

    def quorum_state(self, dynamic):
        state = json.loads(read(self.log, 'quorum-state'))
        equal(state['data_version'], 1 if dynamic else 0, 'data_version')
        equal(state['leaderId'], self.broker.node_id, 'leaderId')
        equal(state['votedId'], -1, 'votedId')
        epochs = [int(l.split()[0]) for l in read(self.log, 'leader-epoch-checkpoint').splitlines()[2:]]
        equal(state['leaderEpoch'], epochs[-1], 'epoch in quorum-state and in the checkpoint')

    def partition_ids(self, lines):
        """partition.metadata of every folder is the id of a topic record of that name that lives."""
        ids = {}
        for kind, _, data in records(lines):
            if kind == 'TOPIC_RECORD':
                ids[data['topicId']] = data['name']
            elif kind == 'REMOVE_TOPIC_RECORD':
                ids.pop(data['topicId'], None)
        ids['AAAAAAAAAAAAAAAAAAAAAQ'] = '__cluster_metadata'
        seen = 0
        for d in self.all():
            for path in files(d, 'partition.metadata'):
                folder = os.path.basename(os.path.dirname(path))
                if folder.endswith('-delete'):
                    continue
                m = re.fullmatch(r'version: 0\ntopic_id: (\S{22})', read(path))
                true(m, 'odd partition.metadata of ' + folder)
                equal(ids.get(m[1]), folder.rpartition('-')[0], 'topic of ' + folder)
                seen += 1
        true(seen > 1, 'no partition.metadata found')
        strays = [f for d in self.all() for f in os.listdir(d) if f.endswith('-stray')]
        equal(strays, [], 'stray directories')

    def plant_stranger(self):
        """A partition's folder whose topic id nobody knows."""
        folder = os.path.join(self.data[0], 'x-stranger-0')
        os.makedirs(folder)
        with open(os.path.join(folder, 'partition.metadata'), 'w', encoding='utf-8') as f:
            f.write('version: 0\ntopic_id: ' + brokers.new_uuid())
        with open(os.path.join(folder, '%020d.log' % 0), 'wb'):
            pass

    def while_running(self):
        for d in self.data:
            true(not os.path.exists(os.path.join(d, '.kafka_cleanshutdown')),
                 '.kafka_cleanshutdown while a broker runs')
        names = [n for n in os.listdir(self.data[0]) if n.startswith('x-stranger-0')]
        equal(len(names), 1, 'folders of the stranger')
        true(re.fullmatch(r'x-stranger-0\.[0-9a-f]{32}-stray', names[0]), names[0])
        shutil.rmtree(os.path.join(self.data[0], names[0]))

    def epochs_equal_batches(self):
        """leader-epoch-checkpoint says where each epoch of the batches begins."""
        for d in self.all():
            folders = sorted(set(os.path.dirname(p) for p in files(d, '*.log')))
            for folder in folders:
                if folder.endswith('-delete'):
                    continue
                found = self.batch_epochs(folder)
                path = os.path.join(folder, 'leader-epoch-checkpoint')
                lines = read(path).splitlines()[2:] if os.path.exists(path) else []
                said = [tuple(map(int, l.split())) for l in lines]
                # An epoch may begin without a batch of its own (Apache writes it when it leads).
                # What DeleteRecords took may leave the first entry further on than the first batch.
                for epoch, first in found:
                    starts = [s for e, s in said if e == epoch]
                    true(starts and (starts[0] == first or epoch == found[0][0]),
                         '%s: epoch %d begins at %d, the checkpoint says %r' % (
                             folder, epoch, first, said))

    @staticmethod
    def batch_epochs(folder):
        import wire
        out = []
        for path in sorted(glob.glob(os.path.join(folder, '*.log'))):
            with open(path, 'rb') as f:
                for b in wire.batches(f.read()):
                    if not out or out[-1][0] != b.epoch:
                        out.append((b.epoch, b.base_offset))
        return out

    # ---- after a clean stop

    def clean_stop(self, lines):
        """Controlled shutdown, then fenced, at the end; the file with the last broker epoch."""
        last = [r for r in records(lines) if r[0] != 'NO_OP_RECORD']
        registrations = [r for r in last if r[0] == 'REGISTER_BROKER_RECORD']
        epoch = registrations[-1][2]['brokerEpoch']
        changes = [r[2] for r in last if r[0] == 'BROKER_REGISTRATION_CHANGE_RECORD']
        equal(changes[-2].get('inControlledShutdown'), 1, 'second last change of the registration')
        equal(changes[-1].get('fenced'), 1, 'last change of the registration')
        equal(changes[-1]['brokerEpoch'], epoch, 'epoch of the last change')
        for d in self.data:
            equal(read(d, '.kafka_cleanshutdown'), '{"version":0,"brokerEpoch":%d}' % epoch,
                  '.kafka_cleanshutdown')
            for name in ('recovery-point', 'log-start', 'replication'):
                text = read(d, name + '-offset-checkpoint').splitlines()
                equal(text[0], '0', name)
                equal(int(text[1]), len(text) - 2, 'lines of ' + name)
        self.newest_snapshot()

    def partition_directories(self, lines, ids):
        """The newest word on every partition names a directory of ours. (Apache leaves it open at
        first when it has several.)"""
        last = {}
        for kind, _, data in records(lines):
            key = (data.get('topicId'), data.get('partitionId'))
            if kind in ('PARTITION_RECORD', 'PARTITION_CHANGE_RECORD') and data.get('directories'):
                last[key] = data['directories']
            elif kind == 'REMOVE_TOPIC_RECORD':
                last = {k: v for k, v in last.items() if k[0] != key[0]}
        true(last, 'no partition records')
        for key, directories in last.items():
            true(directories[0] in ids, 'directory id of %s: %s' % (key, directories))

    def voter(self, lines):
        ids = properties(os.path.join(self.meta, 'meta.properties'))
        voters = [r[2] for r in records(lines) if r[0] == 'KRaftVoters']
        true(voters, 'no Voters record')
        voter = voters[-1]['voters'][0]
        equal(voter['voterId'], self.broker.node_id, 'voter')
        equal(voter['voterDirectoryId'], ids['directory.id'], 'directory id of the voter')
        host, port = self.broker.controller.split(':')
        equal(voter['endpoints'], [{'name': 'CONTROLLER', 'host': host, 'port': int(port)}],
              'endpoints of the voter')

    def no_duplicate_ids(self, lines):
        blocks = [r[2]['nextProducerId'] for r in records(lines) if r[0] == 'PRODUCER_IDS_RECORD']
        true(blocks == sorted(set(blocks)), 'ProducerIds records: %r' % blocks)
