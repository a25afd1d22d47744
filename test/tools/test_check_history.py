#!/usr/bin/env python3
"""tools/check_history.py: one history made by hand for each anomaly, and for what is none."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'tools'))
import check_history  # noqa: E402


def send(value, txn=None, partition=0, client='w', topic='out', source=None):
    return {'op': 'send', 'client': client, 'txn': txn, 'topic': topic, 'partition': partition, 'value': value, 'source': source}


def ack(value, offset):
    return {'op': 'ack', 'value': value, 'offset': offset}


def commit(txn, *results):
    return [{'op': 'commit', 'txn': txn, 'result': r} for r in ('asked', *results)]


def abort(txn, *results):
    return [{'op': 'abort', 'txn': txn, 'result': r} for r in ('asked', *results)]


def read(value, offset, partition=0, client='r', txn=None, **more):
    return dict({'op': 'read', 'client': client, 'topic': 'out', 'partition': partition, 'offset': offset, 'value': value, 'txn': txn}, **more)


def assign(partition=0, client='r', offset=0):
    return {'op': 'assign', 'client': client, 'topic': 'out', 'partition': partition, 'offset': offset}


def end(offset, partition=0, client='r'):
    return {'op': 'end', 'client': client, 'topic': 'out', 'partition': partition, 'offset': offset}


def offsets(txn, offset):
    return {'op': 'offsets', 'txn': txn, 'group': 'g', 'topic': 'in', 'partition': 0, 'offset': offset}


def committed(offset):
    return {'op': 'committed', 'group': 'g', 'topic': 'in', 'partition': 0, 'offset': offset}


GOOD = [send('a', 't1'), ack('a', 0), send('b', 't1', partition=1), ack('b', 0), offsets('t1', 5), *commit('t1', 'ok'),
        assign(), assign(1), read('a', 0), read('b', 0, 1), end(2), end(2, 1), committed(5)]


class Histories(unittest.TestCase):
    def names(self, events):
        return sorted({name for name, _ in check_history.check(events)})

    def finds(self, name, events):
        self.assertEqual(self.names(events), [name])

    def test_good(self):
        self.assertEqual(self.names(GOOD), [])

    def test_lost(self):
        self.finds('lost', [send('a'), ack('a', 0), assign(), end(1)])

    def test_lost_needs_a_reader_from_the_start(self):
        self.assertEqual(self.names([send('a'), ack('a', 0), assign(offset=1), end(1)]), [])

    def test_unacknowledged_may_be_lost(self):
        self.assertEqual(self.names([send('a'), assign(), end(1)]), [])

    def test_doubled_record(self):
        self.finds('doubled', [send('a'), ack('a', 0), assign(), read('a', 0), read('a', 1), end(2)])

    def test_doubled_source(self):
        self.finds('doubled', [send('a', source='s'), send('b', source='s'), assign(), read('a', 0), read('b', 1), end(2)])

    def test_torn_records(self):
        events = [send('a', 't'), send('b', 't', partition=1), *commit('t', 'unknown'), assign(), assign(1), read('a', 0), end(2), end(2, 1)]
        self.finds('torn', events)

    def test_torn_offsets_missing(self):
        self.finds('torn', GOOD[:-1] + [committed(4)])

    def test_torn_records_missing(self):
        self.finds('torn', [send('a', 't'), offsets('t', 5), *commit('t', 'unknown'), assign(), end(2), committed(5)])

    def test_aborted_read(self):
        self.finds('aborted-read', [send('a', 't'), *abort('t', 'ok'), assign(), read('a', 0), end(2)])

    def test_refused_read(self):
        self.finds('aborted-read', [send('a'), {'op': 'refused', 'value': 'a'}, assign(), read('a', 0), end(1)])

    def test_aborted_may_be_read_uncommitted(self):
        self.assertEqual(self.names([send('a', 't'), read('a', 0, isolation='read_uncommitted'), *abort('t', 'ok')]), [])

    def test_undecided_read(self):
        self.finds('undecided-read', [send('a', 't'), assign(), read('a', 0), *commit('t', 'ok'), end(2)])

    def test_unknown_end_is_either(self):
        for seen in ([read('a', 0)], []):
            self.assertEqual(self.names([send('a', 't'), *commit('t', 'unknown'), assign(), *seen, end(2)]), [])

    def test_skipped(self):
        events = [send('a'), send('b'), assign(), assign(client='q'), read('a', 0), read('b', 1), read('b', 1, client='q'), end(2)]
        self.finds('skipped', events)

    def test_order(self):
        self.finds('order', [send('a'), send('b'), assign(), read('b', 0), read('a', 1), end(2)])

    def test_changed_offset(self):
        events = [send('a'), send('b'), assign(), read('a', 0), assign(client='q'), read('b', 0, client='q')]
        self.finds('changed', events)

    def test_changed_place(self):
        self.finds('changed', [send('a'), ack('a', 3), assign(), read('a', 2), end(4)])

    def test_unsent(self):
        self.finds('unsent', [assign(), read('z', 0)])

    def test_cycle(self):
        events = [send('a', 't1', client='x'), send('b', 't2', partition=1, client='y'), *commit('t1'), *commit('t2'),
                  assign(1, client='x'), assign(client='y'), read('b', 0, 1, client='x', txn='t1'), read('a', 0, client='y', txn='t2'),
                  *commit('t1', 'ok'), *commit('t2', 'ok')]
        self.finds('cycle', events)

    def test_interleaved_writes_are_no_cycle(self):
        events = [send('a', 't1', client='x'), send('b', 't2', client='y'), send('c', 't2', partition=1, client='y'),
                  send('d', 't1', partition=1, client='x'), *commit('t1', 'ok'), *commit('t2', 'ok'), assign(), assign(1),
                  read('a', 0), read('b', 1), read('c', 0, 1), read('d', 1, 1), end(4), end(4, 1)]
        self.assertEqual(self.names(events), [])


if __name__ == '__main__':
    unittest.main()
