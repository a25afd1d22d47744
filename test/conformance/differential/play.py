"""Plays a sequence on a broker: what is symbolic in a step becomes a value of this run, what the broker answers becomes words again.

A step is plain data, so that any part of a sequence can be played without the rest (minimising does that):

    {'api': 'join_group', 'version': 5, 'body': {...}, 'conn': 'm1', 'park': True, 'keep': {'m1': 'member_id'}}

In a body, `P-` in a string is the prefix of this run's names, and these dicts are values that only the run has:
{'$': name, 'or': value} a value kept from an earlier answer, {'$id': topic} a topic's id, {'$batch': [...]} record batches,
{'$owned': member} what a consumer was assigned last. `drop` names a connection that is closed
when the step is answered, `end` one that is closed when the parked have had their moment.

A request that may be parked (JoinGroup, a long poll) is answered "waits" when no answer came within a moment. Later answers of
parked requests belong to the step during which they came: so the lane sees what woke whom, without a clock in the sequence.
"""
import hashlib
import select
import time

import wire

# Seconds: a request that is not answered within the first is parked; who is parked is given the second to be woken by a step.
MOMENTS = {'taccola': (0.12, 0.06), 'apache-4.4.0': (0.25, 0.15)}
# After these the judge's broker lags behind its controller for some milliseconds.
CHANGES = {'create_topics', 'delete_topics', 'create_partitions', 'incremental_alter_configs', 'alter_configs', 'metadata',
           'alter_client_quotas', 'alter_partition_reassignments', 'elect_leaders', 'produce', 'update_features'}
# Passing states of a coordinator: asked again until they are over.
PASSING = {14, 51}


