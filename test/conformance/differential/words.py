"""An answer as words: what belongs to one run (ids, ports, times, the prefix of names) is named, by the rules below; the rest stays.

Nothing is left out but what other sequences on the same broker made (topics, groups, users without this run's prefix).
"""
import hashlib
import json
import re
import time

import wire

# Fields whose value belongs to one run.
BY_NAME = {'cluster_id': 'CLUSTER', 'total_bytes': 'BYTES', 'usable_bytes': 'BYTES', 'throttle_time_ms': 'THROTTLE',
           'session_id': 'SESSION', 'finalized_features_epoch': 'EPOCH'}
# Lists in which the prefix tells whose row it is: field -> name of the row's key.
OWN_ROWS = {('metadata', 'topics'): 'name', ('list_groups', 'groups'): 'group_id',
            ('list_transactions', 'transaction_states'): 'transactional_id',
            ('list_partition_reassignments', 'topics'): 'name', ('elect_leaders', 'replica_election_results'): 'topic'}
# Lists whose order is part of the answer; all others are sets in Apache Kafka's code, and sorted here.
ORDERED = {'records', 'record_errors', 'partition_indexes', 'aborted_transactions', 'api_keys'}
KEYS = ('name', 'topic', 'topic_name', 'group_id', 'member_id', 'topic_id', 'partition_index', 'partition', 'index')
TIMES = {'log_append_time_ms', 'timestamp', 'transaction_start_time_ms', 'last_timestamp', 'max_timestamp'}
MEMBER = re.compile(r'\b[\w.-]+?-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b')


