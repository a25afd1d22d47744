"""Answers of two brokers made comparable: what differs from run to run becomes a word, lists of structs are sorted."""
import json
import re

# Fields whose value belongs to one run.
WORDS = {
    'cluster_id': 'CLUSTER', 'finalized_features_epoch': 'EPOCH', 'total_bytes': 'BYTES', 'usable_bytes': 'BYTES',
    'last_fetch_timestamp': 'TIME', 'last_caught_up_timestamp': 'TIME', 'last_timestamp': 'TIME',
    'log_append_time_ms': 'TIME', 'broker_epoch': 'EPOCH', 'incarnation_id': 'UUID',
}
# In answers about the quorum the log is the broker's own.
QUORUM_WORDS = {'log_end_offset': 'OFFSET', 'high_watermark': 'OFFSET', 'leader_epoch': 'EPOCH'}


class Normal:
    def __init__(self, kit):
        self.kit, self.producers, self.own = kit, {}, None

    def text(self, text):
        """Paths, ports and ids inside of sentences and config values."""
        broker = self.kit.broker
        text = text.replace(broker.data, 'DATA')
        for port, word in ((broker.port, 'PORT'), (broker.controller_port, 'CONTROLLER')):
            text = re.sub(r'(?<!\d)%d(?!\d)' % port, word, text)
        # Member ids: client id or instance id, and a random part.
        text = re.sub(r'\b([\w-]+)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b', r'\1-RANDOM', text)
        text = self.own.sub(r'\1N', text)
        text = re.sub(r'within \[-?\d+, \d+\]', 'within [TIME, TIME]', text)
        return re.sub(r'\b[A-Za-z0-9_-]{22}\b', self.known_id, text)

    def known_id(self, match):
        import base64
        try:
            raw = base64.urlsafe_b64decode(match[0] + '==')
        except ValueError:
            return match[0]
        return self.uuid(raw) if len(raw) == 16 and raw in self.kit.ids.values() else match[0]

    def uuid(self, raw):
        if raw == bytes(16):
            return 'none'
        for name, topic_id in self.kit.ids.items():
            if topic_id == raw:
                return 'id of ' + self.own.sub(r'\1N', name)
        return 'UUID'

    def value(self, api, name, value):
        if isinstance(value, dict):
            return {k: self.value(api, k, v) for k, v in value.items()}
        if isinstance(value, list):
            items = [self.value(api, name, v) for v in value]
            return sorted(items, key=lambda v: json.dumps(v, sort_keys=True)) \
                if items and isinstance(items[0], dict) else items
        if isinstance(value, bytes):
            return self.uuid(value) if len(value) == 16 and name != 'records' else value.hex()
        if name in WORDS and value not in (-1, 0, None):
            return WORDS[name]
        if api == 'describe_quorum' and name in QUORUM_WORDS:
            return QUORUM_WORDS[name]
        if name == 'producer_id' and value >= 0:
            return 'producer %d' % self.producers.setdefault(value, len(self.producers))
        if name == 'session_id' and value:
            return 'SESSION'
        if name == 'documentation' and value:
            return 'TEXT'
        if name in ('port', 'authorized_port') and value:
            return {self.kit.broker.port: 'PORT', self.kit.broker.controller_port: 'CONTROLLER'}.get(value, value)
        return self.text(value) if isinstance(value, str) else value

    def answer(self, api, version, body):
        # Topics that a version made for itself have its number in their name.
        self.own = re.compile(r'\b([pv])%d\b' % version)
        return self.value(api, '', body)
