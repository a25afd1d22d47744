"""Runs the conformance lanes and prints one table. See ../README.md."""
import argparse
import concurrent.futures
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, HERE)

import broker as brokers  # noqa: E402
import report  # noqa: E402
import wire  # noqa: E402

# The order is that of the cost: what is quick and says most comes first.
LANES = ['corner', 'configs', 'admin', 'consumer-groups', 'codec', 'versions', 'differential', 'badinput', 'kcat', 'librdkafka',
         'librdkafka-tests', 'python', 'node', 'go', 'kgo',
         'sarama', 'kafka-go', 'java',
         'java-tools', 'kill', 'history', 'streams', 'golden', 'exchange']


class CannotRun(Exception):
    """The lane cannot run here; the text is the reason."""


class NotGiven(CannotRun):
    """The lane wants something that only a person can give it: not having it fails nobody."""


class Failed(Exception):
    """One check failed; the text says what was seen."""


class Lane:
    """What a lane gets: brokers, a scratch directory, and the place where checks are counted."""

    def __init__(self, name, options, scratch):
        self.name, self.options, self.tmp = name, options, scratch
        self.dir = os.path.join(ROOT, name)
        self.cache, self.long, self.kind = brokers.CACHE, options.long, options.broker
        self.checks, self.brokers, self.reason, self.notes = [], [], None, []
        self.given = True  # what only a person can give is there
        self.libs, self.java, self.repo = brokers.libs, brokers.java, brokers.REPO

    # ---- checks

    def note(self, state, name, text=''):
        self.checks.append((state, name, text))
        if state != 'passed' or self.options.verbose:
            print('  %-7s %s%s' % (state, name, ': ' + text if text else ''), flush=True)

    def wanted(self, name):
        return not self.options.only or re.search(self.options.only, name)

    def check(self, name, ok, text=''):
        if self.wanted(name):
            self.note('passed' if ok else 'failed', name, '' if ok else str(text)[:600])
        return ok

    def skip(self, name, reason):
        if self.wanted(name):
            self.note('skipped', name, reason)

    def attempt(self, name, function, *args):
        """Runs one named check; an exception is a failure with its text."""
        if not self.wanted(name):
            return None
        try:
            result = function(*args)
        except Failed as e:
            self.note('failed', name, str(e)[:600])
        except CannotRun as e:
            self.note('skipped', name, str(e))
        except Exception as e:  # noqa: BLE001 - whatever a check raises is its verdict
            where = traceback.extract_tb(e.__traceback__)[-1]
            self.note('failed', name, '%s: %s (%s:%d)' % (
                type(e).__name__, str(e)[:500], os.path.basename(where.filename), where.lineno))
        else:
            self.note('passed', name)
            return result
        return None

    # ---- brokers and programs

    def broker(self, props=None, kind=None, name=None, start=True, node_id=1):
        kind = kind or self.kind
        if kind == 'taccola':
            if not os.access(brokers.TACCOLA, os.X_OK):
                raise CannotRun('no taccola binary (set TACCOLA or run make build)')
        else:
            self.need_apache('4.4.0' if kind == 'apache-4.4.0' else '4.3.1')
        merged = dict(self.options.set)
        merged.update(props or {})
        where = os.path.join(self.tmp, name or 'broker-%d' % len(self.brokers))
        b = brokers.Broker(kind, where, merged, node_id)
        self.brokers.append(b)
        if start:
            b.start()
        return b

    def stop(self, b):
        """Ends a broker that the lane is done with; a bad end is a failed check."""
        try:
            code = b.stop()
        except brokers.BrokerError as e:
            self.check('clean-stop', False, e)
        else:
            # Java ends with 143 on SIGTERM even when its shutdown was in order.
            self.check('clean-stop', code in (0, 143, -15 if b.kind != 'taccola' else 0),
                       'exit %s: %s' % (code, b.log_tail(300)))

    def need_apache(self, version='4.3.1'):
        self.install('java')
        if not os.path.exists(os.path.join(brokers.libs(version), 'kafka_2.13-%s.jar' % version)):
            raise CannotRun('the jars of Apache Kafka %s are not installed' % version)

    def need(self, *programs):
        for p in programs:
            if not shutil.which(p):
                raise CannotRun('no ' + p)

    def install(self, part):
        """Runs the install step of one part; it is quick when there is nothing to do."""
        if self.options.no_install:
            return
        script = os.path.join(brokers.REPO, 'tools', 'install-clients.sh')
        done = subprocess.run([script, part], capture_output=True, text=True,
                              timeout=self.options.install_timeout)
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ['']
            raise CannotRun('install-clients.sh %s: %s' % (part, last[0][:200]))

    def run(self, command, timeout=120, stdin=None, env=None, cwd=None):
        """A program to its end: answers (exit code, stdout and stderr together)."""
        merged = dict(os.environ, **(env or {}))
        try:
            done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=timeout, env=merged,
                                  cwd=cwd or self.tmp, stdin=None if stdin else subprocess.DEVNULL)
        except subprocess.TimeoutExpired as e:
            return 124, (e.stdout or b'').decode(errors='replace')
        return done.returncode, done.stdout.decode(errors='replace')

    def program(self, title, command, timeout=180, env=None, cwd=None, tries=1):
        """A test program that prints 'PASS name', 'FAIL name: why' or 'SKIP name: why' lines.

        A program that ends badly, or says nothing, is one more failed check. With more than one try a program with a
        failure is run again as a whole before that counts, and it is said."""
        code, text = self.run(command, timeout, env=env, cwd=cwd)
        failures = re.findall(r'^FAIL (.*)$', text, re.M)
        while tries > 1 and (code != 0 or failures):
            why = '%s is run again after: %s' % (title, '; '.join(failures)[:300] or 'exit %d' % code)
            print('  ' + why, flush=True)
            self.notes.append(why)
            tries -= 1
            code, text = self.run(command, timeout, env=env, cwd=cwd)
            failures = re.findall(r'^FAIL (.*)$', text, re.M)
        seen = 0
        for line in text.splitlines():
            m = re.match(r'(PASS|FAIL|SKIP) ([^:]+)(?:: (.*))?$', line)
            if m:
                seen += 1
                state = {'PASS': 'passed', 'FAIL': 'failed', 'SKIP': 'skipped'}[m[1]]
                self.note(state, title + '/' + m[2].strip(), (m[3] or '')[:600])
        with open(os.path.join(self.tmp, re.sub(r'\W+', '-', title) + '.out'), 'w',
                  encoding='utf-8') as f:
            f.write(text)
        if code == 124:
            self.note('failed', title, 'no end after %d s: %s' % (timeout, text[-300:]))
        elif code not in (0, 1) or not seen:
            self.note('failed', title, 'exit %d: %s' % (code, text[-500:]))

    def programs(self, *calls):
        """Several test programs at once: each is (title, command, ...) as for program()."""
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            list(pool.map(lambda call: self.program(*call), calls))

    def count(self, state):
        return sum(1 for c in self.checks if c[0] == state)

    def clean(self):
        for b in self.brokers:
            b.kill()


