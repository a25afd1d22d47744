"""Of a failing sequence the few steps that still fail, and how a person sees them."""
import json
import time

VARIES = '(varies)'  # Apache Kafka does not answer the same twice


def same_part(one, two):
    """Apache's answer with VARIES where a second run differed."""
    if one == two:
        return one
    if isinstance(one, dict) and isinstance(two, dict) and set(one) == set(two):
        return {k: same_part(one[k], two[k]) for k in one}
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [same_part(a, b) for a, b in zip(one, two)]
    return VARIES


def walk(path, got, want):
    """Every place where two answers differ: (path, ours, Apache's)."""
    if got == want or want == VARIES:
        return []
    if isinstance(got, dict) and isinstance(want, dict) and set(got) == set(want):
        return [d for k in want for d in walk('%s.%s' % (path, k), got[k], want[k])]
    if isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        return [d for i in range(len(want)) for d in walk('%s[%d]' % (path, i), got[i], want[i])]
    return [(path, got, want)]


def varies(difference, want, again):
    step = difference[0]
    return want[step] != again[step]


def signature(steps, difference):
    step, path, got, want = difference
    return steps[step]['api'], path.split('[')[0], json.dumps(got)[:60], json.dumps(want)[:60]


def least(ours, judge, steps, difference, rules, seconds=40):
    """Delta debugging: drops parts of the sequence as long as the same difference is seen."""
    want = signature(steps, difference)
    steps = steps[:difference[0] + 1]

    until = time.time() + seconds

    def fails(some):
        found = rules.differences(some, ours.play(some), judge.play(some))
        found = [d for d in found if signature(some, d) == want]
        return found
    best = [difference]
    size = max(1, len(steps) // 2)
    while time.time() < until:
        at, dropped = 0, False
        while at < len(steps) - 1 and time.time() < until:
            some = steps[:at] + steps[min(at + size, len(steps) - 1):]
            found = fails(some) if len(some) < len(steps) else None
            if found:
                steps, best, dropped = some[:found[0][0] + 1], found, True
            else:
                at += size
        if size == 1 and not dropped:
            break
        size = max(1, size // 2)
    return steps, best


def describe(steps, found, seed, live=False):
    step, path, got, want = found[0]
    s = steps[step]
    lines = ['step %d: %s v%d%s' % (step, s['api'], s['version'], path),
             'ours %s, Apache %s' % (json.dumps(got)[:400], json.dumps(want)[:400])]
    print('    seed %d, %d steps%s:' % (seed, len(steps), ' (least)' if live else ''))
    for i, row in enumerate(steps if live else steps[step:step + 1]):
        text = json.dumps({k: v for k, v in row.items() if k not in ('api', 'version')}, default=lambda b: b.hex())
        print('      %d %s v%d %s' % (i, row['api'], row['version'], text[:900 if live else 300]))
    for d in found[:5]:
        print('    step %d %s%s: ours %s' % (d[0], steps[d[0]]['api'], d[1], json.dumps(d[2])[:600]))
        print('    %s Apache %s' % (' ' * 12, json.dumps(d[3])[:600]))
    return '; '.join(lines)
