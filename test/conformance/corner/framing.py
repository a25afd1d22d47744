"""Framing and ApiVersions."""
import struct
import time

import wire
from kit import equal, error_is, true
from wire import APIS, WireError

# What Apache Kafka 4.4 serves among the keys of this part of the work.
KEYS = {0: (0, 13), 1: (4, 18), 2: (1, 11), 3: (0, 13), 18: (0, 4), 19: (2, 7), 20: (1, 6),
        21: (0, 2), 22: (0, 5), 23: (2, 4), 29: (1, 3), 32: (1, 4), 33: (0, 2), 35: (1, 5),
        37: (0, 3), 43: (0, 2), 44: (0, 1), 45: (0, 1), 46: (0, 0), 48: (0, 1), 49: (0, 1),
        55: (0, 2), 57: (0, 2), 60: (0, 2), 61: (0, 0), 64: (0, 0), 74: (0, 1), 75: (0, 0)}


def api_versions_unsupported(kit):
    """A version above ours: v0 body, error 35, the ranges filled, and the connection lives on."""
    for version in (6, 99, 32767):
        with kit.conn() as c:
            c.send_frame(struct.pack('>hhi', 18, version, 7) + b'\0\1x\0\2a\2b\0')
            data = c.recv_frame()
            equal(struct.unpack_from('>ih', data), (7, 35), 'correlation and error')
            _, body = wire.decode_response(APIS['api_versions'], 0, data)
            ranges = {k['api_key']: (k['min_version'], k['max_version'])
                      for k in body['api_keys']}
            true(18 in ranges and ranges[18][0] == 0, 'no range for ApiVersions: %s' % ranges)
            c.call('api_versions', 3, {'client_software_name': 'a', 'client_software_version': '1'})


def api_versions_header(kit):
    """Header v0 at every version: the error code stands right after the correlation id."""
    for version in range(0, 5):
        with kit.conn() as c:
            body = {'client_software_name': 'a', 'client_software_version': '1'} \
                if version >= 3 else {}
            c.send('api_versions', version, body)
            _, api, _ = c.waiting[0]
            _, body = wire.decode_response(api, version, c.recv_frame())
            error_is(body['error_code'], 'NONE')


def api_versions_ranges(kit):
    """Every API of this part at every version; Produce from 0 though nothing below 3 is served."""
    body = kit.call('api_versions', 3, {'client_software_name': 'a',
                                        'client_software_version': '1'})
    got = {k['api_key']: (k['min_version'], k['max_version']) for k in body['api_keys']}
    wrong = {}
    for key, (low, high) in KEYS.items():
        have = got.get(key)
        if have is None or have[0] != low or have[1] < high:
            wrong[key] = have
    true(not wrong, 'missing or narrow: %s' % wrong)


def features(kit):
    """v3+ carries the supported and finalised features; v3 shows no range that begins at 0."""
    for version in (3, 4):
        body = kit.call('api_versions', version, {'client_software_name': 'a',
                                                  'client_software_version': '1'})
        final = {f['name']: f['max_version_level'] for f in body['finalized_features']}
        equal(final.get('metadata.version'), 30, 'finalised metadata.version')
        true(body['finalized_features_epoch'] >= 0, 'epoch %d' % body['finalized_features_epoch'])
        for f in body['supported_features']:
            true(version >= 4 or f['min_version'] > 0, 'KIP-1022: %s in v3' % f)


def null_client_id(kit):
    for name, version in (('metadata', 12), ('metadata', 1), ('api_versions', 3)):
        with kit.conn() as c:
            body = {'topics': []} if name == 'metadata' else {
                'client_software_name': 'a', 'client_software_version': '1'}
            c.call(name, version, body, client=None)


def header_tags(kit):
    """Unknown tagged fields in header and body are skipped."""
    api = APIS['metadata']
    with kit.conn() as c:
        head = struct.pack('>hhi', 3, 12, 5) + b'\0\1x' + b'\x01\x63\x03abc'
        body = wire.put_struct(api.request, {'topics': [], '_tags': {77: b'hello'}}, 12, True)
        c.send_frame(head + body)
        correlation, got = wire.decode_response(api, 12, c.recv_frame())
        equal(correlation, 5)
        equal(len(got['brokers']), 1)


def default_tags_absent(kit):
    """A tagged field that holds its default is not written (Fetch answers have several)."""
    t = kit.create()
    kit.put(t, b'x')
    with kit.conn() as c:
        c.send('fetch', 12, kit.fetch_body([(t, 0, 0)], 12))
        c.waiting.clear()
        data = c.recv_frame()
    body = wire.decode_response(APIS['fetch'], 12, data)[1]
    equal(body['responses'][0]['partitions'][0]['error_code'], 0)
    again = wire.put_struct(APIS['fetch'].response, body, 12, True)
    equal(len(data), 5 + len(again), 'size of the answer, written again without defaults')


def unknown_api_closes(kit):
    for key, version in ((999, 0), (-1, 0), (4, 0), (3, 99), (1, 3), (1, 99)):
        with kit.conn() as c:
            c.send_frame(struct.pack('>hhi', key, version, 1) + b'\0\1x' + bytes(20))
            true(c.is_closed(), 'api %d v%d: connection stays open' % (key, version))


def old_produce(kit):
    """Produce is advertised from 0, yet versions below 3 are refused (Kafka closes)."""
    for version in (0, 1, 2):
        with kit.conn() as c:
            c.send_frame(struct.pack('>hhi', 0, version, 1) + b'\0\1x' + struct.pack('>hii', 1, 100, 0))
            true(c.is_closed(), 'produce v%d: connection stays open' % version)


