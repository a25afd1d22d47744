"""franz-go's own tests (pkg/kgo), those that talk to a broker."""
import os

import gotest
from main import CannotRun

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


def run(lane):
    lane.need('go')
    lane.install('kgo')
    program = os.path.join(lane.cache, 'kgo.test')
    if not os.access(program, os.X_OK):
        raise CannotRun('franz-go is not built (tools/install-clients.sh kgo)')
    b = lane.broker({'num.partitions': 1})
    gotest.run(lane, program, gotest.choose(lane, b, TESTS),
               {'KGO_SEEDS': b.bootstrap, 'KGO_TEST_RF': '1', 'KGO_LOG_LEVEL': 'none', 'KGO_TEST_RECORDS': '20000' if lane.long else '2000'})
    lane.stop(b)
