"""The data directory that Apache Kafka 4.3.1 wrote (README.md beside this file). What `taccola dump-log` prints must be what Apache's
DumpLogSegments printed, line by line as text and field by field as JSON, for every file that has a dump; and a broker started on a copy
serves every record, byte for byte, with the topics, configs and quotas of its metadata log."""
import base64
import hashlib
import json
import os
import random
import re
import shutil
import tarfile

import broker as brokers
import wire
from kit import Kit, equal
from main import CannotRun, Failed

HERE = os.path.dirname(os.path.abspath(__file__))
ARCHIVE = os.path.join(HERE, 'apache-4.3.1-data.tar.gz')
# A dump, and how Apache's was made: without records, or with all of them.
DUMPS = {'topics': [], 'g-seg': ['--shallow'], 'metadata': [], 'offsets': [], 'share': [], 'txn': []}
# These lines came on standard error, after all files.
FINDING = re.compile(r'Non-consecutive offsets in |  -?\d+ is followed by ')


def sections(text):
    """[(file, lines)] and the findings at the end."""
    found, findings = [], []
    for line in text.splitlines():
        if line.startswith('Dumping '):
            found.append((line[len('Dumping '):], []))
        elif FINDING.match(line):
            findings.append(line)
        else:
            found[-1][1].append(line)
    return found, findings


def optional(text):
    m = re.fullmatch(r'OptionalLong\[(-?\d+)\]', text)
    return int(m[1]) if m else None if text == 'OptionalLong.empty' else text


def scalar(text):
    if text in ('true', 'false'):
        return text == 'true'
    return int(text) if re.fullmatch(r'-?\d+', text) else optional(text)


def parse(line):
    """One line of DumpLogSegments as a dictionary."""
    fields = {}
    for name in ('LeaderChange:', 'SnapshotHeader', 'SnapshotFooter', 'KRaftVersion', 'KRaftVoters'):
        line, sign, rest = line.partition(' %s {' % name)
        if sign:
            fields[name.rstrip(':')] = json.loads('{' + rest)
    line, sign, payload = line.partition(' payload: ')
    if sign:
        fields['payload'] = json.loads(payload) if payload.startswith('{') else payload
    line, sign, key = line.partition(' key: ')
    if sign:
        fields['key'] = json.loads(key) if key.startswith('{') else key
    line, sign, keys = line.partition(' headerKeys: [')
    if sign:
        keys, _, line_end = keys.partition(']')
        fields['headerKeys'] = keys.split(',') if keys else []
        line += line_end
    fields.update((name, scalar(value)) for name, value in re.findall(r'(\w+): (\S+)', line))
    return fields


