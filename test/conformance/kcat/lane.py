"""kcat (Debian's, over librdkafka 2.0.2), used as a person at a terminal uses it."""
import json
import time

from main import Failed

FORMAT = '%p|%o|%k|%s|%h|%T\\n'


def run(lane):
    lane.install('apt')
    lane.need('kcat')
    b = lane.broker({'num.partitions': 2, 'auto.create.topics.enable': 'true'})
    base = ['kcat', '-b', b.bootstrap]

    def kcat(*args, stdin=None, timeout=30):
        code, text = lane.run(base + list(args), timeout, stdin)
        if code:
            raise Failed('exit %d: %s' % (code, text[-400:]))
        return text

    def settled(topic):
        """Auto-creation answers with a retriable error first; wait until the leader is there."""
        for _ in range(100):
            if 'leader 1' in kcat('-L', '-t', topic):
                return
            time.sleep(0.1)
        raise Failed('no leader for ' + topic)

    def consume(topic, *args):
        return kcat('-C', '-t', topic, '-e', '-q', *args)

    def listing():
        text = kcat('-L')
        if '1 brokers:' not in text or b.bootstrap not in text:
            raise Failed(text)

    def listing_json():
        got = json.loads(kcat('-L', '-J'))
        if got['brokers'][0]['name'] != b.bootstrap or got['controllerid'] != 1:
            raise Failed(str(got))

    def keys_and_headers():
        kcat('-P', '-t', 'kc-keys', '-p', '0', '-K:', '-H', 'source=demo', '-H', 'second=',
             stdin=b'Alice:Pays 200 dollars to Bob\nBob:Thanks\n')
        settled('kc-keys')
        rows = [r.split('|') for r in consume('kc-keys', '-o', 'beginning', '-f', FORMAT).split('\n')
                if r]
        if [r[:5] for r in rows] != [
                ['0', '0', 'Alice', 'Pays 200 dollars to Bob', 'source=demo,second='],
                ['0', '1', 'Bob', 'Thanks', 'source=demo,second=']]:
            raise Failed(str(rows))
        if abs(int(rows[0][5]) / 1000 - time.time()) > 120:
            raise Failed('timestamp ' + rows[0][5])

    def codec(name):
        topic = 'kc-' + name
        lines = ['%d %s' % (i, 'abcdefgh' * 20) for i in range(500)]
        kcat('-P', '-t', topic, '-p', '0', '-z', name, stdin='\n'.join(lines).encode() + b'\n')
        got = consume(topic, '-o', 'beginning', '-f', '%s\\n').splitlines()
        if got != lines:
            raise Failed('%d lines in, %d out' % (len(lines), len(got)))

    def idempotent():
        lines = ['i%d' % i for i in range(2000)]
        kcat('-P', '-t', 'kc-idem', '-p', '1', '-X', 'enable.idempotence=true',
             stdin='\n'.join(lines).encode() + b'\n')
        got = consume('kc-idem', '-p', '1', '-o', 'beginning', '-f', '%s\\n').splitlines()
        if got != lines:
            raise Failed('%d of %d' % (len(got), len(lines)))

    def partitioner():
        kcat('-P', '-t', 'kc-part', '-K:', stdin=b''.join(b'k%d:v\n' % i for i in range(50)))
        rows = [r.split('|') for r in consume('kc-part', '-o', 'beginning', '-f',
                                              '%p|%k\\n').split('\n') if r]
        if len(rows) != 50 or {r[0] for r in rows} != {'0', '1'}:
            raise Failed('%d rows, partitions %s' % (len(rows), {r[0] for r in rows}))

    def null_value():
        kcat('-P', '-t', 'kc-null', '-p', '0', '-K:', '-Z', stdin=b'gone:\n')
        text = consume('kc-null', '-o', 'beginning', '-f', '%k %S\\n').strip()
        if text != 'gone -1':
            raise Failed(text)

    def offsets():
        """-Q asks ListOffsets by time; the records of kc-keys have the time they were sent."""
        text = kcat('-Q', '-t', 'kc-keys:0:1', '-t', 'kc-keys:1:-1')
        if 'kc-keys [0] offset 0' not in text or 'kc-keys [1] offset 0' not in text:
            raise Failed(text)
        future = int(time.time() * 1000) + 3600000
        text = kcat('-Q', '-t', 'kc-keys:0:%d' % future)
        if 'kc-keys [0] offset -1' not in text and 'offset 2' not in text:
            raise Failed('future: ' + text)
        if 'kc-keys [0] offset 2' not in kcat('-Q', '-t', 'kc-keys:0:-1'):
            raise Failed('latest')

    def tail():
        text = consume('kc-idem', '-p', '1', '-o', '-5', '-f', '%s\\n').splitlines()
        if text != ['i1995', 'i1996', 'i1997', 'i1998', 'i1999']:
            raise Failed(str(text))

    def by_time():
        text = consume('kc-idem', '-p', '1', '-o', 's@1', '-c', '3', '-f', '%s\\n').splitlines()
        if text != ['i0', 'i1', 'i2']:
            raise Failed(str(text))

    def unknown_topic():
        code, text = lane.run(base + ['-C', '-t', 'kc-no such', '-e', '-q'], 20)
        if code == 0 or 'topic' not in text.lower():
            raise Failed('exit %d %s' % (code, text))

    def big():
        data = bytes(range(33, 126)) * 10000
        kcat('-P', '-t', 'kc-big', '-p', '0', '-D', '\n', '-X', 'message.max.bytes=1000000', '-z', 'none',
             stdin=data[:900000] + b'\n')
        got = consume('kc-big', '-p', '0', '-o', 'beginning', '-f', '%S').strip()
        if got != '900000':
            raise Failed(got)

    lane.attempt('list', listing)
    lane.attempt('list-json', listing_json)
    lane.attempt('keys-headers-timestamps', keys_and_headers)
    for name in ('gzip', 'snappy', 'lz4', 'zstd'):
        lane.attempt('codec-' + name, codec, name)
    lane.attempt('idempotent', idempotent)
    lane.attempt('partitioner', partitioner)
    lane.attempt('null-value', null_value)
    lane.attempt('offsets-by-time', offsets)
    lane.attempt('consume-last', tail)
    lane.attempt('consume-by-time', by_time)
    lane.attempt('invalid-topic', unknown_topic)
    lane.attempt('big-record', big)
