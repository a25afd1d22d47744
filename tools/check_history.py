#!/usr/bin/env python3
"""Checks what clients of a Kafka cluster did and saw against what transactions promise.

    tools/check_history.py FILE...        (- or nothing: standard input)

A history is JSON lines, one event each, from any number of clients; several files are merged. Fields that an event does not need are left out;
others are ignored. `t` (nanoseconds, any common clock) orders the events; without it the order of the lines does.

    {"t":1,"client":"c1","op":"send","txn":"c1-7","topic":"out","partition":0,"value":"v9","source":"v3"}
        A record is about to be sent. `value` names it and is unique in the history. `txn` names the transaction, also unique; without it the
        record stands for itself. `source` (optional): the value of the record that it was made from.
    {"op":"ack","value":"v9","offset":12}          it was acknowledged; {"op":"refused","value":"v9"}: it never will be written
    {"op":"offsets","txn":"c1-7","group":"g","topic":"in","partition":0,"offset":4}      the transaction commits this offset
    {"op":"commit","txn":"c1-7","result":"asked"}  the end is about to be asked for; then "ok", "failed" (for sure) or "unknown"
    {"op":"abort","txn":"c1-7","result":"asked"}   likewise; without any of these the transaction is undecided
    {"op":"assign","client":"r1","topic":"out","partition":0,"offset":0}   a reader (re)starts here
    {"op":"read","client":"r1","topic":"out","partition":0,"offset":12,"value":"v9","isolation":"read_committed","txn":"c2-1"}
        `isolation`: read_committed when left out. `txn` (optional): the transaction that the reader has open.
    {"op":"end","client":"r1","topic":"out","partition":0,"offset":20}     a reader has read everything below this offset, the last stable one
    {"op":"committed","group":"g","topic":"in","partition":0,"offset":4}   the group's committed offset, asked for at the end

What is found, by name:

    lost            acknowledged (in a committed transaction, or in none), and not there though a reader came past everything
    doubled         one value at two places, or two committed records made from one source in one topic
    torn            some records (or offsets) of a transaction are there, others are not
    aborted-read    read_committed showed a record of an aborted transaction, or one that was refused
    undecided-read  read_committed showed a record before the end of its transaction was asked for
    skipped         a reader passed a committed record without seeing it
    order           records of one client in one partition stand in another order than they were sent in
    changed         one offset held two values, or a record is not where it was acknowledged
    unsent          a record was read that nobody sent
    cycle           committed transactions read from each other in a circle (G1c); order between writes is not used: Kafka allows
                    G0 (transactions interleave), and so does this

Exit code: 0 when nothing is found, 1 otherwise, 2 when the history makes no sense."""
import collections
import json
import sys

COMMITTED, ABORTED, OPEN, UNKNOWN = 'committed', 'aborted', 'open', 'unknown'


class Transaction:
    def __init__(self):
        self.records, self.offsets, self.reads = [], [], set()
        self.asked_at = None   # when its commit was asked for
        self.fate = OPEN
        self.client = None


