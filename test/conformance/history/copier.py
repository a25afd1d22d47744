"""One copier on librdkafka (TV1), as a process that may be killed at any time:
copier.py BOOTSTRAP NAME COUNT PACE-MS HISTORY. Copies the COUNT records of in-NAME to `out`, exactly once. History: tools/check_history.py."""
import json
import os
import random
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

BOOTSTRAP, NAME, COUNT, PACE, HISTORY = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
SOURCE, BATCH, PARTITIONS = 'in-' + NAME, 10, 3
log = open(HISTORY, 'w', buffering=1, encoding='utf-8')


def tell(op, **fields):
    log.write(json.dumps(dict(fields, t=time.time_ns(), client=NAME, op=op)) + '\n')


def copy(producer, consumer, messages, txn):
    producer.begin_transaction()
    for m in messages:
        value = txn + '/' + m.value().decode()

        def delivered(error, r, value=value):
            if error is None:
                tell('ack', value=value, offset=r.offset())
        tell('send', txn=txn, topic='out', partition=m.offset() % PARTITIONS, value=value, source=m.value().decode())
        producer.produce('out', value, partition=m.offset() % PARTITIONS, on_delivery=delivered)
    following = messages[-1].offset() + 1
    tell('offsets', txn=txn, group='g-' + NAME, topic=SOURCE, partition=0, offset=following)
    producer.send_offsets_to_transaction([TopicPartition(SOURCE, 0, following)], consumer.consumer_group_metadata(), 20)
    if random.random() < 0.1:
        abort(producer, txn)
        return False
    tell('commit', txn=txn, result='asked')
    producer.commit_transaction(20)
    tell('commit', txn=txn, result='ok')
    return True


def abort(producer, txn):
    tell('abort', txn=txn, result='asked')
    producer.abort_transaction(20)
    tell('abort', txn=txn, result='ok')


def main():
    producer = Producer({'bootstrap.servers': BOOTSTRAP, 'transactional.id': 'txn-' + NAME, 'transaction.timeout.ms': 10000})
    producer.init_transactions(60)
    consumer = Consumer({'bootstrap.servers': BOOTSTRAP, 'group.id': 'g-' + NAME, 'enable.auto.commit': False,
                         'isolation.level': 'read_committed', 'auto.offset.reset': 'earliest'})
    position, number = max(consumer.committed([TopicPartition(SOURCE, 0)], 60)[0].offset, 0), 0
    consumer.assign([TopicPartition(SOURCE, 0, position)])
    while position < COUNT:
        messages = [m for m in consumer.consume(BATCH, 0.5) if m.error() is None]
        if not messages:
            continue
        number += 1
        txn = '%s-%d-%d' % (NAME, os.getpid(), number)
        try:
            done = copy(producer, consumer, messages, txn)
        except KafkaException as e:
            if not e.args[0].txn_requires_abort():
                raise  # fenced, or not known: the next life finds out
            abort(producer, txn)
            done = False
        if done:
            position = messages[-1].offset() + 1
        else:
            consumer.seek(TopicPartition(SOURCE, 0, position))
        time.sleep(random.random() * 2 * PACE / 1000)


main()