class Words:
    def __init__(self, player):
        self.player, self.producers, self.members = player, {}, {}
        self.began = time.time() * 1000 - 60000

    def near_now(self, value):
        return self.began < value < self.began + 3600000

    def text(self, text):
        broker = self.player.broker
        text = text.replace(self.player.prefix, 'P-').replace(broker.data, 'DATA')
        for port, word in ((broker.port, 'PORT'), (broker.controller_port, 'CONTROLLER')):
            text = re.sub(r'(?<!\d)%d(?!\d)' % port, word, text)
        text = re.sub(r'within \[-?\d+, \d+\]', 'within [TIME, TIME]', text)
        text = MEMBER.sub(lambda m: self.member(m[0]), text)
        text = re.sub(r'\b[A-Za-z0-9_-]{22}\b', self.known_id, text)
        text = re.sub(r'(?i)(producer ?id:? )(\d+)', lambda m: m[1] + self.producer(int(m[2])), text)
        return text.removeprefix('requirement failed: ')

    def member(self, text):
        """An id that the coordinator made up: whose it is, and which one."""
        if text not in self.members:
            whose = self.player.members.get(text, 'somebody')
            self.members[text] = '%s, %d' % (whose, 1 + sum(v.startswith(whose + ',') for v in self.members.values()))
        return 'member(%s)' % self.members[text]

    def known_id(self, match):
        import base64
        try:
            raw = base64.urlsafe_b64decode(match[0] + '==')
        except ValueError:
            return match[0]
        return self.uuid(raw) if raw in self.player.all_ids else match[0]

    def uuid(self, raw):
        if raw == bytes(16):
            return 'no id'
        if raw in self.player.all_ids:
            name = self.player.all_ids[raw]
            made = [i for i, n in self.player.all_ids.items() if n == name]
            return 'id of %s%s' % (name, '#%d' % (made.index(raw) + 1) if len(made) > 1 and raw != made[0] else '')
        return 'unknown id' if raw.startswith(bytes(8)) else 'UUID'

    def producer(self, value):
        if value < 0 or value >= 1 << 40:
            return str(value)
        return 'producer %d' % self.producers.setdefault(value, len(self.producers) + 1)

    def batches(self, data):
        """Records field by field; of a payload the hash. A batch that the limit of bytes cuts (clients drop it) is not shown: we
        end at a whole batch, Apache in the middle of one."""
        out = []
        for b in wire.batches(data):
            now = self.near_now(b.max_ts)
            out.append({
                'base_offset': b.base_offset, 'last_delta': b.last_delta, 'leader_epoch': b.epoch, 'magic': b.magic,
                'attributes': b.attributes, 'base_timestamp': 'NOW' if self.near_now(b.base_ts) else b.base_ts,
                'max_timestamp': 'NOW' if now else b.max_ts, 'producer_id': self.producer(b.pid), 'producer_epoch': b.pid_epoch,
                'sequence': b.sequence, 'count': b.count, 'crc_ok': b.crc_ok(),
                'payload': hashlib.sha1(b.data[61:]).hexdigest()[:8]})
        return out

    def value(self, api, name, value):
        if isinstance(value, dict):
            return {k: self.value(api, k, v) for k, v in value.items()}
        if isinstance(value, list):
            return self.rows(api, name, value)
        if name == 'records' and isinstance(value, bytes):
            return self.batches(value)
        if isinstance(value, (bytes, bytearray)):
            return self.uuid(value) if len(value) == 16 else bytes(value).hex()
        if isinstance(value, bool) or value is None:
            return value
        if name in BY_NAME and value not in (-1, 0, None):
            return BY_NAME[name]
        if isinstance(value, str):
            return self.text(value)
        if name.endswith('error_code'):
            return wire.err(value)
        if name in TIMES and self.near_now(value):
            return 'NOW'
        if name in ('producer_id', 'ongoing_txn_producer_id'):
            return self.producer(value)
        if name == 'port' and value:
            return {self.player.broker.port: 'PORT', self.player.broker.controller_port: 'CONTROLLER'}.get(value, value)
        return value

    def rows(self, api, name, value):
        key = OWN_ROWS.get((api, name))
        if key:
            value = [r for r in value if (r[key] or '').startswith(self.player.prefix) or not self.foreign(r)]
        items = [self.value(api, name, v) for v in value]
        if name in ORDERED or not items or not isinstance(items[0], (dict, str)):
            return items
        return sorted(items, key=self.place)

    @staticmethod
    def place(row):
        """Sorts rows by what they are about, then by what they say."""
        about = [str(row.get(k, '')) for k in KEYS] if isinstance(row, dict) else []
        return about, json.dumps(row, sort_keys=True)

    def foreign(self, row):
        """Made by another sequence, or by the brokers themselves."""
        name = next((row[k] for k in ('name', 'group_id', 'transactional_id', 'topic') if row.get(k)), '')
        return bool(re.match(r'q\d{5}-|__|warm-up', name))

    def answer(self, api, body):
        if not isinstance(body, dict):
            return body
        if api == 'describe_client_quotas' and body.get('entries'):
            body = dict(body, entries=[e for e in body['entries'] if not any(
                re.match(r'q\d{5}-', r['entity_name'] or '') and not r['entity_name'].startswith(self.player.prefix)
                for r in e['entity'])])
        if api == 'fetch':
            body = dict(body, responses=merged(body['responses']))
        return self.value(api, '', body)


def merged(topics):
    """One row per topic: Apache answers what is refused first, and may name a topic twice."""
    out = {}
    for t in topics:
        row = out.setdefault((t['topic'], t['topic_id']), dict(t, partitions=[]))
        row['partitions'] = row['partitions'] + t['partitions']
    return list(out.values())


def play(broker, number, steps, player_type):
    """Every step's answer in words: a list of [own, {connection: late answer}]."""
    player = player_type(broker, number)
    words = Words(player)
    out = []
    try:
        for step in steps:
            own, late = player.step(step)
            out.append([words.answer(step['api'], own),
                        {n: words.answer('fetch' if isinstance(v, dict) and 'responses' in v else '', v) for n, v in sorted(late.items())}])
    finally:
        player.sweep()
    return json.loads(json.dumps(out))
