"""segmentio/kafka-go's own tests. They want their broker at localhost:9092; the program is built with another port (install-clients.sh)."""
import os
import re

import gotest
from main import CannotRun

PORT = 29096
# Tests that do not run, by the reason; a name with a slash is a part of a test.
LEFT_OUT = {
    'a feature of a later stage: security': 'TestAlterUserScramCredentials TestDescribeUserScramCredentials TestClientCreateACLs TestClientDeleteACLs'
                                            ' TestClientDescribeACLs TestUnsupportedSASLMechanism TestWriter/SASL',
    'fails on Apache Kafka too': 'TestReaderConsumerGroup TestClientElectLeaders TestReaderReadCompactedMessage TestDialerResolver'
                                 ' TestRebalanceTooManyConsumers TestConn/test_delete_topics',
    'skips itself on Kafka 3 and newer': 'TestClientAddOffsetsToTxn TestClientAddPartitionsToTxn TestClientInitProducerId TestClientTxnOffsetCommit',
    'skips itself always, or where topics are created by themselves': 'TestReadTruncatedMessages TestConsumerGroupWithMissingTopic',
}
LONG = ('TestClientAlterPartitionReassignmentsMultiTopics TestConsumerGroupWithGroupTopicsMultiple TestClientDescribeConfigs'
        ' TestClientCreatePartitionsNoAssignments TestReaderTruncatedResponse TestClientAlterClientQuotas TestClientDeleteTopics')


def run(lane):
    lane.need('go')
    lane.install('kafka-go')
    program = os.path.join(lane.cache, 'kafka-go.test')
    if not os.access(program, os.X_OK):
        raise CannotRun('kafka-go is not built (tools/install-clients.sh kafka-go)')
    b = lane.broker({'num.partitions': 1, 'message.max.bytes': 200000000, 'auto.create.topics.enable': 'true'}, start=False)
    b.port = PORT
    b.props['advertised.listeners'] = 'PLAINTEXT://localhost:%d,CONTROLLER://127.0.0.1:%d' % (PORT, b.controller_port)
    b.start()
    out = {name: reason for reason, names in LEFT_OUT.items() for name in names.split()}
    if not lane.long:
        out.update({name: 'only in the long form' for name in LONG.split()})
    wanted = []
    for name in re.findall(r'^Test\w+$', lane.run([program, '-test.list', '.*'], cwd=lane.cache)[1], re.M):
        if name in out:
            lane.skip(name, out[name])
        elif lane.wanted(name):
            wanted.append(name)
    for name in (n for n in out if '/' in n):
        lane.skip(name, out[name])
    gotest.run(lane, program, wanted, {'KAFKA_SKIP_NETTEST': '1', 'KAFKA_VERSION': '4.3.1'}, cwd=os.path.join(lane.cache, 'kafka-go'),
               parts_left_out='|'.join('^%s$/%s' % tuple(n.split('/')) for n in out if '/' in n))
    lane.stop(b)