class Player:
    def __init__(self, broker, number):
        self.broker, self.prefix = broker, 'q%05d-' % number
        self.moment, self.wake = MOMENTS.get(broker.kind, (0.25, 0.15))
        self.conns, self.pending, self.values, self.owned = {}, {}, {}, {}
        self.ids, self.all_ids, self.applied = {}, {}, -1
        self.members = {}  # member id -> whose it is

    # ---- connections

    def conn(self, name):
        if name not in self.conns:
            self.conns[name] = wire.Conn(self.broker.port, timeout=15)
        return self.conns[name]

    def drop(self, name):
        self.pending.pop(name, None)
        if name in self.conns:
            self.conns.pop(name).close()

    def close(self):
        for name in list(self.conns):
            self.drop(name)

    # ---- symbols

    def resolve(self, value):
        if isinstance(value, str):
            return value.replace('P-', self.prefix)
        if isinstance(value, list):
            return [self.resolve(v) for v in value]
        if not isinstance(value, dict):
            return value
        if '$' in value:
            got = self.values.get(value['$'], value.get('or'))
            return got + value['plus'] if 'plus' in value and isinstance(got, int) else got
        if '$id' in value:
            nobody = bytes(8) + hashlib.sha1(value['$id'].encode()).digest()[:8]
            if value.get('old'):
                return next((i for i, n in self.all_ids.items() if n == value['$id']), nobody)
            return self.ids.get(value['$id'], nobody)
        if '$owned' in value:
            rows = self.owned.get(value['$owned'], [])
            return [dict(r, partitions=list(r['partitions'])) for r in rows]
        if '$batch' in value:
            return b''.join(self.batch(b) for b in value['$batch'])
        if '$bytes' in value:
            return bytes.fromhex(value['$bytes'])
        return {k: self.resolve(v) for k, v in value.items()}

    def batch(self, b):
        if 'legacy' in b:
            return wire.legacy_message(b['legacy'].encode(), b['magic'])
        more = {k: self.resolve(v) for k, v in b.items() if k not in ('records', 'cut', 'flip', 'payload', 'tail')}
        for key, zero in (('pid', -1), ('pid_epoch', -1)):
            if key in more and more[key] is None:
                more[key] = zero
        if 'payload' in b:
            more['payload'] = bytes.fromhex(b['payload'])
        data = wire.batch([self.record(r) for r in b['records']], **more)
        if 'flip' in b:
            at = b['flip'] % len(data)
            data = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1:]
        return data[:len(data) - b['cut']] + bytes.fromhex(b['tail']) if 'cut' in b else data

    @staticmethod
    def record(r):
        out = {k: v.encode() if isinstance(v, str) else v for k, v in r.items() if k in ('key', 'value')}
        out.setdefault('value', None)
        if isinstance(out['value'], list):
            out['value'] = out['value'][0].encode() * out['value'][1]
        if 'headers' in r:
            out['headers'] = [(n, v if v is None else v.encode()) for n, v in r['headers']]
        if 'ts' in r:
            out['ts_delta'] = r['ts']
        return out

    # ---- steps

    def step(self, step):
        """Answers [own answer, {connection: answer that came late}], raw: {'closed'}, 'waits' or a decoded body."""
        name = step.get('conn', 'main')
        if name in self.pending:  # its request is parked still: nothing more is said there
            late = self.collect(0.05)
            if name in self.pending:
                return ['busy', late]
        else:
            late = {}
        body = self.resolve(step['body'])
        own = self.call(name, step, body)
        if 'drop' in step:  # Apache never answers the parked SyncGroup of a member that left
            self.drop(step['drop'])
        # What a parked JoinGroup or long poll waits for comes at once, or not at all.
        late.update(self.collect(self.wake if self.pending else 0))
        if 'end' in step:
            self.drop(step['end'])
        self.settle(step, own)
        self.learn(step, own)
        return [own, late]

    def call(self, name, step, body):
        until = time.time() + 10
        while True:
            own = self.once(name, step, body)
            if not isinstance(own, dict) or time.time() > until:
                return own
            if self.is_creating(step, body, own):
                until = min(until, time.time() + 1)
            elif not self.passing(own):
                return own
            time.sleep(0.02)

    def is_creating(self, step, body, own):
        """The judge answers a Metadata that creates topics before they are there; we when they are."""
        if self.broker.kind == 'taccola' or step['api'] != 'metadata' or (
                step['version'] >= 4 and not body.get('allow_auto_topic_creation')):
            return False
        return any(t['error_code'] in (3, 5) and t['name'] for t in own['topics'])

    def passing(self, body):
        codes = set()

        def walk(v):
            if isinstance(v, dict):
                for k, inner in v.items():
                    if k in ('error_code', 'partition_error_code'):
                        codes.add(inner)
                    walk(inner)
            elif isinstance(v, list):
                for inner in v:
                    walk(inner)
        walk({k: v for k, v in body.items() if k != 'records'})
        return bool(codes & PASSING)

    def once(self, name, step, body):
        api, version = step['api'], step['version']
        silent = api == 'produce' and body.get('acks') == 0
        try:
            c = self.conn(name)
            c.send(api, version, body, wait=not silent)
            if silent:
                c.send('api_versions', 0, {})
                c.recv()
                return 'no answer'
            if step.get('park') and not self.readable(c, self.moment):
                self.pending[name] = step
                return 'waits'
            return c.recv()
        except (wire.Closed, OSError):
            self.drop(name)
            return 'closed'
        except wire.WireError as e:
            self.drop(name)
            return 'layout: %s' % e

    @staticmethod
    def readable(c, seconds):
        return bool(select.select([c.sock], [], [], seconds)[0])

    def collect(self, seconds):
        """Answers of parked requests that are there within that time; each one gives the others a moment more."""
        out = {}
        end = time.time() + seconds
        while self.pending:
            socks = {self.conns[n].sock: n for n in self.pending}
            ready = select.select(list(socks), [], [], max(0, end - time.time()))[0]
            if not ready:
                break
            for sock in ready:
                name = socks[sock]
                step = self.pending.pop(name)
                try:
                    out[name] = self.conns[name].recv()
                    self.learn(step, out[name])
                except (wire.Closed, OSError):
                    self.drop(name)
                    out[name] = 'closed'
            end = max(end, time.time() + 0.05)
        return out

    # ---- what the sequence remembers

    def learn(self, step, body):
        if not isinstance(body, dict):
            return
        for name, path in step.get('keep', {}).items():
            value = body
            for part in path.split('.'):
                if isinstance(value, list):
                    value = value[int(part)] if int(part) < len(value) else None
                elif isinstance(value, dict):
                    value = value.get(part)
            if value is not None and value != '' and not (isinstance(value, int) and value < 0):
                self.values[name] = value
        if step['api'] == 'join_group' and body['member_id'] and 'conn' in step:
            self.members.setdefault(body['member_id'], step['conn'])
        if step['api'] == 'consumer_group_heartbeat' and body.get('assignment') is not None and 'owner' in step:
            self.owned[step['owner']] = body['assignment']['topic_partitions']
        if step['api'] in ('create_topics', 'metadata', 'delete_topics') or step.get('learn'):
            self.learn_ids()

    def learn_ids(self):
        seen = {}
        for row in self.conn('side').call('metadata', 12, {'topics': None})['topics']:
            if row['name'].startswith(self.prefix):
                name = 'P-' + row['name'][len(self.prefix):]
                seen[name] = row['topic_id']
                self.all_ids[row['topic_id']] = name
        self.ids.update(seen)  # a topic that is gone keeps its last id

    # ---- the judge's own delays

    def settle(self, step, own):
        """Until the broker shows what its controller (or its transaction coordinator) has done."""
        if step['api'] == 'end_txn' and isinstance(own, dict) and own['error_code'] == 0:
            self.settle_transaction(self.resolve(step['body'])['transactional_id'])
        if self.broker.kind == 'taccola' or step['api'] not in CHANGES or step['api'] == 'produce' and not step.get('learn'):
            return
        side = self.conn('side')
        quorum = side.call('describe_quorum', 2, {'topics': [
            {'topic_name': '__cluster_metadata', 'partitions': [{'partition_index': 0}]}]})
        end = quorum['topics'][0]['partitions'][0]['high_watermark'] - 1
        if end > self.applied:
            until = time.time() + 5
            while time.time() < until and side.call('api_versions', 3, {
                    'client_software_name': 'lane', 'client_software_version': '1'})['finalized_features_epoch'] < end:
                time.sleep(0.005)
            self.applied = end
            time.sleep(0.04)

    def settle_transaction(self, name):
        until = time.time() + 5
        while time.time() < until:
            rows = self.conn('side').call('describe_transactions', 0, {'transactional_ids': [name]})['transaction_states']
            if not rows[0]['transaction_state'].startswith('Prepare'):
                break
            time.sleep(0.01)
        time.sleep(0.02)

    def sweep(self):
        """Deletes the topics of this run."""
        try:
            c = self.conn('side')
            names = [r['name'] for r in c.call('metadata', 12, {'topics': None})['topics'] if r['name'].startswith(self.prefix)]
            for at in range(0, len(names), 20):
                c.call('delete_topics', 5, {'topic_names': names[at:at + 20], 'timeout_ms': 10000})
        except (wire.Closed, OSError):
            pass
        self.close()
