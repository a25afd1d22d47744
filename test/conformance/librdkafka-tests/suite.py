"""librdkafka's test program: one process per test, for one that fails aborts all of them; what it printed, understood."""
import os
import queue
import re
import signal
import subprocess
import threading
import time

CONF = '''bootstrap.servers=%s
test.timeout.multiplier=%d
test.topic.random=true
broker.address.family=v4
'''


class Suite:
    """tests: the folder tests/ of a built checkout. Answers arrive at `done(test, verdict, text, subtests)` in the caller's thread."""

    def __init__(self, tests, bootstrap, where, clamp, kafka, multiplier=2):
        self.tests, self.where = tests, where
        os.makedirs(where, exist_ok=True)
        self.conf = os.path.join(where, 'test.conf')
        with open(self.conf, 'w', encoding='utf-8') as f:
            f.write(CONF % (bootstrap, multiplier))
        top = os.path.dirname(tests)
        self.env = dict(os.environ, LD_LIBRARY_PATH='%s/src:%s/src-cpp' % (top, top), LD_PRELOAD=clamp, TEST_MODE='bare',
                        TEST_KAFKA_VERSION='4.3.1', BROKERS=bootstrap, RDKAFKA_TEST_CONF=self.conf, KAFKA_PATH=kafka)

    def one(self, test):
        """Runs one test to its end: (verdict, text, subtests passed)."""
        env = dict(self.env, TESTS=test['number'])
        if test['protocol'] == 'consumer':
            env['TEST_CONSUMER_GROUP_PROTOCOL'] = 'consumer'
        if test['subtest']:
            env['SUBTESTS'] = test['subtest']
        arguments = ['-p1', '-L'] + (['-Q'] if test['quick'] else []) + ['-s', test['scenario']]
        path = os.path.join(self.where, re.sub(r'\W', '-', test['name']) + '.log')
        with open(path, 'wb') as log:
            process = subprocess.Popen([os.path.join(self.tests, 'test-runner')] + arguments, cwd=self.tests, env=env, stdout=log,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                code = process.wait(test['limit'])
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = None
        with open(path, errors='replace', encoding='utf-8') as f:
            return verdict(code, re.sub(r'\x1b\[[0-9;]*m', '', f.read()), test)

    def run(self, tests, jobs, done):
        todo, answers = queue.Queue(), queue.Queue()
        for test in tests:
            todo.put(test)

        def work():
            while True:
                try:
                    test = todo.get_nowait()
                except queue.Empty:
                    return
                begin = time.time()
                answers.put((test, self.one(test), time.time() - begin))

        threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
        for t in threads:
            t.start()
        for _ in tests:
            test, answer, seconds = answers.get()
            done(test, *answer, seconds)


def verdict(code, text, test):
    rows = re.findall(r'^\|\s*(\S+)\s+\|\s+(\w+) \|\s+[\d.]+s\s*\|(.*)$', text, re.M)
    rows = [row for row in rows if row[0] != '<MAIN>']
    subtests = len(re.findall(r'\] \[ .*: PASS \(', text))
    if code is None:
        return 'failed', 'no end after %d s: %s' % (test['limit'], ' '.join(text[-300:].split())), subtests
    if code:
        why = re.findall(r'### Test "(?!<MAIN>)(.*?)(?=\n\[[<0]|\Z)', text, re.S) or [text[-300:]]
        return 'failed', 'exit %d: %s' % (code, ' '.join(why[0].split())[:500]), subtests
    if not any(state == 'PASSED' for _, state, _ in rows):
        return 'skipped', '; '.join(' '.join(why.split()) for _, state, why in rows if state == 'SKIPPED') or 'did not run', subtests
    if subtests < test['subtests']:
        return 'failed', 'only %d subtests of %d ran' % (subtests, test['subtests']), subtests
    return 'passed', '', subtests