def load(name):
    # Two lanes may have a module of the same name: each lane imports its own.
    for module, loaded in list(sys.modules.items()):
        where = os.path.dirname(getattr(loaded, '__file__', None) or '')
        if os.path.dirname(where) == ROOT and where != HERE:
            del sys.modules[module]
    path = os.path.join(ROOT, name, 'lane.py')
    spec = importlib.util.spec_from_file_location('lane_' + name.replace('-', '_'), path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(path))
    spec.loader.exec_module(module)
    return module


def run_lane(name, options, scratch):
    lane = Lane(name, options, os.path.join(scratch, name))
    os.makedirs(lane.tmp)
    print('%s' % name, flush=True)
    begin = time.time()
    try:
        load(name).run(lane)
    except CannotRun as e:
        lane.reason, lane.given = str(e), not isinstance(e, NotGiven)
    except (brokers.BrokerError, OSError, wire.WireError, wire.Closed,
            subprocess.TimeoutExpired) as e:
        lane.note('failed', 'lane', '%s: %s' % (type(e).__name__, str(e)[:800]))
    except Exception:  # noqa: BLE001 - a lane's own bug must not hide the other lanes
        lane.note('failed', 'lane', traceback.format_exc()[-1500:])
    finally:
        lane.clean()
    lane.seconds = time.time() - begin
    return lane


def set_option(text):
    key, _, value = text.partition('=')
    if not value:
        raise argparse.ArgumentTypeError('want key=value')
    return key, value


