"""Test programs of Go (go test -c): each test is a check, by the features that it needs."""
import os
import re

# A feature is there when this API is advertised.
APIS = {'': 18, 'group': 11, 'consumer group': 68, 'share': 78, 'transactions': 26}


def advertised(broker):
    with broker.conn() as c:
        body = c.call('api_versions', 3, {'client_software_name': 'lane', 'client_software_version': '1'})
    return {row['api_key'] for row in body['api_keys']}


def choose(lane, broker, tests):
    """tests: {feature: 'names'}. Names those that the broker can take; the others are skipped by name."""
    keys, wanted = advertised(broker), []
    for feature, names in tests.items():
        for name in ('Test' + n for n in names.split()):
            if APIS[feature] not in keys:
                lane.skip(name, 'a feature of a later stage: ' + feature)
            elif lane.wanted(name):
                wanted.append(name)
    return wanted


def said(text, name):
    """What the test printed, as far as it is told apart from the others."""
    lines = re.findall(r'^\s+\w+_test\.go:\d+: .*$', text.partition('--- FAIL: ' + name)[2][:3000], re.M)
    return ' | '.join(line.strip() for line in lines[:3])


def run(lane, program, wanted, env, cwd=None, seconds=600, parallel=4, parts_left_out=''):
    """Runs the tests; one that skips itself is a failure, for it would pass without doing anything."""
    code, text = lane.run([program, '-test.v', '-test.timeout', '%ds' % seconds, '-test.parallel', str(parallel),
                           '-test.run', '^(%s)$' % '|'.join(wanted)]
                          + (['-test.skip', parts_left_out] if parts_left_out else []), seconds + 20, env=env, cwd=cwd)
    with open(os.path.join(lane.tmp, 'go-test.out'), 'w', encoding='utf-8') as f:
        f.write(text)
    ends = {name: end for end, name in re.findall(r'^--- (PASS|FAIL|SKIP): (\w+) ', text, re.M)}
    for name in wanted:
        lane.check(name, ends.get(name) == 'PASS', '%s (exit %d): %s' % (ends.get(name, 'did not end'), code, said(text, name)))
