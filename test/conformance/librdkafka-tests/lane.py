"""librdkafka's own tests (2.15), from a built checkout: LIBRDKAFKA=<folder>; tests.txt says which. Built there with
`./configure --disable-curl && make && make -C tests build` (with rapidjson's headers: four more tests do something)."""
import os
import stat

import suite
from broker import CACHE
from main import CannotRun, NotGiven

TOOLS = {'kafka-topics.sh': 'org.apache.kafka.tools.TopicCommand', 'kafka-acls.sh': 'org.apache.kafka.tools.AclCommand',
         'kafka-configs.sh': 'kafka.admin.ConfigCommand', 'kafka-run-class.sh': ''}
PROTOCOLS = ('classic', 'consumer')


def checkout():
    where = os.environ.get('LIBRDKAFKA')
    if not where:
        raise NotGiven('no checkout of librdkafka is given (LIBRDKAFKA=)')
    tests = os.path.join(os.path.abspath(where), 'tests')
    if not os.access(os.path.join(tests, 'test-runner'), os.X_OK):
        raise CannotRun('librdkafka is not built in ' + where)
    return tests


def kafka_tools(lane):
    """The scripts of Apache Kafka that some tests call: they start its classes."""
    where = os.path.join(lane.tmp, 'kafka')
    os.makedirs(os.path.join(where, 'bin'))
    for name, main in TOOLS.items():
        path = os.path.join(where, 'bin', name)
        with open(path, 'w', encoding='utf-8') as f:
            f.write('#!/bin/sh\nexec java -Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "%s/libs-4.3.1/*" %s "$@"\n' % (CACHE, main))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return where


def exceptions(lane):
    """{name: reason}: failures that are not the broker's. A passing one is reported, so that the list shrinks."""
    with open(os.path.join(lane.dir, 'exceptions.txt'), encoding='utf-8') as f:
        rows = [line.rstrip().split(None, 1) for line in f if line.strip() and line[0] != '#']
    return dict(rows)


def choose(lane):
    with open(os.path.join(lane.dir, 'tests.txt'), encoding='utf-8') as f:
        rows = [line.split(None, 6) for line in f if line.strip() and line[0] != '#']
    for protocol in PROTOCOLS:
        for number, form, seconds, subtests, scenario, subtest, feature in rows:
            name = '/'.join([protocol, number] + [x for x in (scenario.replace('default', '-'), subtest) if x != '-'])
            if not lane.wanted(name):
                continue
            if feature.strip() != '-':
                lane.skip(name, 'a feature of a later stage: ' + feature.strip())
            elif lane.long or form != 'long':
                yield {'name': name, 'number': number, 'protocol': protocol, 'scenario': scenario, 'subtest': subtest if subtest != '-' else '',
                       'quick': not lane.long and form == 'quick', 'limit': 120 + 4 * int(seconds),
                       'subtests': int(subtests) if protocol == 'classic' and (lane.long or form == 'full') else 0}


def run(lane):
    tests = checkout()
    lane.need('gcc')
    lane.need_apache()  # kafka-topics.sh
    clamp = os.path.join(lane.tmp, 'one-broker.so')
    code, text = lane.run(['gcc', '-O1', '-shared', '-fPIC', '-o', clamp, os.path.join(lane.dir, 'one-broker.c'), '-ldl'])
    if code:
        raise CannotRun('one-broker.c does not build: ' + text[-300:])
    known = exceptions(lane)
    # 0113 counts on a rebalance that gathers its members.
    b = lane.broker({'num.partitions': 4, 'auto.create.topics.enable': 'true', 'group.initial.rebalance.delay.ms': 3000})
    runner = suite.Suite(tests, b.bootstrap, os.path.join(lane.tmp, 'logs'), clamp, kafka_tools(lane))
    again = []

    def done(test, verdict, text, _subtests, _seconds):
        if verdict == 'failed' and not again_now:
            again.append(test)
        elif verdict == 'skipped':
            lane.skip(test['name'], text)
        elif verdict == 'failed' and test['name'] in known:
            lane.skip(test['name'], 'exception: ' + known[test['name']])
        else:
            lane.note(verdict, test['name'], text)

    again_now = False
    runner.run(list(choose(lane)), int(os.environ.get('JOBS', '4')), done)
    again_now = True  # a failure counts when it fails alone too
    runner.run(list(again), 1, done)
    lane.stop(b)