class History:
    """Events in their order, and what they say about records and transactions."""

    def __init__(self, events):
        self.found = []
        self.txns = collections.defaultdict(Transaction)
        self.sent = {}                                     # value -> send event
        self.acked, self.refused = {}, set()
        self.places = collections.defaultdict(set)         # value -> {(topic, partition, offset)}, as read
        self.held = {}                                     # (topic, partition, offset) -> value
        self.seen = collections.defaultdict(set)           # (topic, partition) -> offsets that read_committed showed
        self.ends = {}                                     # (topic, partition) -> furthest end of a reader
        self.committed_offsets = {}
        self.spans = []                                    # (client, place, first, seen offsets, end) of readers
        self.readers = {}
        for number, event in enumerate(events):
            getattr(self, 'on_' + event['op'].replace('-', '_'), self.on_other)(number, event)

    def find(self, name, text):
        self.found.append((name, text))

    def on_other(self, number, e):
        del number
        raise ValueError('unknown op %r' % e['op'])

    # ---- writers

    def on_send(self, number, e):
        if e['value'] in self.sent:
            raise ValueError('value %r is sent twice' % e['value'])
        self.sent[e['value']] = dict(e, number=number)
        if e.get('txn') is not None:
            txn = self.txns[e['txn']]
            txn.records.append(e['value'])
            txn.client = e.get('client')

    def on_ack(self, number, e):
        del number
        self.acked[e['value']] = e.get('offset')

    def on_refused(self, number, e):
        del number
        self.refused.add(e['value'])

    def on_offsets(self, number, e):
        del number
        self.txns[e['txn']].offsets.append(((e['group'], e['topic'], e['partition']), e['offset']))

    def on_commit(self, number, e):
        txn = self.txns[e['txn']]
        if e['result'] == 'asked':
            txn.asked_at = number
            txn.fate = UNKNOWN
        else:
            txn.fate = {'ok': COMMITTED, 'failed': ABORTED, 'unknown': UNKNOWN}[e['result']]

    def on_abort(self, number, e):
        del number
        txn = self.txns[e['txn']]
        # After a commit of which nothing is known, an abort that works says that it did not happen.
        if e['result'] == 'ok' or txn.fate == OPEN:
            txn.fate = ABORTED

    # ---- readers

    def begin_span(self, e):
        place = (e['topic'], e['partition'])
        span = {'client': e.get('client'), 'place': place, 'from': None, 'seen': set(), 'to': None}
        self.spans.append(span)
        self.readers[(e.get('client'), place)] = span
        return span

    def span_of(self, e):
        place = (e['topic'], e['partition'])
        return self.readers.get((e.get('client'), place)) or self.begin_span(e)

    def on_assign(self, number, e):
        del number
        self.begin_span(e)['from'] = e.get('offset')

    def on_read(self, number, e):
        place, value = (e['topic'], e['partition'], e['offset']), e['value']
        if self.held.setdefault(place, value) != value:
            self.find('changed', '%s-%d@%d held %s, and then %s' % (*place, self.held[place], value))
        self.places[value].add(place)
        if value not in self.sent:
            self.find('unsent', '%s at %s-%d@%d' % (value, *place))
            return
        if e.get('txn') is not None:
            self.txns[e['txn']].reads.add(value)
        if e.get('isolation', 'read_committed') != 'read_committed':
            return
        span = self.span_of(e)
        if span['from'] is None:
            span['from'] = e['offset']
        span['seen'].add(e['offset'])
        span['to'] = max(span['to'] or 0, e['offset'] + 1)
        self.seen[place[:2]].add(e['offset'])
        name = self.sent[value].get('txn')
        if name is not None and name != e.get('txn') and self.txns[name].asked_at is None \
                and self.txns[name].fate == OPEN:
            self.find('undecided-read', '%s of transaction %s, at event %d' % (value, name, number))

    def on_end(self, number, e):
        del number
        span = self.span_of(e)
        span['to'] = max(span['to'] or 0, e['offset'])
        if span['from'] is None:
            span['from'] = e['offset']
        place = (e['topic'], e['partition'])
        # Only who came from the beginning can say what is not there.
        if span['from'] == 0:
            self.ends[place] = max(self.ends.get(place, 0), e['offset'])

    def on_committed(self, number, e):
        del number
        self.committed_offsets[(e['group'], e['topic'], e['partition'])] = e['offset']

    # ---- what follows when all is known

    def is_read(self, value):
        return any(p[2] in self.seen[p[:2]] for p in self.places.get(value, ()))

    def is_settled(self, value):
        """A reader came from the start to the end of the partition, so what it did not see is not there."""
        e = self.sent[value]
        return (e['topic'], e['partition']) in self.ends

    def check(self):
        for check in (self.check_records, self.check_transactions, self.check_sources, self.check_spans, self.check_order, self.check_cycles):
            check()
        return self.found

    def check_records(self):
        for value, e in self.sent.items():
            places = self.places.get(value, set())
            if len(places) > 1:
                self.find('doubled', '%s stands at %s' % (value, ', '.join('%s-%d@%d' % p for p in sorted(places))))
            fate = COMMITTED if e.get('txn') is None else self.txns[e['txn']].fate
            if self.is_read(value) and (value in self.refused or fate == ABORTED):
                self.find('aborted-read', '%s, which was %s' % (value, 'refused' if value in self.refused else 'aborted with ' + e['txn']))
            if value in self.acked:
                offset = self.acked[value]
                place = (e['topic'], e['partition'], offset)
                if offset is not None and places and place not in places:
                    self.find('changed', '%s was acknowledged at %d and stands elsewhere' % (value, offset))
                if fate == COMMITTED and not self.is_read(value) and self.is_settled(value):
                    self.find('lost', '%s, acknowledged in %s-%d' % (value, e['topic'], e['partition']))

    def check_transactions(self):
        for name, txn in self.txns.items():
            if txn.fate not in (COMMITTED, UNKNOWN):
                continue
            settled = [v for v in txn.records if self.is_settled(v)]
            there = [v for v in settled if self.is_read(v)]
            if there and len(there) < len(settled):
                missing = [v for v in settled if v not in there]
                self.find('torn', 'transaction %s: %s is there, %s is not' % (name, there[0], missing[0]))
            is_there = txn.fate == COMMITTED or bool(there)
            for key, offset in txn.offsets:
                now = self.committed_offsets.get(key)
                if now is not None and is_there and now < offset:
                    self.find('torn', 'transaction %s is there, its offset %d of %s is not: %d' % (name, offset, key[0], now))
        self.check_offsets_of_lost()

    def check_offsets_of_lost(self):
        """The group stands where only a transaction took it whose records are not there."""
        for key, now in self.committed_offsets.items():
            takers = [(name, txn) for name, txn in self.txns.items() if (key, now) in txn.offsets]
            if not takers:
                continue
            if all(self.is_absent(txn) for _, txn in takers):
                self.find('torn', 'offset %d of group %s is committed, the records of transaction %s are not there' % (
                    now, key[0], takers[-1][0]))

    def is_absent(self, txn):
        settled = [v for v in txn.records if self.is_settled(v)]
        return txn.fate == ABORTED or (bool(settled) and not any(self.is_read(v) for v in settled))

    def check_sources(self):
        made = collections.defaultdict(list)
        for value, e in self.sent.items():
            if e.get('source') is not None and self.is_read(value):
                made[(e['topic'], e['source'])].append(value)
        for (topic, source), values in made.items():
            if len(values) > 1:
                self.find('doubled', '%s was made into %s in %s' % (source, ' and '.join(sorted(values)), topic))

    def check_spans(self):
        """What one reader saw, another that passed the same offset must have seen."""
        for span in self.spans:
            if span['from'] is None or span['to'] is None:
                continue
            missed = [o for o in self.seen[span['place']] if span['from'] <= o < span['to'] and o not in span['seen']]
            for offset in sorted(missed)[:3]:
                self.find('skipped', '%s passed %s-%d@%d without seeing it' % (span['client'], *span['place'], offset))

    def check_order(self):
        standing = collections.defaultdict(list)
        for (topic, partition, offset), value in self.held.items():
            e = self.sent.get(value)
            if e is not None:
                standing[(e.get('client'), topic, partition)].append((offset, e['number'], value))
        for rows in standing.values():
            rows.sort()
            for before, after in zip(rows, rows[1:]):
                if after[1] < before[1]:
                    self.find('order', '%s stands behind %s, but was sent before it' % (after[2], before[2]))

    def check_cycles(self):
        """Edges: the writer of a record -> the transaction that read it; a client's transaction -> its next one."""
        nodes = [n for n, t in self.txns.items() if t.fate == COMMITTED or any(self.is_read(v) for v in t.records)]
        known, edges, last = set(nodes), collections.defaultdict(set), {}
        for name in nodes:
            txn = self.txns[name]
            for value in txn.reads:
                writer = self.sent[value].get('txn')
                if writer in known and writer != name:
                    edges[writer].add(name)
            if txn.client in last:
                edges[last[txn.client]].add(name)
            if txn.client is not None:
                last[txn.client] = name
        cycle = find_cycle(nodes, edges)
        if cycle:
            self.find('cycle', ' -> '.join(cycle + cycle[:1]))


