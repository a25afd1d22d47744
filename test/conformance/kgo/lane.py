"""franz-go's own tests (pkg/kgo), those that talk to a broker: each is a check. Tests of features that the broker does not advertise are skipped by name; a test
that skips itself although its feature is there is a failure, for it would pass without doing anything."""
import os
import re

from main import CannotRun

# Feature (an API that must be advertised) -> tests.
TESTS = {
    '': 'Ping Client_Produce Client_ProduceLargeMessages IssueProduceSyncManualPartitionNegativeDoesNotPanic Issue831 Issue769 Pooling'
        ' HookPollStart IssueFetchLargerThanBrokerMaxReadBytes ConsumeMaxDecompressBatchBytes Issue325 ConsumeTopicRetrieval'
        ' ConsumeTopicRetrieval_Many Issue337 DirectPartitionPurge Issue434 AddRemovePartitions PauseIssue489'
        ' PauseIssueOct2023 Issue648 Issue810 Issue865',
    'group': 'UnknownGroupOffsetFetchPinned GroupSimple GroupETL ConsumeRegex Issue523 Issue1034',
    'consumer group': '848RegexBrokerResolves',
    'share': 'ShareGroup ConsumeRegexShareSkipsInternal ShareGroupETL ShareGroupAckOnClose ShareGroupOffsetsAdmin',
    'transactions': 'TxnEtl',
}
APIS = {'': 18, 'group': 11, 'consumer group': 68, 'share': 78, 'transactions': 26}


def run(lane):
    lane.need('go')
    lane.install('kgo')
    program = os.path.join(lane.cache, 'kgo.test')
    if not os.access(program, os.X_OK):
        raise CannotRun('franz-go is not built (tools/install-clients.sh kgo)')
    b = lane.broker({'num.partitions': 1})
    with b.conn() as c:
        rows = c.call('api_versions', 3, {'client_software_name': 'lane', 'client_software_version': '1'})['api_keys']
    keys = {row['api_key'] for row in rows}
    wanted = []
    for feature, names in TESTS.items():
        for name in ('Test' + n for n in names.split()):
            if APIS[feature] not in keys:
                lane.skip(name, 'a feature of a later stage: ' + feature)
            elif lane.wanted(name):
                wanted.append(name)
    code, text = lane.run(
        [program, '-test.v', '-test.timeout', '10m', '-test.parallel', '4', '-test.run', '^(%s)$' % '|'.join(wanted)], 620,
        env={'KGO_SEEDS': b.bootstrap, 'KGO_TEST_RF': '1', 'KGO_LOG_LEVEL': 'none', 'KGO_TEST_RECORDS': '20000' if lane.long else '2000'})
    with open(os.path.join(lane.tmp, 'kgo.out'), 'w', encoding='utf-8') as f:
        f.write(text)
    ends = {name: end for end, name in re.findall(r'^--- (PASS|FAIL|SKIP): (\w+) ', text, re.M)}
    for name in wanted:
        lane.check(name, ends.get(name) == 'PASS', '%s (exit %d): %s' % (ends.get(name, 'did not end'), code, said(text, name)))
    lane.stop(b)


def said(text, name):
    """What the test printed, as far as it is told apart from the others."""
    lines = re.findall(r'^\s+\w+_test\.go:\d+: .*$', text.partition('--- FAIL: ' + name)[2][:3000], re.M)
    return ' | '.join(line.strip() for line in lines[:3])
