"""Frames that no client would send: random bytes, and valid requests of every API with bytes flipped, cut, grown, and lengths replaced.

The broker must answer or close each, serve on, and hold no memory of it. Short form: 30 000 frames; long form (--long): a million.
The seed is printed; TACCOLA_BADINPUT_SEED repeats a run.
"""
import os
import random
import socket
import struct
import time

import wire
from main import Failed
from wire import APIS

FRAMES_SHORT, FRAMES_LONG = 30000, 1000000
GROWTH_KB_MAX = 24 * 1024
LENGTHS = (b'\xff\xff\xff\xff', b'\x7f\xff\xff\xff', b'\x80\x00\x00\x00', b'\x00\x00\x00\x00',
           b'\xff\xff\xff\xff\x0f', b'\xff\xff\xff\xff\x07', b'\x7f\xff', b'\xff\xff')

# Bodies that are worth breaking: arrays, strings, records, nested structs. The others begin empty.
BODIES = {
    'produce': lambda v: {'acks': -1, 'timeout_ms': 100, 'topic_data': [
        {'name': 'bad', 'topic_id': bytes(16), 'partition_data': [
            {'index': 0, 'records': wire.batch([b'value'] * 3)}]}]},
    'fetch': lambda v: {'max_wait_ms': 0, 'min_bytes': 0, 'max_bytes': 1000, 'topics': [
        {'topic': 'bad', 'topic_id': bytes(16), 'partitions': [
            {'partition': 0, 'fetch_offset': 0, 'partition_max_bytes': 1000}]}]},
    'metadata': lambda v: {'topics': [{'name': 'bad'}, {'name': 'other'}]},
    'api_versions': lambda v: {'client_software_name': 'a', 'client_software_version': '1'},
    'list_offsets': lambda v: {'replica_id': -1, 'topics': [
        {'name': 'bad', 'partitions': [{'partition_index': 0, 'timestamp': -1}]}]},
    'delete_topics': lambda v: {'topics': [], 'topic_names': [], 'timeout_ms': 10},
    'delete_records': lambda v: {'topics': [
        {'name': 'none', 'partitions': [{'partition_index': 0, 'offset': 0}]}], 'timeout_ms': 10},
    'describe_configs': lambda v: {'resources': [
        {'resource_type': 2, 'resource_name': 'bad', 'configuration_keys': None}]},
}


def seeds():
    """One valid frame of every API and version that the tables know; those that make topics stay out."""
    out = []
    for name, api in APIS.items():
        if not isinstance(name, str) or name in ('create_topics', 'create_partitions'):
            continue
        for version in range(api.versions.low, api.versions.high + 1):
            try:
                body = BODIES.get(name, lambda v: {})(version)
                out.append(wire.encode_request(api, version, body, 1))
            except Exception:  # a body that this version cannot say
                continue
    return out


def mutate(r, frame):
    data = bytearray(frame)
    for _ in range(r.choice((1, 1, 1, 2, 4, 16))):
        kind = r.randrange(6)
        at = r.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] ^= 1 << r.randrange(8)
        elif kind == 1 and data:
            data[at] = r.randrange(256)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = r.randbytes(r.randrange(1, 12))
        elif kind == 4:
            value = r.choice(LENGTHS)
            data[at:at + len(value)] = value
        elif kind == 5 and data:
            del data[at:at + r.randrange(1, 8)]
    return bytes(data)


def frame_of(r, valid):
    choice = r.randrange(20)
    if choice == 0:
        return r.randbytes(r.randrange(1, 200))
    if choice == 1:
        head = struct.pack('>hhi', r.randrange(-2, 100), r.randrange(-1, 20), 1)
        return head + r.randbytes(r.randrange(0, 60))
    return mutate(r, r.choice(valid))


def send_some(r, port, valid, count):
    """One connection with some frames, sent as one run of bytes, then closed for writing and read to its end."""
    data = b''
    for _ in range(count):
        frame = frame_of(r, valid)
        size = len(frame)
        if r.randrange(200) == 0:
            size = r.choice((0, -1, 2147483647, 104857601, size + 5))
        data += struct.pack('>i', size) + frame
    with socket.create_connection(('127.0.0.1', port), timeout=5) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass
        except TimeoutError:
            # A fetch or a join waits as long as it asks. That it is only this connection is seen by the next ones.
            pass


def run(lane):
    broker = lane.broker({'auto.create.topics.enable': 'false'})
    seed = int(os.environ.get('TACCOLA_BADINPUT_SEED') or random.randrange(1 << 31))
    r = random.Random(seed)
    valid = seeds()
    total = FRAMES_LONG if lane.long else FRAMES_SHORT
    with wire.Conn(broker.port) as c:
        c.call('create_topics', 5, {'topics': [
            {'name': 'bad', 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})

    def storm(frames):
        sent = 0
        while sent < frames:
            # Most connections end at their first bad frame, so few are sent on each.
            count = r.choice((1, 2, 3, 8))
            send_some(r, broker.port, valid, count)
            sent += count
            if not broker.alive():
                raise Failed('the broker died (seed %d): %s' % (seed, broker.log_tail()))

    def serves():
        with wire.Conn(broker.port) as c:
            if not c.call('metadata', 1, {'topics': []})['brokers']:
                raise Failed('no brokers')

    def memory():
        storm(total // 10)  # pools and caches fill
        before = broker.rss_kb()
        begin = time.time()
        storm(total - total // 10)
        serves()
        grown = broker.rss_kb() - before
        print('  %d frames in %.0f s, seed %d, memory %+d kB' % (total, time.time() - begin, seed, grown))
        if grown > GROWTH_KB_MAX:
            raise Failed('memory grew by %d kB (seed %d)' % (grown, seed))

    lane.attempt('serves-on', storm, total // 100)
    lane.attempt('memory-stays', memory)
    lane.attempt('serves', serves)
    lane.stop(broker)
