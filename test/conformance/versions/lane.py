"""Every API at every version, beside Apache Kafka: the requests of script.py go to a fresh broker, and each answer, normalised, must be
the one that Apache Kafka 4.4.0 gave (answers.json). `--broker apache-4.4.0 --set lane.record=true` records them anew."""
import contextlib
import json
import os
import time

import wire
from kit import Kit
from main import Failed

import groups
import script
from normal import Normal

HERE = os.path.dirname(os.path.abspath(__file__))
ANSWERS = os.path.join(HERE, 'answers.json')


class AtController:
    """A broker as its controller listener's clients see it."""

    def __init__(self, broker):
        self.kind, self.port = broker.kind, broker.controller_port


class Script:
    """Sends the requests and keeps the answers, under a title that does not change."""

    def __init__(self, kit):
        self.kit, self.normal, self.answers, self.where = kit, Normal(kit), {}, ''

    def call(self, title, api, version, body):
        name = '%s%s v%d %s' % (self.where, api, version, title)
        key, n = name, 1
        while key in self.answers:
            n += 1
            key = '%s #%d' % (name, n)
        try:
            raw = self.kit.call(api, version, body)
        except (wire.Closed, OSError):
            self.answers[key] = 'connection closed'
            return {}
        except wire.WireError as e:
            self.answers[key] = 'layout: %s' % e
            return {}
        self.answers[key] = self.normal.answer(api, version, raw)
        return raw

    @contextlib.contextmanager
    def at_controller(self):
        """Calls inside go to the controller listener."""
        mine = self.kit
        self.kit, self.where = Kit(mine.lane, AtController(mine.broker)), 'controller: '
        self.kit.ids = mine.ids
        yield
        self.kit, self.where = mine, ''

    def create(self, name, partitions, config=None):
        """A topic whose partitions are led already (Apache answers before they are), and whose old records stay."""
        self.kit.create(name, partitions, config or {'retention.ms': '-1'})
        for partition in range(partitions):
            self.kit.wait(lambda p=partition: not self.kit.list_offset(name, -1, p)['error_code'], 'no leader of ' + name)

    def until_ready(self, api, version, body):
        """Apache answers COORDINATOR_LOAD_IN_PROGRESS until its first block of producer ids is there."""
        self.kit.wait(lambda: self.kit.call(api, version, body)['error_code'] == 0, api + ' is not ready')

    def pause(self):
        """Apache's broker sees a change some time after its controller has answered."""
        if self.kit.broker.kind != 'taccola':
            time.sleep(1)

    def until_found(self, group):
        """The first question makes the topic of the offsets."""
        self.kit.wait(lambda: self.kit.call('find_coordinator', 4, {'coordinator_keys': [group]})['coordinators'][0]['error_code'] == 0
                      and self.kit.call('offset_fetch', 7, {'group_id': group, 'topics': None})['error_code'] == 0, 'no coordinator', 30)

    def learn(self, name, topic_id):
        self.kit.ids[name] = topic_id

    def learn_all(self):
        for topic in self.kit.call('metadata', 12, {'topics': None})['topics']:
            self.learn(topic['name'], topic['topic_id'])


def difference(path, want, got):
    """The first place where two answers differ, for a person."""
    if isinstance(want, dict) and isinstance(got, dict):
        for key in want:
            if want[key] != got.get(key):
                return difference('%s.%s' % (path, key), want[key], got.get(key))
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for i, (a, b) in enumerate(zip(want, got)):
            if a != b:
                return difference('%s[%d]' % (path, i), a, b)
    return '%s is %.300s, Apache says %.300s' % (path, json.dumps(got), json.dumps(want))


# What this stage of Taccola serves to clients, whatever it lists.
REQUIRED = {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47, 18, 19, 20, 21, 22, 23, 29, 32, 33, 35, 37, 43, 44, 45, 46, 48, 49, 55, 57, 60, 61, 64, 74, 75}


def only_served(want, got):
    """ApiVersions lists what a broker serves: ours serves fewer APIs, each at Apache's versions."""
    if not isinstance(want, dict) or not isinstance(got, dict) or not want.get('api_keys'):
        return want
    keys = {row['api_key'] for row in got.get('api_keys', [])}
    return dict(want, api_keys=[row for row in want['api_keys'] if row['api_key'] in keys])


def write_answers(answers):
    """A row per answer with the names of all requests that got it: most are the same at several versions."""
    rows = {}
    for name, answer in answers.items():
        rows.setdefault(json.dumps(answer, sort_keys=True, ensure_ascii=False), []).append(name)
    with open(ANSWERS, 'w', encoding='utf-8') as f:
        f.write('[\n%s\n]\n' % ',\n'.join(
            '[%s,\n %s]' % (json.dumps(names, ensure_ascii=False), answer) for answer, names in rows.items()))


def read_answers():
    with open(ANSWERS, encoding='utf-8') as f:
        return {name: answer for names, answer in json.load(f) for name in names}


def run(lane):
    record = lane.options.set and dict(lane.options.set).pop('lane.record', None)
    lane.options.set = [pair for pair in lane.options.set if pair[0] != 'lane.record']
    b = lane.broker({'num.partitions': 1, 'auto.create.topics.enable': 'false'}, start=False)
    if b.kind != 'taccola':
        b.format('--standalone', '--release-version', '4.3')
    b.start()
    s = Script(Kit(lane, b))
    for part in script.PARTS + groups.PARTS:
        part(s)
    if record:
        write_answers(s.answers)
        lane.check('recorded', len(s.answers) > 500, len(s.answers))
        return
    wanted = read_answers()
    lane.check('all requests were sent', set(s.answers) == set(wanted), sorted(set(s.answers) ^ set(wanted))[:5])
    missing = REQUIRED - {row['api_key'] for row in s.answers['api_versions v0 as is']['api_keys']}
    lane.check('all APIs are advertised', not missing, missing)
    for name, want in wanted.items():
        got = json.loads(json.dumps(s.answers.get(name)))
        want = only_served(want, got)
        lane.check(name, got == want, '' if got == want else difference('answer', want, got))
    lane.stop(b)
