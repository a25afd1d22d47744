"""What a run leaves behind: docs/conformance.md with a page per lane, ours beside Apache Kafka's; and Apache's own results, kept as data.

`--broker apache --record` merges each lane's results into results/apache.json, with the date and the version; `--write
docs/conformance.md` prints ours beside them. A lane that judges by Apache's recorded answers (versions, differential, …) is Apache's by
its making.
"""
import json
import os
import re
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = os.path.join(os.path.dirname(HERE), 'results', 'apache.json')
NAMES = {'apache': 'Apache Kafka 4.3.1', 'apache-4.4.0': 'Apache Kafka 4.4.0'}
STATES = ('passed', 'failed', 'skipped')
LONG = 400  # a lane with more checks shows counts per first word, not every name
SHOWN = {'passed': 'passed', 'failed': '**failed**', 'skipped': 'not run'}


def load():
    if not os.path.exists(KEPT):
        return {}
    with open(KEPT, encoding='utf-8') as f:
        return json.load(f)


def record(lanes, options):
    """Merges the results of Apache Kafka into the kept ones."""
    kept = load()
    for l in lanes:
        if l.checks:
            kept[l.name] = {
                'broker': NAMES[options.broker], 'date': today(), 'form': 'long' if options.long else 'short',
                'passed': names_or_count({n for s, n, _ in l.checks if s == 'passed'}),
                'failed': {n: t[:200] for s, n, t in l.checks if s == 'failed'},
                'skipped': {n: t[:200] for s, n, t in l.checks if s == 'skipped'}}
    os.makedirs(os.path.dirname(KEPT), exist_ok=True)
    with open(KEPT, 'w', encoding='utf-8') as f:
        json.dump(kept, f, indent=0, sort_keys=True)
        f.write('\n')


def names_or_count(names):
    return len(names) if len(names) > LONG else sorted(names)


def today():
    return time.strftime('%Y-%m-%d', time.gmtime())


def cell(text):
    return text.replace('\n', ' ').replace('|', '/')[:160]


def count(kept, state):
    if not kept:
        return ''
    return kept[state] if isinstance(kept[state], int) else len(kept[state])


def apache_of(kept, name):
    """(state, text) of one check on Apache Kafka."""
    if kept is None:
        return None, ''
    for state in ('failed', 'skipped'):
        if name in kept[state]:
            return state, kept[state][name]
    return ('passed', '') if isinstance(kept['passed'], int) or name in kept['passed'] else (None, '')


def write(lanes, options):
    kept = load()
    folder = os.path.splitext(options.write)[0]
    os.makedirs(folder, exist_ok=True)
    for l in lanes:
        with open(os.path.join(folder, l.name + '.md'), 'w', encoding='utf-8') as f:
            f.write('\n'.join(page(l, kept.get(l.name))) + '\n')
    with open(options.write, 'w', encoding='utf-8') as f:
        f.write('\n'.join(summary(lanes, options, kept, os.path.basename(folder))) + '\n')


def summary(lanes, options, kept, folder):
    form = 'long' if options.long else 'short'
    out = ['# Real clients and Apache Kafka itself against the broker', '',
           'Written by `test/conformance/run --%s --write docs/conformance.md` on %s; Apache\'s numbers by the same lanes with' % (form, today()),
           '`--broker apache --record`, on the date beside them. Each lane links to its checks, one by one.', '',
           '| lane | passed | failed | not run | seconds | Apache: passed | failed | not run | which, when |',
           '|---|---:|---:|---:|---:|---:|---:|---:|---|']
    for l in lanes:
        theirs = kept.get(l.name)
        out.append('| [%s](%s/%s.md) | %d | %d | %d | %.0f | %s | %s | %s | %s |' % (
            l.name, folder, l.name, *(l.count(s) for s in STATES), l.seconds, *(count(theirs, s) for s in STATES),
            '%s, %s' % (theirs['broker'].split()[-1], theirs['date']) if theirs else
            'did not run: ' + cell(l.reason) if l.reason else ''))
    out += exceptions(lanes, kept)
    return out


def exceptions(lanes, kept):
    """What does not pass here: first what passes with Apache Kafka, then what does not pass there either."""
    rows, both = [], []
    for l in lanes:
        for state, name, text in l.checks:
            if state != 'passed':
                theirs = apache_of(kept.get(l.name), name)[0]
                row = '| %s | %s | %s | %s | %s |' % (l.name, cell(name), SHOWN[state], SHOWN.get(theirs, ''), cell(text))
                (both if theirs in ('failed', 'skipped') else rows).append(row)
    out = []
    for title, some in (('Exceptions: what does not pass, or did not run', rows), ('The same with Apache Kafka', both)):
        if some:
            out += ['', '## ' + title, '', '| lane | check | here | Apache | reason |', '|---|---|---|---|---|'] + some
    return out


def page(l, kept):
    out = ['# %s' % l.name, '', '%d passed, %d failed, %d not run.' % tuple(l.count(s) for s in STATES), '']
    if kept:
        out += ['%s on %s: %d passed, %d failed, %d not run.' % (kept['broker'], kept['date'], *(count(kept, s) for s in STATES)), '']
    if l.notes:
        out += l.notes + ['']
    if len(l.checks) > LONG:
        return out + grouped(l)
    out += ['| check | here | Apache | |', '|---|---|---|---|']
    seen = set()
    for state, name, text in l.checks:
        theirs, why = apache_of(kept, name)
        seen.add(name)
        out.append('| %s | %s | %s | %s |' % (cell(name), SHOWN[state], SHOWN.get(theirs, ''), cell(text or why)))
    for state in STATES:
        out += ['| %s | | %s | |' % (cell(n), SHOWN[state]) for n in (kept or {}).get(state, ()) if n not in seen]
    return out


def grouped(l):
    rows = {}
    for state, name, _ in l.checks:
        word = re.split(r'[ :/]', name)[0]
        rows.setdefault(word, dict.fromkeys(STATES, 0))[state] += 1
    return ['| checks of | passed | failed | not run |', '|---|---:|---:|---:|'] + [
        '| %s | %d | %d | %d |' % (word, *(n[s] for s in STATES)) for word, n in rows.items()]