def request_order(kit):
    """Answers leave in the order of the requests, also behind a long poll."""
    t = kit.create()
    with kit.conn() as c:
        begin = time.time()
        c.send('fetch', 11, kit.fetch_body([(t, 0, 0)], max_wait=700))
        for version in (1, 12, 4, 9):
            c.send('metadata', version, {'topics': [{'name': t}]})
        c.send('api_versions', 0, {})
        c.send('fetch', 11, kit.fetch_body([(t, 0, 0)], max_wait=10))
        c.recv()
        waited = time.time() - begin
        true(0.5 < waited < 5, 'the long poll took %.2f s' % waited)
        while c.waiting:
            c.recv()


def pipelined(kit):
    """A hundred requests in one write."""
    t = kit.create()
    frames = b''
    with kit.conn() as c:
        for i in range(100):
            if i % 3:
                p = wire.encode_request(APIS['metadata'], 12, {'topics': [{'name': t}]}, i)
                c.waiting.append((i, APIS['metadata'], 12))
            else:
                body = kit.produce_body([(t, 0, wire.batch([b'%d' % i]))])
                p = wire.encode_request(APIS['produce'], 9, body, i)
                c.waiting.append((i, APIS['produce'], 9))
            frames += struct.pack('>i', len(p)) + p
        c.send_raw(frames)
        offsets = [r['responses'][0]['partition_responses'][0]['base_offset']
                   for r in (c.recv() for _ in range(100)) if 'responses' in r]
    equal(offsets, list(range(34)), 'offsets')


def dribbled(kit):
    """A frame that arrives byte by byte is a frame."""
    p = wire.encode_request(APIS['metadata'], 12, {'topics': []}, 3)
    with kit.conn() as c:
        for byte in struct.pack('>i', len(p)) + p:
            c.send_raw(bytes([byte]))
            time.sleep(0.001)
        c.waiting.append((3, APIS['metadata'], 12))
        c.recv()


def software_name(kit):
    """KIP-511: a bad client name is INVALID_REQUEST, and the connection lives on."""
    for name, version in (('-bad', '1'), ('ok', 'no spaces'), ('', '1'), ('ok', ''), ('a_b', '1')):
        with kit.conn() as c:
            r = c.call('api_versions', 3, {'client_software_name': name,
                                           'client_software_version': version})
            error_is(r['error_code'], 'INVALID_REQUEST')
            c.call('metadata', 1, {'topics': []})


def size_prefix(kit):
    for size in (-1, -2147483648, 104857601, 2147483647):
        with kit.conn() as c:
            c.send_raw(struct.pack('>i', size) + b'abcd')
            true(c.is_closed(), 'size %d: connection stays open' % size)


def size_zero(kit):
    with kit.conn() as c:
        c.send_raw(bytes(4))
        true(c.is_closed(), 'connection stays open')


def short_frames(kit):
    """Frames that end inside the header or the body."""
    whole = wire.encode_request(APIS['metadata'], 12, {'topics': [{'name': 'abc'}]}, 3)
    for size in (1, 2, 4, 7, 8, 9, len(whole) - 1):
        with kit.conn() as c:
            c.send_frame(whole[:size])
            true(c.is_closed(), '%d of %d bytes: connection stays open' % (size, len(whole)))


def array_counts(kit):
    """A count that the frame cannot hold is refused before anything is allocated."""
    before = kit.broker.rss_kb()
    for version, count in ((1, struct.pack('>i', 0x7fffffff)), (12, b'\xff\xff\xff\xff\x0f'),
                           (12, b'\xff\xff\xff\xff\x07')):
        with kit.conn() as c:
            head = struct.pack('>hhi', 3, version, 1) + b'\0\1x' + (b'\0' if version > 8 else b'')
            c.send_frame(head + count + bytes(10))
            true(c.is_closed(), 'v%d count %r: connection stays open' % (version, count))
    grown = kit.broker.rss_kb() - before
    true(grown < 65536 or not kit.ours, 'grew by %d kB' % grown)


def other_protocols(kit):
    """HTTP, TLS and GSSAPI bytes on a plain port: a clean close, and the broker serves on."""
    for data in (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
                 b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(512),
                 b'\x60\x82\x02\x00\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02' + bytes(300)):
        with kit.conn() as c:
            c.send_raw(data)
            true(c.is_closed(10), 'connection stays open after %r' % data[:8])
    kit.call('metadata', 1, {'topics': []})


def trailing_bytes(kit):
    """Bytes after a request are Kafka's to ignore or refuse; either way the next client is served."""
    with kit.conn() as c:
        c.send_frame(wire.encode_request(APIS['metadata'], 1, {'topics': []}, 1) + bytes(5))
        try:
            c.recv_frame()
        except (wire.Closed, WireError):
            pass
    kit.call('metadata', 1, {'topics': []})


def run(kit, attempt):
    for name, test in (
            ('api-versions-unsupported', api_versions_unsupported),
            ('api-versions-header', api_versions_header),
            ('api-versions-ranges', api_versions_ranges), ('features', features),
            ('null-client-id', null_client_id), ('unknown-tags-skipped', header_tags),
            ('default-tags-absent', default_tags_absent),
            ('unknown-api-closes', unknown_api_closes), ('old-produce-closes', old_produce),
            ('responses-in-order', request_order), ('hundred-in-one-write', pipelined),
            ('frame-byte-by-byte', dribbled), ('software-name', software_name),
            ('size-prefix', size_prefix), ('size-zero', size_zero),
            ('short-frames', short_frames), ('array-counts', array_counts),
            ('other-protocols', other_protocols), ('trailing-bytes', trailing_bytes)):
        attempt('framing/' + name, test, kit)
