"""Every command-line tool of Apache Kafka 4.3.1 once: (name, feature, exit code, what its output must match, class, arguments, more).

The regular expression may span lines. In the arguments {bs} is the broker, {bc} the controller listener, {A} {C} {X} {Y} {Z} {W} are fresh topics, {S} makes names
fresh, {dir} is the lane's folder, {data} the broker's. `more`: 'in' a file for standard input, 'seconds' to wait, 'alone' in a JVM
of its own (it ends by a hook of the JVM). Features of later stages are skipped by name."""

BS = '--bootstrap-server {bs}'
CFG = BS + ' --alter --entity-type'
TOPIC = 'TopicCommand'
CONFIG = 'kafka.admin.ConfigCommand'
GROUP = 'consumer.group.ConsumerGroupCommand'
CONSUMER = 'consumer.ConsoleConsumer'
DUMP = 'DumpLogSegments'
KEYED = ' --reader-property parse.key=true --reader-property key.separator=:'
PRINTED = ''.join(' --formatter-property print.%s=true' % p for p in ('key', 'timestamp', 'offset', 'partition', 'headers'))
INPUT = {'in': 'in.txt'}
ALONE = {'alone': True}

CHECKS = [
    # cluster, features, quorum
    ('api-versions', '', 0, r'Produce\(0\): 0 to|ApiVersions\(18\)', 'BrokerApiVersionsCommand', BS),
    ('cluster-id', '', 0, r'Cluster ID: ', 'ClusterTool', 'cluster-id ' + BS),
    ('cluster-endpoints', '', 0, r'ID +HOST +PORT', 'ClusterTool', 'list-endpoints ' + BS),
    ('cluster-unregister-none', '', 1, r'BrokerIdNotRegistered|not registered|not currently registered', 'ClusterTool', 'unregister ' + BS + ' --id 99'),
    ('features-describe', '', 0, r'metadata.version.*FinalizedVersionLevel: 4.3-IV0', 'FeatureCommand', BS + ' describe'),
    ('features-mapping', '', 0, r'metadata.version=30', 'FeatureCommand', 'version-mapping --release-version 4.3-IV0'),
    ('features-deps', '', 0, r'transaction.version=2', 'FeatureCommand', 'feature-dependencies --feature transaction.version=2'),
    ('features-upgrade-dry', '', 0, r'can be', 'FeatureCommand', BS + ' upgrade --feature transaction.version=2 --dry-run'),
    ('quorum-status', '', 0, r'ClusterId:.*LeaderId:.*HighWatermark:.*CurrentVoters:', 'MetadataQuorumCommand', BS + ' describe --status'),
    ('quorum-replication', '', 0, r'NodeId.*DirectoryId.*LogEndOffset', 'MetadataQuorumCommand', BS + ' describe --replication --human-readable'),
    ('quorum-status-controller', '', 0, r'ClusterId:', 'MetadataQuorumCommand', '--bootstrap-controller {bc} describe --status'),
    ('cluster-id-controller', '', 0, r'Cluster ID: ', 'ClusterTool', 'cluster-id --bootstrap-controller {bc}'),
    # topics
    ('topic-create', '', 0, r'Created topic {A}', TOPIC, BS + ' --create --topic {A} --partitions 3 --replication-factor 1 --config retention.ms=3600000'),
    ('topic-create-dup', '', 1, r'already exists', TOPIC, BS + ' --create --topic {A}'),
    ('topic-create-if-not-exists', '', 0, r'', TOPIC, BS + ' --create --topic {A} --if-not-exists'),
    ('topic-create-factor-9', '', 1, r'Unable to replicate|replication factor', TOPIC, BS + ' --create --topic {A}-bad --replication-factor 9'),
    ('topic-create-compact', '', 0, r'Created', TOPIC, BS + ' --create --topic {C} --partitions 1 --config cleanup.policy=compact'),
    ('topic-create-x', '', 0, r'Created', TOPIC, BS + ' --create --topic {X} --partitions 1'),
    ('topic-create-y', '', 0, r'Created', TOPIC, BS + ' --create --topic {Y} --partitions 1'),
    ('topic-create-z', '', 0, r'Created', TOPIC, BS + ' --create --topic {Z} --partitions 1'),
    ('topic-create-w', '', 0, r'Created', TOPIC, BS + ' --create --topic {W} --partitions 1'),
    ('topic-list', '', 0, r'{A}.*{C}', TOPIC, BS + ' --list'),
    ('topic-describe', '', 0, r'PartitionCount: 3.*ReplicationFactor: 1.*retention.ms=3600000.*Partition: 2.*Isr: ', TOPIC, BS + ' --describe --topic {A}'),
    ('topic-alter', '', 0, r'', TOPIC, BS + ' --alter --topic {A} --partitions 4'),
    ('topic-under-replicated', '', 0, r'', TOPIC, BS + ' --describe --under-replicated-partitions'),
    # configs
    ('cfg-topic-alter', '', 0, r'Completed updating config for topic', CONFIG, CFG + ' topics --entity-name {A} --add-config segment.bytes=1048576,max.message.bytes=2000000'),
    ('cfg-topic-describe', '', 0, r'segment.bytes=1048576.*DYNAMIC_TOPIC_CONFIG', CONFIG, BS + ' --describe --entity-type topics --entity-name {A}'),
    ('cfg-topic-describe-all', '', 0, r'cleanup.policy=delete.*DEFAULT_CONFIG', CONFIG, BS + ' --describe --all --entity-type topics --entity-name {A}'),
    ('cfg-topic-delete', '', 0, r'Completed', CONFIG, CFG + ' topics --entity-name {A} --delete-config max.message.bytes'),
    ('cfg-topic-bad', '', 1, r'Invalid value|InvalidConfigurationException|InvalidRequest', CONFIG, CFG + ' topics --entity-name {A} --add-config cleanup.policy=nonsense'),
    ('cfg-broker-alter', '', 0, r'Completed updating config for broker', CONFIG, CFG + ' brokers --entity-name 1 --add-config log.cleaner.threads=2'),
    ('cfg-broker-describe', '', 0, r'log.cleaner.threads=2.*DYNAMIC_BROKER_CONFIG', CONFIG, BS + ' --describe --entity-type brokers --entity-name 1'),
    ('cfg-broker-delete', '', 0, r'Completed', CONFIG, CFG + ' brokers --entity-name 1 --delete-config log.cleaner.threads'),
    ('cfg-broker-default', '', 0, r'Completed updating default config for brokers', CONFIG, CFG + ' brokers --entity-default --add-config message.max.bytes=1048588'),
    ('cfg-broker-loggers', '', 0, r'', CONFIG, BS + ' --describe --entity-type broker-loggers --entity-name 1'),
    ('cfg-client-quota', '', 0, r'Completed updating config for client', CONFIG, CFG + ' clients --entity-name jtcli --add-config producer_byte_rate=1048576'),
    ('cfg-client-quota-describe', '', 0, r'producer_byte_rate=1048576', CONFIG, BS + ' --describe --entity-type clients --entity-name jtcli'),
    ('cfg-user-client-quota', '', 0, r'Completed', CONFIG, CFG + ' users --entity-name alice --entity-type clients --entity-default --add-config request_percentage=200'),
    ('cfg-ip-quota', '', 0, r'Completed', CONFIG, CFG + ' ips --entity-name 127.0.0.9 --add-config connection_creation_rate=100'),
    ('cfg-scram', 'security', 0, r'Completed updating config for user', CONFIG, CFG + " users --entity-name alice --add-config 'SCRAM-SHA-256=[iterations=4096,password=alice-secret]'"),
    ('cfg-scram-512', 'security', 0, r'Completed updating config for user', CONFIG, CFG + " users --entity-name alice --add-config 'SCRAM-SHA-512=[password=alice-secret]'"),
    ('cfg-scram-describe', 'security', 0, r'SCRAM credential configs for user-principal .alice. are', CONFIG, BS + ' --describe --entity-type users'),
    ('cfg-group-alter', '', 0, r'Completed updating config for group', CONFIG, CFG + ' groups --entity-name sg-{S} --add-config share.auto.offset.reset=earliest'),
    ('cfg-group-describe', 'group', 0, r'share.auto.offset.reset=earliest', CONFIG, BS + ' --describe --entity-type groups --entity-name sg-{S}'),
    ('cfg-group-psg', 'share', 0, r'Completed', CONFIG, CFG + ' groups --entity-name psg-{S} --add-config share.auto.offset.reset=earliest'),
    ('cfg-group-vsg', 'share', 0, r'Completed', CONFIG, CFG + ' groups --entity-name vsg-{S} --add-config share.auto.offset.reset=earliest'),
    ('client-metrics-alter', '', 0, r'Altered client metrics config', 'ClientMetricsCommand', BS + ' --alter --name jtm --metrics org.apache.kafka.producer. --interval 30000'),
    ('client-metrics-describe', '', 0, r'interval.ms=30000.*metrics=org.apache.kafka.producer', 'ClientMetricsCommand', BS + ' --describe --name jtm'),
    ('client-metrics-list', '', 0, r'jtm', 'ClientMetricsCommand', BS + ' --list'),
    ('client-metrics-delete', '', 0, r'Deleted client metrics config', 'ClientMetricsCommand', BS + ' --delete --name jtm'),
    # produce, consume
    ('console-producer', '', 0, r'', 'ConsoleProducer', BS + ' --topic {A}' + KEYED, INPUT),
] + [
    ('console-producer-' + codec, '', 0, r'', 'ConsoleProducer', BS + ' --topic {C} --compression-codec ' + codec + KEYED, INPUT)
    for codec in ('gzip', 'snappy', 'lz4', 'zstd')
] + [
    ('console-consumer', 'group', 0, r'Processed a total of 100 messages', CONSUMER, BS + ' --topic {A} --from-beginning --max-messages 100 --timeout-ms 20000 --group cg-{S}' + PRINTED),
    ('console-consumer-new', 'consumer group', 0, r'Processed a total of 100 messages', CONSUMER,
     BS + ' --topic {A} --from-beginning --max-messages 100 --timeout-ms 20000 --group cgn-{S} --command-property group.protocol=consumer'),
    ('console-consumer-codecs', 'group', 0, r'Processed a total of 400 messages', CONSUMER, BS + ' --topic {C} --from-beginning --max-messages 400 --timeout-ms 20000'),
    ('console-consumer-partition', '', 0, r'v100.*Processed a total of 2 messages', CONSUMER, BS + ' --topic {C} --partition 0 --offset 398 --max-messages 2 --timeout-ms 20000'),
    ('producer-perf', '', 0, r'20000 records sent, .* 99.9th', 'ProducerPerformance', '--topic {X} --num-records 20000 --record-size 100 --throughput -1 ' + BS),
    ('producer-perf-txn', 'transactions', 0, r'5000 records sent', 'ProducerPerformance', '--topic {X} --num-records 5000 --record-size 100 --throughput -1 ' + BS + ' --transactional-id pp-{S} --transaction-duration-ms 100'),
    ('consumer-perf', 'group', 0, r'MB.sec.*, 2[0-9]{4}, ', 'ConsumerPerformance', BS + ' --topic {X} --num-records 20000'),
    ('share-consumer-perf', 'share', 0, r'MB.sec.*, 2[0-9]{4}, ', 'ShareConsumerPerformance', BS + ' --topic {X} --num-records 20000 --group psg-{S}'),
    ('end-to-end-latency', 'group', 0, r'Avg latency: .* ms.*Percentiles: 50th', 'EndToEndLatency', BS + ' --topic {Z} --num-records 200 --producer-acks all --record-size 100'),
    ('verifiable-producer', '', 0, r'"acked":500', 'VerifiableProducer', BS + ' --topic {Y} --max-messages 500 --throughput -1', ALONE),
    ('verifiable-consumer', 'group', 0, r'"name":"offsets_committed".*"success":true', 'VerifiableConsumer', BS + ' --topic {Y} --group-id vcg-{S} --max-messages 500 --reset-policy earliest --group-protocol classic', ALONE),
    ('verifiable-consumer-new', 'consumer group', 0, r'"name":"offsets_committed".*"success":true', 'VerifiableConsumer',
     BS + ' --topic {Y} --group-id vcgn-{S} --max-messages 500 --reset-policy earliest --group-protocol consumer', ALONE),
    ('verifiable-share-consumer', 'share', 0, r'"name":"offsets_acknowledged".*"success":true', 'VerifiableShareConsumer', BS + ' --topic {Y} --group-id vsg-{S} --max-messages 500 --acknowledgement-mode sync'),
    ('txn-copier', 'transactions', 0, r'"remaining":0', 'TransactionalMessageCopier',
     '--broker-list {bs} --input-topic {Y} --input-partition 0 --output-topic {Z} --transactional-id tmc-{S} --consumer-group tmcg-{S} --transaction-size 50 --enable-random-aborts --use-group-metadata'),
    ('log-compaction-tester', 'compaction', 0, r'Data verification is completed', 'LogCompactionTester', BS + ' --messages 2000 --duplicates 5 --percent-deletes 20 --sleep 5 --compression-type zstd'),
    ('client-compat', 'group', 0, r'All tests passed|SUCCESS', 'ClientCompatibilityTest',
     BS + ' --topic {W} --offsets-for-times-supported true --cluster-id-supported true --expect-record-too-large-exception false --num-cluster-nodes 1'
     ' --create-topics-supported true --describe-acls-supported true --describe-configs-supported true --idempotent-producer-supported true'),
    # offsets
    ('get-offsets', '', 0, r'{A}:0:[0-9]+.*{A}:3:[0-9]+', 'GetOffsetShell', BS + ' --topic {A}'),
    ('get-offsets-earliest', '', 0, r'{C}:0:0', 'GetOffsetShell', BS + ' --topic-partitions {C}:0 --time earliest'),
    ('get-offsets-max-timestamp', '', 0, r'{C}:0:[0-9]+', 'GetOffsetShell', BS + ' --topic-partitions {C}:0 --time max-timestamp'),
    ('get-offsets-local', '', 0, r'{C}:0:', 'GetOffsetShell', BS + ' --topic-partitions {C}:0 --time earliest-local'),
    ('delete-records', '', 0, r'partition: {X}-0.*low_watermark: 1000', 'DeleteRecordsCommand', BS + ' --offset-json-file {dir}/delete.json'),
    # groups
    ('groups-list', 'group', 0, r'cg-{S} +Classic +consumer', 'GroupsCommand', BS + ' --list'),
    ('cg-list', 'group', 0, r'cg-{S}', GROUP, BS + ' --list'),
    ('cg-describe', 'group', 0, r'cg-{S} +{A} +[0-9]+ +[0-9]+ +[0-9]+ +0', GROUP, BS + ' --describe --group cg-{S}'),
    ('cg-describe-state', 'group', 0, r'COORDINATOR.*Empty', GROUP, BS + ' --describe --group cg-{S} --state'),
    ('cg-describe-state-new', 'consumer group', 0, r'COORDINATOR.*Empty', GROUP, BS + ' --describe --group cgn-{S} --state'),
    ('cg-reset', 'group', 0, r'{A} +[0-9]+ +0', GROUP, BS + ' --group cg-{S} --reset-offsets --topic {A} --to-earliest --execute'),
    ('cg-reset-shift', 'group', 0, r'{A}', GROUP, BS + ' --group cg-{S} --reset-offsets --topic {A}:0 --to-datetime 2020-01-01T00:00:00.000 --dry-run'),
    ('cg-delete-offsets', 'group', 0, r'Request succeeded for deleting offsets from group cg-{S}.*Successful', GROUP, BS + ' --group cg-{S} --delete-offsets --topic {A}'),
    ('cg-delete', 'consumer group', 0, r'Deletion of requested consumer groups .* was successful', GROUP, BS + ' --delete --group cgn-{S}'),
    ('cg-describe-missing', 'group', 0, r'GroupIdNotFoundException: Group nosuch-{S} not found', GROUP, BS + ' --describe --group nosuch-{S}'),
    ('sg-list', 'share', 0, r'sg-{S}', 'consumer.group.ShareGroupCommand', BS + ' --list'),
    ('streams-groups-list', 'streams', 0, r'', 'streams.StreamsGroupCommand', BS + ' --list'),
    ('streams-resetter', 'group', 0, r'Reset-offsets for input topics|Done', 'StreamsResetter', BS + ' --application-id cg-{S} --input-topics {A} --dry-run'),
    # transactions
    ('txn-list', 'transactions', 0, r'TransactionalId.*pp-{S}.*CompleteCommit', 'TransactionsCommand', BS + ' list'),
    ('txn-describe', 'transactions', 0, r'pp-{S}.*CompleteCommit', 'TransactionsCommand', BS + ' describe --transactional-id pp-{S}'),
    ('txn-producers', '', 0, r'ProducerId.*ProducerEpoch.*LastSequence', 'TransactionsCommand', BS + ' describe-producers --topic {X} --partition 0'),
    ('txn-find-hanging', 'transactions', 0, r'', 'TransactionsCommand', BS + ' find-hanging --topic {X} --partition 0'),
    # internal topics read with the formatters
    ('fmt-offsets', 'group', 0, r'"type":1,"data":."group"', CONSUMER, BS + ' --topic __consumer_offsets --from-beginning --max-messages 100 --timeout-ms 5000 --formatter org.apache.kafka.tools.consumer.OffsetsMessageFormatter'),
    ('fmt-group-metadata', 'group', 0, r'generation|protocol', CONSUMER, BS + ' --topic __consumer_offsets --from-beginning --timeout-ms 5000 --formatter org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter'),
    ('fmt-txn', 'transactions', 0, r'transactionalId.*pp-{S}', CONSUMER, BS + ' --topic __transaction_state --from-beginning --timeout-ms 5000 --formatter org.apache.kafka.tools.consumer.TransactionLogMessageFormatter'),
    # acls
    ('acl-list', '', 1, r'SecurityDisabledException: No Authorizer is configured', 'AclCommand', BS + ' --list --topic {A}'),
    # replicas, log dirs
    ('logdirs', '', 0, r'"logDir".*"partition"|"partition".*"logDir"', 'LogDirsCommand', BS + ' --describe --topic-list {A}'),
    ('elect-leaders', '', 0, r'Valid replica already elected|Successfully completed leader election', 'LeaderElectionCommand', BS + ' --election-type preferred --topic {A} --partition 0'),
    ('elect-leaders-all', '', 0, r'', 'LeaderElectionCommand', BS + ' --election-type preferred --all-topic-partitions'),
    ('reassign-generate', '', 0, r'Proposed partition reassignment configuration', 'reassign.ReassignPartitionsCommand', BS + ' --topics-to-move-json-file {dir}/topics.json --broker-list 1 --generate'),
    ('reassign-execute', '', 0, r'Successfully started partition reassignment', 'reassign.ReassignPartitionsCommand', BS + ' --reassignment-json-file {dir}/reassign.json --execute'),
    ('reassign-verify', '', 0, r'is completed', 'reassign.ReassignPartitionsCommand', BS + ' --reassignment-json-file {dir}/reassign.json --verify'),
    ('reassign-list', '', 0, r'No partition reassignments found', 'reassign.ReassignPartitionsCommand', BS + ' --list'),
    ('replica-verification', '', 124, r'verification process is started.*max lag is 0', 'ReplicaVerificationTool', '--broker-list {bs} --topics-include {A} --time -2 --report-interval-ms 1000', {'seconds': 12, 'alone': True}),
    # the data directory
    ('dump-log', '', 0, r'baseOffset: 0 .*isvalid: true.*compresscodec: zstd', DUMP, '--files {data}/{C}-0/00000000000000000000.log --print-data-log'),
    ('dump-metadata', '', 0, r'TOPIC_RECORD.*PARTITION_RECORD', DUMP, '--cluster-metadata-decoder --skip-record-metadata --files {data}/__cluster_metadata-0/00000000000000000000.log'),
    ('dump-checkpoint', '', 0, r'SnapshotHeader', DUMP, '--cluster-metadata-decoder --files {data}/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint'),
    ('storage-info', '', 0, r'Found log director.*Found metadata', 'kafka.tools.StorageTool', 'info -c {dir}/broker-0/server.properties'),
    ('storage-versions', '', 0, r'metadata.version', 'kafka.tools.StorageTool', 'version-mapping --release-version 4.3-IV0'),
    # end
    ('topic-delete', '', 0, r'', TOPIC, BS + ' --delete --topic {A}'),
    ('topic-deleted', '', 1, r'does not exist', TOPIC, BS + ' --describe --topic {A}'),
]