def find_cycle(nodes, edges):
    """One cycle, as the names in it; None when there is none. Without recursion: histories are long."""
    state = {}
    for start in nodes:
        if start in state:
            continue
        path, todo = [], [(start, iter(sorted(edges[start])))]
        state[start] = 'open'
        path.append(start)
        while todo:
            name, rest = todo[-1]
            following = next(rest, None)
            if following is None:
                state[name] = 'done'
                path.pop()
                todo.pop()
            elif state.get(following) == 'open':
                return path[path.index(following):]
            elif following not in state:
                state[following] = 'open'
                path.append(following)
                todo.append((following, iter(sorted(edges[following]))))
    return None


def read_events(files):
    events = []
    for file in files:
        for number, line in enumerate(file, 1):
            # A client that was killed leaves half a line.
            if not line.strip() or not line.endswith('\n'):
                continue
            try:
                event = json.loads(line)
                event['op']
            except (ValueError, KeyError, TypeError) as e:
                raise ValueError('%s:%d: %s' % (getattr(file, 'name', '?'), number, e)) from e
            events.append(event)
    if all('t' in e for e in events):
        events.sort(key=lambda e: e['t'])
    return events


def check(events):
    """[(name of the anomaly, sentence)] of a list of events."""
    return History(events).check()


def main():
    names = [a for a in sys.argv[1:] if a != '-']
    if '--help' in names or '-h' in names:
        print(__doc__)
        return 0
    try:
        files = [open(n, encoding='utf-8') for n in names] or [sys.stdin]
        events = read_events(files)
        found = check(events)
    except (OSError, ValueError, KeyError) as e:
        print('check_history: %s' % e, file=sys.stderr)
        return 2
    for name, text in found:
        print('%-14s %s' % (name, text))
    txns = {e['txn'] for e in events if e['op'] == 'send' and e.get('txn') is not None}
    print('%d events, %d records, %d transactions, %d reads: %s' % (
        len(events), sum(e['op'] == 'send' for e in events), len(txns), sum(e['op'] == 'read' for e in events),
        '%d anomalies' % len(found) if found else 'no anomaly'))
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
