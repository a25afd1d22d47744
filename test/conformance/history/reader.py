"""Reads `out` with read_committed and says what it sees: reader.py BOOTSTRAP CLIENT HISTORY follow|once. `follow`: for ever. `once`: to the end,
then the committed offsets of the groups named behind."""
import json
import sys
import time

from confluent_kafka import Consumer, TopicPartition

BOOTSTRAP, CLIENT, HISTORY, MODE, GROUPS = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]
PARTITIONS = 3
log = open(HISTORY, 'w', buffering=1, encoding='utf-8')


def tell(op, **fields):
    log.write(json.dumps(dict(fields, t=time.time_ns(), client=CLIENT, op=op)) + '\n')


def main():
    consumer = Consumer({'bootstrap.servers': BOOTSTRAP, 'group.id': 'reader', 'enable.auto.commit': False,
                         'isolation.level': 'read_committed', 'auto.offset.reset': 'error', 'enable.partition.eof': False})
    left = set(range(PARTITIONS))
    ends = {}
    if MODE == 'once':
        for p in left:
            ends[p] = consumer.get_watermark_offsets(TopicPartition('out', p), 30)[1]
    for p in range(PARTITIONS):
        tell('assign', topic='out', partition=p, offset=0)
    consumer.assign([TopicPartition('out', p, 0) for p in range(PARTITIONS)])
    limit = time.time() + 60
    while left and (MODE == 'follow' or time.time() < limit):
        for m in consumer.consume(500, 0.2):
            if m.error() is None:
                tell('read', topic='out', partition=m.partition(), offset=m.offset(), value=m.value().decode())
        if MODE == 'once':
            for position in consumer.position([TopicPartition('out', p) for p in left]):
                if position.offset >= ends[position.partition]:
                    tell('end', topic='out', partition=position.partition, offset=position.offset)
                    left.discard(position.partition)
    for name in GROUPS:
        asker = Consumer({'bootstrap.servers': BOOTSTRAP, 'group.id': 'g-' + name})
        offset = asker.committed([TopicPartition('in-' + name, 0)], 30)[0].offset
        tell('committed', group='g-' + name, topic='in-' + name, partition=0, offset=offset)
        asker.close()
    # A last stable offset that does not come to the end is stuck.
    sys.exit(4 if left else 0)


main()
