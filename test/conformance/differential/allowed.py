"""The differences that are allowed, each with its reason. A row that no run needs is removed.

(api, pattern of the place, ours, Apache's, reason)
"""
import re

import minimise

ROWS = [
    ('incremental_alter_configs', r'error_code$', 'UNKNOWN_SERVER_ERROR', 'INVALID_CONFIG',
     'an unknown operation beside another mistake: Apache answers for the one that its hash map gives first'),
    ('fetch', r'aborted_transactions$', [], None,
     'read committed, and the first batch is over the limit: Apache says null, we say none; clients take both alike'),
    ('produce', r'error_code$', 'UNSUPPORTED_COMPRESSION_TYPE', 'UNKNOWN_SERVER_ERROR',
     'a compression that does not exist: Apache fails unexpectedly, we say what is wrong'),
    ('produce', r'error_code$', 'INVALID_RECORD', 'UNKNOWN_SERVER_ERROR',
     'the same in a request that has an empty partition too: Apache fails before it looks at that one'),
    ('produce', r'error_code$', 'CORRUPT_MESSAGE', 'UNKNOWN_SERVER_ERROR',
     'a compressed payload that is none: Apache fails unexpectedly, we say what is wrong'),
]

NOT_SENT = [
    'a partition named twice in one Produce or Fetch: Apache drops the first one without a word',
    'records that are null: Apache ends the connection',
    'a negative limit of bytes in a Fetch: Apache answers UNKNOWN_SERVER_ERROR',
    'two assignors with equal votes in a consumer group, and a leader that leaves several other members: decided by the order of a hash map',
    'a first commit of offsets that is refused whole, and the last offset of a group without members going: Apache keeps an empty group in '
    'memory until it expires or the broker starts again; ours is the state that a restart gives',
    'records that are cut by the limit of bytes: ours end at a whole batch',
]


class Rules:
    def __init__(self):
        self.used = {}

    def differences(self, steps, got, want):
        """What differs and is not allowed: (step, place, ours, Apache's)."""
        out = []
        for i, (g, w) in enumerate(zip(got, want)):
            found = minimise.walk('', g, w)
            fine = {path for path, a, b in found if self.allows(steps[i]['api'], path, a, b)}
            # Another error brings other fields of its row with it.
            rows = {path.rpartition('.')[0] for path in fine if path.endswith('error_code')}
            out += [(i, path, a, b) for path, a, b in found if path not in fine and path.rpartition('.')[0] not in rows]
        return out

    def allows(self, api, path, got, want):
        for row in ROWS:
            if row[0] == api and re.search(row[1], path) and row[2] == got and row[3] == want:
                self.used[row[1], row[4]] = self.used.get((row[1], row[4]), 0) + 1
                return True
        return False


def page(rules):
    """For docs/conformance/differential.md: what may differ, how often it was seen in this run, and why."""
    return ['| API | field | ours | Apache | seen | why |', '|---|---|---|---|---:|---|'] + [
        '| %s | `%s` | %s | %s | %d | %s |' % (r[0], r[1].replace('\\', '').rstrip('$'), r[2], r[3], rules.used.get((r[1], r[4]), 0), r[4])
        for r in ROWS] + ['', 'Never sent, because Apache Kafka\'s own answer is no measure:', ''] + ['- ' + text for text in NOT_SENT]