def parse(argv):
    p = argparse.ArgumentParser(prog='test/conformance/run', description=__doc__)
    p.add_argument('lanes', nargs='*', metavar='lane', help='default: all; ' + ' '.join(LANES))
    length = p.add_mutually_exclusive_group()
    length.add_argument('--short', dest='long', action='store_false', help='the form for CI (default)')
    length.add_argument('--long', dest='long', action='store_true')
    p.set_defaults(long=False)
    p.add_argument('--broker', choices=['taccola', 'apache', 'apache-4.4.0'], default='taccola')
    p.add_argument('--only', metavar='REGEX', help='only checks with such a name')
    p.add_argument('--require', metavar='LANES', default='',
                   help='comma separated (or "all"): these fail when they cannot run')
    p.add_argument('--set', metavar='KEY=VALUE', type=set_option, action='append', default=[],
                   help='one more property of every broker')
    p.add_argument('--json', metavar='FILE', help='write the results there')
    p.add_argument('--write', metavar='FILE', help='write the dated tables there (Markdown): FILE and a page per lane beside it')
    p.add_argument('--record', action='store_true', help='keep the results as those of Apache Kafka (results/apache.json)')
    p.add_argument('--keep', metavar='DIR', help='work in DIR and leave it')
    p.add_argument('--no-install', action='store_true', help='never install anything')
    p.add_argument('--install-timeout', type=int, default=900, metavar='SECONDS')
    p.add_argument('-v', '--verbose', action='store_true', help='print passed checks too')
    options = p.parse_args(argv)
    if options.record and options.broker == 'taccola':
        p.error('--record is for results of Apache Kafka')
    for name in options.lanes:
        if name not in LANES:
            p.error('no lane %s; there are: %s' % (name, ' '.join(LANES)))
    options.lanes = options.lanes or [n for n in LANES
                                      if os.path.exists(os.path.join(ROOT, n, 'lane.py'))]
    return options


def table(lanes):
    print('\n%-12s %7s %7s %8s %8s  %s' % ('lane', 'passed', 'failed', 'not run', 'seconds', ''))
    for l in lanes:
        print('%-12s %7d %7d %8d %8.1f  %s' % (
            l.name, l.count('passed'), l.count('failed'), l.count('skipped'), l.seconds,
            'did not run: ' + l.reason if l.reason else ''))
    failed = [(l.name, c) for l in lanes for c in l.checks if c[0] == 'failed']
    if failed:
        print('\nfailed:')
        for name, (_, check, text) in failed:
            print('  %s %s: %s' % (name, check, text.replace('\n', ' | ')[:300]))


def main(argv):
    options = parse(argv)
    if options.keep:
        scratch = os.path.abspath(options.keep)
        os.makedirs(scratch, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix='run-', dir=scratch)
    else:
        scratch = tempfile.mkdtemp(prefix='taccola-conformance-')
    required = options.lanes if options.require == 'all' else [
        n for n in options.require.split(',') if n]
    lanes = [run_lane(n, options, scratch) for n in options.lanes]
    for l in lanes:
        if l.reason and l.given and l.name in required:
            l.note('failed', 'lane', 'required, but did not run: ' + l.reason)
    for name in required:
        if name not in options.lanes:
            lanes.append(absent(name, options))
    table(lanes)
    passed, failed, skipped = (sum(l.count(s) for l in lanes)
                               for s in ('passed', 'failed', 'skipped'))
    skipped += sum(1 for l in lanes if l.reason and l.given and not l.checks)
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as f:
            json.dump({'broker': options.broker, 'form': 'long' if options.long else 'short',
                       'passed': passed, 'failed': failed, 'skipped': skipped,
                       'lanes': [{'lane': l.name, 'seconds': round(l.seconds, 1),
                                  'did_not_run': l.reason,
                                  'checks': [{'state': s, 'name': n, 'text': t}
                                             for s, n, t in l.checks]} for l in lanes]}, f, indent=1)
    if options.write:
        report.write(lanes, options)
    if options.record:
        report.record(lanes, options)
    if not options.keep:
        shutil.rmtree(scratch, ignore_errors=True)
    print('%d passed, %d failed, %d skipped' % (passed, failed, skipped))
    return 1 if failed else 0


def absent(name, options):
    lane = Lane(name, options, None)
    lane.seconds = 0.0
    lane.note('failed', 'lane', 'required, but not among the lanes of this run')
    return lane


if __name__ == '__main__':
    # Lanes do "import main"; they must get this module, not a second copy of its exceptions.
    sys.modules['main'] = sys.modules['__main__']
    sys.exit(main(sys.argv[1:]))