class Golden:
    def __init__(self, lane):
        self.lane, self.root = lane, lane.tmp
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(self.root, filter='data') if hasattr(tarfile, 'data_filter') \
                else archive.extractall(self.root)

    def expected(self, name):
        with open(os.path.join(self.root, 'expected', name + '.dump'), encoding='utf-8') as f:
            return sections(f.read())

    def dump(self, arguments):
        return self.lane.run([brokers.TACCOLA, 'dump-log'] + arguments, 60, cwd=self.root)

    def archive_is_whole(self):
        with open(os.path.join(self.root, 'expected', 'data.sha256'), encoding='utf-8') as f:
            rows = [line.split(None, 1) for line in f.read().splitlines()]
        for digest, name in rows:
            with open(os.path.join(self.root, 'data', name), 'rb') as f:
                if hashlib.sha256(f.read()).hexdigest() != digest:
                    raise Failed(name + ' is not what the archive says')
        if len(rows) < 100:
            raise Failed('only %d files' % len(rows))

    def same_text(self, name, options):
        """Every file of one dump in one run; a check for each."""
        want, want_findings = self.expected(name)
        code, text = self.dump(options + [path for path, _ in want])
        got, got_findings = sections(text)
        self.lane.check('dump %s exit' % name, code == 0, 'exit %d: %s' % (code, text[-300:]))
        self.lane.check('dump %s files' % name, [p for p, _ in got] == [p for p, _ in want])
        self.lane.check('dump %s findings' % name, got_findings == want_findings, got_findings)
        for (path, wanted), (_, lines) in zip(want, got):
            differences = [(a, b) for a, b in zip(wanted, lines) if a != b]
            self.lane.check('dump ' + path, lines == wanted,
                            differences[:1] or '%d lines, not %d' % (len(lines), len(wanted)))

    def same_fields(self, name, options):
        """The same as JSON, by field."""
        want, _ = self.expected(name)
        code, text = self.dump(['--output', 'json'] + options + [path for path, _ in want])
        if code:
            raise Failed('exit %d' % code)
        got = [json.loads(line) for line in text.splitlines() if line.startswith('{')]
        lines = [(path, line) for path, section in want for line in section
                 if re.match(r'(\| )?\w+: ', line)]
        if len(got) != len(lines) or not lines:
            raise Failed('%d objects for %d lines' % (len(got), len(lines)))
        for (path, line), fields in zip(lines, got):
            kind = fields.pop('kind')
            if fields.pop('file') != path or not kind:
                raise Failed('%s: %s' % (path, fields))
            if fields != parse(line):
                raise Failed('%s: %s, not %s' % (path, fields, parse(line)))
        return len(lines)

    def live_copy(self):
        """Files that were copied while Kafka wrote them: preallocated indexes, no clean end."""
        for directory in sorted(os.listdir(os.path.join(self.root, 'data-live'))):
            path = os.path.join('data-live', directory)
            if not os.path.isdir(os.path.join(self.root, path)):
                continue
            code, text = self.dump([path])
            if code or 'baseOffset' not in text and 'g-share-2' not in path:
                raise Failed('%s: exit %d: %s' % (path, code, text[-300:]))

    def damage_is_told(self):
        """A flipped byte, a cut end and a wrong index each give a finding and exit code 1."""
        source = os.path.join(self.root, 'data', 'g-none-0')
        cases = {'.log flipped': ('wrong CRC', lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:]),
                 '.log cut': ('invalid bytes at the end', lambda b: b[:-7]),
                 '.log zeros': ('invalid bytes at the end', lambda b: b + bytes(4096)),
                 '.index wrong': ('Mismatches in', lambda b: bytes([0, 0, 0, 3, 0, 0, 0, 9])),
                 '.snapshot flipped': ('no producer snapshot', lambda b: b[:-1] + bytes([b[-1] ^ 1]))}
        for name, (sentence, change) in cases.items():
            copy = os.path.join(self.root, 'damaged-0')
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source, copy)
            for file in os.listdir(copy):
                if file.endswith(name.split()[0]):
                    with open(os.path.join(copy, file), 'rb') as f:
                        content = f.read()
                    with open(os.path.join(copy, file), 'wb') as f:
                        f.write(change(content))
            code, text = self.dump([copy])
            if code != 1 or sentence not in text:
                raise Failed('%s: exit %d: %s' % (name, code, text[-300:]))

    def any_bytes(self):
        """Damaged at random places, and no end but an exit code."""
        dice = random.Random(1)
        rounds = 40 if self.lane.long else 4
        for name in sorted(os.listdir(os.path.join(self.root, 'data'))):
            source = os.path.join(self.root, 'data', name)
            for _ in range(rounds if os.path.isdir(source) else 0):
                copy = os.path.join(self.root, 'mutated', name)
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(source, copy)
                for file in os.listdir(copy):
                    with open(os.path.join(copy, file), 'r+b') as f:
                        size = os.path.getsize(f.name)
                        for _ in range(dice.randrange(6) if size else 0):
                            f.seek(dice.choice((dice.randrange(size), dice.randrange(min(size, 80)))))
                            f.write(bytes([dice.choice((0, 0x7f, 0xff, dice.randrange(256)))]))
                code, text = self.dump([os.path.join('mutated', name)])
                if code not in (0, 1):
                    raise Failed('%s: exit %d: %s' % (name, code, text[-300:]))


def partitions(data):
    """{(topic, partition): the bytes of its segments in order}"""
    found = {}
    for directory in sorted(os.listdir(data)):
        m = re.fullmatch(r'(.+)-(\d+)', directory)
        if not m or directory.startswith('__cluster_metadata') or directory.endswith('-delete'):
            continue
        content = b''
        for file in sorted(os.listdir(os.path.join(data, directory))):
            if file.endswith('.log'):
                with open(os.path.join(data, directory, file), 'rb') as f:
                    content += f.read()
        found[m[1], int(m[2])] = content
    return found


