"""Several log directories: replicas spread over them, and found again."""
from kit import equal, true

PROPS = {'log.retention.ms': -1, 'log.dirs': 'data,more'}


def where(kit, topic):
    """{partition: directory} as DescribeLogDirs says."""
    out = {}
    for r in kit.call('describe_log_dirs', 4, {'topics': None})['results']:
        equal(r['error_code'], 0)
        for t in r['topics']:
            for p in t['partitions'] if t['name'] == topic else ():
                true(p['partition_index'] not in out, 'partition in two directories')
                out[p['partition_index']] = r['log_dir'].rsplit('/', 1)[-1]
    return out


def spread_and_found_again(kit):
    t = kit.create(partitions=8)
    for i in range(8):
        kit.put(t, b'%d' % i, partition=i)
    first = where(kit, t)
    equal(sorted(first), list(range(8)))
    equal(sorted(first.values()), ['data'] * 4 + ['more'] * 4, 'partitions per directory')
    for end in (kit.broker.stop, kit.broker.kill):
        end()
        kit.broker.start()
        if not kit.ours:
            kit.wait(lambda: kit.is_led(t), 'no leaders after a restart')
        equal(where(kit, t), first, 'directories after a restart')
        for i in range(8):
            values = [b.records()[0]['value'] for b in kit.read(t, i)]
            equal(values[0], b'%d' % i)
            kit.put(t, b'more', partition=i)


def deleted_everywhere(kit):
    t = kit.create(partitions=4)
    for i in range(4):
        kit.put(t, b'x', partition=i)
    kit.call('delete_topics', 5, {'topic_names': [t], 'timeout_ms': 5000})
    kit.wait(lambda: not where(kit, t), 'partitions of a deleted topic')
    kit.create(t, partitions=4)
    equal([kit.read(t, i) for i in range(4)], [[]] * 4)


def run(kit, attempt):
    for test in (spread_and_found_again, deleted_everywhere):
        attempt('directories/' + test.__name__.replace('_', '-'), test, kit)
