"""sarama's own functional tests, those that one node without security can take. They want five brokers behind toxiproxy at fixed ports: all five proxies lead to
the one broker, which advertises the first. Left out: tests that stop brokers, read the logs of containers, run Java, or need several log directories."""
import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import gotest
from broker import free_port
from main import CannotRun

TESTS = {
    '': 'FuncAdminQuotas FuncAdminListOffsets FuncAdminDeleteRecords FuncAdminDescribeConfig FuncAdminDeleteTopic FuncAdminElectLeadersV1'
        ' FuncAdminIncrementalAlterConfigs FuncAdminAlterConfig FuncAdminUpdateFeatures FuncConnectionFailure'
        ' FuncAdminNetworkErrorClosesControllerConnection FuncClientMetadata FuncConsumerOffsetOutOfRange ConsumerHighWaterMarkOffset'
        ' ConsumerPartialBatchRecovery VersionMatrix VersionMatrixLZ4 VersionMatrixZstd VersionMatrixIdempotent FuncDescribeProducers'
        ' FuncProducing FuncProducingGzip FuncProducingSnappy FuncProducingZstd FuncProducingNoResponse FuncProducingFlushing'
        ' FuncMultiPartitionProduce FuncProducingToInvalidTopic AsyncProducerRemoteBrokerClosed',
    'group': 'FuncAdminDescribeGroups FuncAdminListConsumerGroups FuncAdminAlterConsumerGroupOffsets FuncAdminDeleteGroup FuncClientCoordinator'
             ' FuncConsumerGroupCooperative FuncJoinGroupVersionSelection FuncConsumerGroupPartitioning FuncConsumerGroupPartitioningStateful'
             ' FuncConsumerGroupExcessConsumers FuncConsumerGroupOffsetDeletion FuncConsumerGroupStaticMembership_Basic'
             ' FuncConsumerGroupStaticMembership_RejoinAndLeave FuncConsumerGroupStaticMembership_Fenced FuncOffsetManager Interceptors',
    'transactions': 'FuncDescribeTransactions FuncListTransactions FuncTxnProduceNoBegin FuncTxnCommitNoMessages FuncTxnProduce FuncTxnProduceEpochBump'
                    ' FuncInitProducerId3 FuncTxnProduceMultiTxn FuncTxnAbortedProduce',
}
PORTS = range(29091, 29096)


def proxies(lane, broker):
    """Starts toxiproxy; answers its address."""
    port = free_port()
    process = subprocess.Popen([os.path.join(lane.cache, 'toxiproxy'), '-port', str(port)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    body = json.dumps([{'name': 'kafka%d' % (i + 1), 'listen': '127.0.0.1:%d' % p, 'upstream': broker.bootstrap, 'enabled': True}
                       for i, p in enumerate(PORTS)]).encode()
    address = 'http://127.0.0.1:%d' % port
    request = urllib.request.Request(address + '/populate', body, {'Content-Type': 'application/json', 'User-Agent': 'lane'})
    for _ in range(50):
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return process, address
        except urllib.error.HTTPError as e:
            process.kill()
            raise CannotRun('toxiproxy: %s' % e.read().decode()[:200]) from e
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise CannotRun('toxiproxy does not start')


def run(lane):
    lane.need('go')
    lane.install('sarama')
    program = os.path.join(lane.cache, 'sarama.test')
    if not os.access(program, os.X_OK):
        raise CannotRun('sarama is not built (tools/install-clients.sh sarama)')
    b = lane.broker({'num.partitions': 4, 'auto.create.topics.enable': 'false'}, start=False)
    b.props['advertised.listeners'] = 'PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d' % (PORTS[0], b.controller_port)
    b.start()
    process, address = proxies(lane, b)
    try:
        gotest.run(lane, program, gotest.choose(lane, b, TESTS), {'TOXIPROXY_ADDR': address, 'KAFKA_VERSION': '4.3.1'},
                   cwd=os.path.join(lane.cache, 'sarama'), parallel=1)
    finally:
        process.kill()
        process.wait()
    lane.stop(b)