class Served:
    """A broker on a copy of the directory."""

    def __init__(self, lane, root, which):
        self.data = os.path.join(root, which)
        # Records are older than any retention by the time that somebody runs this.
        self.broker = lane.broker({'log.retention.ms': -1}, name=which, start=False)
        shutil.copytree(self.data, self.broker.data)
        self.broker.start()
        self.kit = Kit(lane, self.broker)

    def every_byte(self):
        """All batches of all partitions: what is in the files, from the log start on."""
        total = 0
        for (topic, partition), content in partitions(self.data).items():
            start = self.kit.list_offset(topic, -2, partition)
            equal(start['error_code'], 0, 'earliest of %s-%d' % (topic, partition))
            want = [b for b in wire.batches(content) if b.last_offset >= start['offset']]
            got = self.kit.read(topic, partition, start['offset'])
            equal([b.base_offset for b in got], [b.base_offset for b in want], '%s-%d' % (topic, partition))
            for a, b in zip(got, want):
                if a.data != b.data:
                    raise Failed('%s-%d: other bytes at offset %d' % (topic, partition, a.base_offset))
            end = self.kit.list_offset(topic, -1, partition)['offset']
            equal(end, want[-1].last_offset + 1 if want else start['offset'], 'end of %s-%d' % (topic, partition))
            total += len(want)
        if total < 2400:
            raise Failed('only %d batches' % total)

    def metadata(self):
        topics = {t['name']: t for t in self.kit.metadata(None)['topics']}
        want = {}
        for topic, partition in partitions(self.data):
            want.setdefault(topic, set()).add(partition)
        equal({n: {p['partition_index'] for p in t['partitions']} for n, t in topics.items()}, want, 'topics')
        for name, topic in topics.items():
            for partition in topic['partitions']:
                equal((partition['error_code'], partition['leader_id']), (0, 1), name)
            path = os.path.join(self.data, name + '-0', 'partition.metadata')
            with open(path, encoding='utf-8') as f:
                text = f.read().split('topic_id: ')[1].strip()
            equal(base64.urlsafe_b64encode(topic['topic_id']).decode().rstrip('='), text, 'id of ' + name)

    def offsets(self):
        equal(self.kit.list_offset('g-del', -2)['offset'], 12, 'start after DeleteRecords')
        equal(self.kit.list_offset('g-txn', -1, 1)['offset'], 25, 'end of g-txn-1')
        equal(self.kit.list_offset('g-txn', -1, 1, isolation=1)['offset'], 24, 'last stable offset below an open transaction')

    def transactions(self):
        for partition, aborted in ((0, [6, 18]), (1, [6, 18])):
            p = self.kit.fetch('g-txn', 0, partition, isolation=1)
            equal([row['first_offset'] for row in p['aborted_transactions']], aborted, 'aborted of g-txn-%d' % partition)
        equal(wire.batches(p['records'])[-1].last_offset, 23, 'nothing of the open transaction')

    def settings(self):
        topic = self.kit.configs(2, 'g-seg')
        equal((topic['segment.bytes']['value'], topic['segment.bytes']['config_source']), ('1048576', 1), 'segment.bytes')
        equal(self.kit.configs(2, 'g-none')['retention.ms']['value'], '-1', 'retention.ms')
        equal(self.kit.configs(32, 'golden-share')['share.auto.offset.reset']['value'], 'earliest', 'group config')
        equal(self.kit.configs(16, 'cm1')['interval.ms']['value'], '60000', 'client metrics')
        quotas = self.kit.call('describe_client_quotas', 1, {'components': [], 'strict': False})['entries']
        equal([(q['entity'][0]['entity_name'], q['values'][0]['value']) for q in quotas], [('golden', 123456.0)], 'quotas')

    def goes_on(self):
        """A producer of the directory writes on, once. (Whether it is still known depends on the day: producer.id.expiration.ms.)"""
        last = wire.batches(partitions(self.data)['g-none', 0])
        idempotent = [b for b in last if b.pid >= 0][-1]
        following = wire.batch([b'next'], pid=idempotent.pid, pid_epoch=idempotent.pid_epoch,
                               sequence=idempotent.sequence + idempotent.count)
        r = self.kit.produce('g-none', following)
        equal((r['error_code'], r['base_offset']), (0, last[-1].last_offset + 1), 'the next sequence')
        again = self.kit.produce('g-none', following)
        equal((again['error_code'], again['base_offset']), (0, r['base_offset']), 'the same once more')


def serve(lane, golden, which):
    served = Served(lane, golden.root, which)
    for name, check in (('every byte', served.every_byte), ('metadata', served.metadata), ('offsets', served.offsets),
                        ('transactions', served.transactions), ('settings', served.settings), ('goes on', served.goes_on)):
        lane.attempt('serve %s: %s' % (which, name), check)
    lane.stop(served.broker)


def run(lane):
    if not os.access(brokers.TACCOLA, os.X_OK):
        raise CannotRun('no taccola binary (set TACCOLA or run make build)')
    golden = Golden(lane)
    lane.attempt('archive', golden.archive_is_whole)
    for name, options in DUMPS.items():
        golden.same_text(name, options)
        lane.attempt('json ' + name, golden.same_fields, name, options)
    lane.attempt('live copy', golden.live_copy)
    lane.attempt('damage', golden.damage_is_told)
    lane.attempt('any bytes', golden.any_bytes)
    serve(lane, golden, 'data')
    serve(lane, golden, 'data-live')
