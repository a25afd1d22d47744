"""Kafka's protocol in the standard library alone: codec, record batches, a blocking connection.

The layout of the messages is data (messages.txt); this file interprets it. Values are plain
Python: dict for a struct, list for an array, str, bytes, int, bool, float, uuid.bytes-like 16 bytes
for a uuid, None for null. Fields left out of a request take their default. Decoding is strict: a
response with bytes left over, or too few, raises WireError, so every call checks the layout too.
"""
import os
import socket
import struct
import zlib


class WireError(Exception):
    """The bytes do not follow the layout."""


# ---------------------------------------------------------------- the table of messages

class Range:
    """Versions as in '3-13', '9+', '0' or 'none'."""

    def __init__(self, text):
        if text in ('none', ''):
            self.low, self.high = 1, 0
        elif text.endswith('+'):
            self.low, self.high = int(text[:-1]), 32767
        elif '-' in text:
            low, high = text.split('-')
            self.low, self.high = int(low), int(high)
        else:
            self.low = self.high = int(text)

    def __contains__(self, version):
        return self.low <= version <= self.high


NEVER = Range('none')


class Field:
    def __init__(self, words):
        self.type, self.name = words[0], words[1]
        self.versions = Range(words[2])
        self.null, self.tag, self.tagged = NEVER, None, NEVER
        self.default, self.fields = None, []
        has_default = False
        for word in words[3:]:
            key, value = word.split('=', 1)
            if key == 'null':
                self.null = Range(value)
            elif key == 'tag':
                tag, versions = value.split(':')
                self.tag, self.tagged = int(tag), Range(versions)
            else:
                self.default, has_default = self._value(value), True
        if not has_default:
            self.default = self._zero()

    def _value(self, text):
        if text == 'null':
            return None
        if self.type == 'string':
            return text
        if self.type == 'bool':
            return text == 'true'
        if self.type == 'float64':
            return float(text)
        return int(text, 0)

    def _zero(self):
        if self.type.startswith('[]'):
            return []
        return {'bool': False, 'string': '', 'bytes': b'', 'records': b'', 'uuid': bytes(16),
                'float64': 0.0, '{}': {}}.get(self.type, 0)


class Api:
    def __init__(self, key, name, versions, flexible):
        self.key, self.name = key, name
        self.versions, self.flexible = Range(versions), Range(flexible)
        self.request, self.response = [], []


def load_messages():
    apis, stack = {}, None
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'messages.txt')
    with open(path, encoding='utf-8') as f:
        for line in f:
            words = line.split()
            if not words or words[0] == '#':
                continue
            if words[0] == 'api':
                api = Api(int(words[1]), words[2], words[3], words[5])
                apis[api.key] = apis[api.name] = api
            elif words[0] in ('request', 'response'):
                stack = [getattr(api, words[0])]
            else:
                depth = 0
                while words[depth] == '.':
                    depth += 1
                field = Field(words[depth:])
                del stack[depth + 1:]
                stack[depth].append(field)
                stack.append(field.fields)
    return apis


APIS = load_messages()


# ---------------------------------------------------------------- primitives

def uvarint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def varint(n):
    """Zigzag, as in records; used for 32 and 64 bits alike."""
    return uvarint((n << 1) ^ (n >> 63) if n < 0 else n << 1)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        if n < 0 or n > self.left():
            raise WireError('want %d bytes, have %d' % (n, self.left()))
        self.at += n
        return self.data[self.at - n:self.at]

    def unpack(self, fmt):
        return struct.unpack('>' + fmt, self.take(struct.calcsize('>' + fmt)))[0]

    def uvarint(self):
        shift = value = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7f) << shift
            if not byte & 0x80:
                return value
            shift += 7
            if shift > 63:
                raise WireError('varint too long')

    def varint(self):
        n = self.uvarint()
        return (n >> 1) ^ -(n & 1)


FIXED = {'bool': '?', 'int8': 'b', 'int16': 'h', 'int32': 'i', 'int64': 'q', 'uint16': 'H',
         'uint32': 'I', 'float64': 'd'}


def put_value(ftype, fields, value, version, flexible, nullable):
    if ftype.startswith('[]'):
        if value is None:
            return b'\0' if flexible else b'\xff\xff\xff\xff'
        head = uvarint(len(value) + 1) if flexible else struct.pack('>i', len(value))
        inner = ftype[2:] or '{}'
        return head + b''.join(put_value(inner, fields, v, version, flexible, False)
                               for v in value)
    if ftype == '{}':
        if nullable:
            if value is None:
                return b'\xff'
            return b'\x01' + put_struct(fields, value, version, flexible)
        return put_struct(fields, value, version, flexible)
    if ftype in FIXED:
        return struct.pack('>' + FIXED[ftype], value)
    if ftype == 'uuid':
        return value
    data = value.encode() if isinstance(value, str) else value
    if data is None:
        return b'\0' if flexible else (b'\xff\xff' if ftype == 'string' else b'\xff\xff\xff\xff')
    if flexible:
        return uvarint(len(data) + 1) + data
    return struct.pack('>h' if ftype == 'string' else '>i', len(data)) + data


def put_struct(fields, value, version, flexible):
    known = {f.name for f in fields}
    for name in value:
        if name not in known and name != '_tags':
            raise WireError('no field %s' % name)
    out, tags = [], dict(value.get('_tags', {}))
    for f in fields:
        if version not in f.versions:
            continue
        v = value.get(f.name, f.default)
        if version in f.tagged:
            if v != f.default:
                tags[f.tag] = put_value(f.type, f.fields, v, version, True, version in f.null)
            continue
        out.append(put_value(f.type, f.fields, v, version, flexible, version in f.null))
    if flexible:
        out.append(uvarint(len(tags)))
        for tag in sorted(tags):
            out.append(uvarint(tag) + uvarint(len(tags[tag])) + tags[tag])
    return b''.join(out)


def get_value(r, f, ftype, version, flexible):
    if ftype.startswith('[]'):
        n = r.uvarint() - 1 if flexible else r.unpack('i')
        if n < 0:
            if version not in f.null:
                raise WireError('null array in %s' % f.name)
            return None
        if n > r.left():
            raise WireError('array %s of %d in %d bytes' % (f.name, n, r.left()))
        inner = ftype[2:] or '{}'
        if inner == '{}':
            return [get_struct(r, f.fields, version, flexible) for _ in range(n)]
        return [get_value(r, f, inner, version, flexible) for _ in range(n)]
    if ftype == '{}':
        if version in f.null and r.unpack('b') < 0:
            return None
        return get_struct(r, f.fields, version, flexible)
    if ftype in FIXED:
        return r.unpack(FIXED[ftype])
    if ftype == 'uuid':
        return r.take(16)
    n = r.uvarint() - 1 if flexible else r.unpack('h' if ftype == 'string' else 'i')
    if n < 0:
        if version not in f.null:
            raise WireError('null in %s' % f.name)
        return None
    data = r.take(n)
    return data.decode() if ftype == 'string' else bytes(data)


def get_struct(r, fields, version, flexible):
    out, tagged = {}, {}
    for f in fields:
        if version not in f.versions:
            out[f.name] = f.default
        elif version in f.tagged:
            out[f.name] = f.default
            tagged[f.tag] = f
        else:
            out[f.name] = get_value(r, f, f.type, version, flexible)
    if flexible:
        last = -1
        for _ in range(r.uvarint()):
            tag = r.uvarint()
            body = Reader(r.take(r.uvarint()))
            if tag <= last:
                raise WireError('tags out of order')
            last = tag
            if tag in tagged:
                f = tagged[tag]
                out[f.name] = get_value(body, f, f.type, version, True)
                if body.left():
                    raise WireError('bytes left in tag %d' % tag)
            else:
                out.setdefault('_tags', {})[tag] = bytes(body.data)
    return out


def encode_request(api, version, body, correlation=1, client='taccola-conformance'):
    """Header and body, without the size."""
    flexible = version in api.flexible
    head = struct.pack('>hhi', api.key, version, correlation)
    head += put_value('string', [], client, 0, False, True)
    if flexible:
        head += b'\0'
    return head + put_struct(api.request, body, version, flexible)


def decode_response(api, version, data):
    """Answers (correlation, body)."""
    r = Reader(data)
    correlation = r.unpack('i')
    flexible = version in api.flexible
    if flexible and api.key != 18:
        for _ in range(r.uvarint()):
            r.uvarint()
            r.take(r.uvarint())
    body = get_struct(r, api.response, version, flexible)
    if r.left():
        raise WireError('%s v%d: %d bytes left over' % (api.name, version, r.left()))
    return correlation, body


# ---------------------------------------------------------------- connection

class Closed(Exception):
    """The broker closed the connection."""


class Conn:
    def __init__(self, port, host='127.0.0.1', timeout=20):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0
        self.waiting = []

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, BrokenPipeError) as e:
            raise Closed(str(e)) from e

    def send_frame(self, payload):
        self.send_raw(struct.pack('>i', len(payload)) + payload)

    def recv_exact(self, n):
        out = bytearray()
        while len(out) < n:
            try:
                part = self.sock.recv(n - len(out))
            except ConnectionError as e:
                raise Closed(str(e)) from e
            if not part:
                raise Closed('end of stream')
            out += part
        return bytes(out)

    def recv_frame(self):
        size = struct.unpack('>i', self.recv_exact(4))[0]
        if size < 4:
            raise WireError('response of %d bytes' % size)
        return self.recv_exact(size)

    def send(self, name, version, body=None, client='taccola-conformance', wait=True):
        api = APIS[name]
        self.correlation += 1
        self.send_frame(encode_request(api, version, body or {}, self.correlation, client))
        if wait:
            self.waiting.append((self.correlation, api, version))

    def recv(self):
        want, api, version = self.waiting.pop(0)
        got, body = decode_response(api, version, self.recv_frame())
        if got != want:
            raise WireError('correlation %d, expected %d' % (got, want))
        return body

    def call(self, name, version, body=None, **kw):
        self.send(name, version, body, **kw)
        return self.recv()

    def is_closed(self, seconds=5):
        """True when the broker ends the stream within that time; bytes before the end are eaten."""
        self.sock.settimeout(seconds)
        try:
            while True:
                if not self.sock.recv(65536):
                    return True
        except TimeoutError:
            return False
        except ConnectionError:
            return True


# ---------------------------------------------------------------- record batches

def _crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    return table


_CRC = _crc32c_table()


def crc32c(data, crc=0):
    crc ^= 0xffffffff
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff


def _xxh32(data, seed=0):
    """Only for the few header bytes of an lz4 frame (shorter than 16)."""
    p1, p2, p3, p4, p5, m = 2654435761, 2246822519, 3266489917, 668265263, 374761393, 0xffffffff
    h = (seed + p5 + len(data)) & m
    at = 0
    while at + 4 <= len(data):
        h = (h + int.from_bytes(data[at:at + 4], 'little') * p3) & m
        h = ((h << 17 | h >> 15) & m) * p4 & m
        at += 4
    for byte in data[at:]:
        h = (h + byte * p5) & m
        h = ((h << 11 | h >> 21) & m) * p1 & m
    h = (h ^ h >> 15) * p2 & m
    h = (h ^ h >> 13) * p3 & m
    return h ^ h >> 16


def snappy_raw(data):
    out = bytearray(uvarint(len(data)))
    for at in range(0, len(data), 60):
        part = data[at:at + 60]
        out.append((len(part) - 1) << 2)
        out += part
    return bytes(out)


def snappy_xerial(data, block=32768):
    """The framing of Java's snappy stream: magic, versions, big-endian block lengths."""
    out = bytearray(b'\x82SNAPPY\0' + struct.pack('>ii', 1, 1))
    for at in range(0, len(data), block):
        part = snappy_raw(data[at:at + block])
        out += struct.pack('>i', len(part)) + part
    return bytes(out)


def lz4_frame(data):
    head = bytes([0x60, 0x40])
    out = bytearray(b'\x04\x22\x4d\x18' + head + bytes([_xxh32(head) >> 8 & 0xff]))
    for at in range(0, len(data), 65536):
        part = data[at:at + 65536]
        out += struct.pack('<I', len(part) | 0x80000000) + part
    return bytes(out + b'\0\0\0\0')


def zstd_frame(data, content_size=False):
    """Raw blocks; without a content size unless asked (streaming encoders leave it out)."""
    if content_size:
        out = bytearray(b'\x28\xb5\x2f\xfd' + bytes([0xa0]) + struct.pack('<I', len(data)))
    else:
        out = bytearray(b'\x28\xb5\x2f\xfd' + bytes([0x00, 0x58]))
    parts = [data[at:at + 65536] for at in range(0, len(data), 65536)] or [b'']
    for i, part in enumerate(parts):
        out += struct.pack('<I', len(part) << 3 | (i == len(parts) - 1))[:3] + part
    return bytes(out)


def gzip_frame(data):
    deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
    return deflate.compress(data) + deflate.flush()


CODECS = {'none': (0, lambda d: d), 'gzip': (1, gzip_frame), 'snappy': (2, snappy_raw),
          'snappy-xerial': (2, snappy_xerial), 'lz4': (3, lz4_frame), 'zstd': (4, zstd_frame),
          'zstd-sized': (4, lambda d: zstd_frame(d, True))}


def record(offset_delta, value, key=None, headers=(), ts_delta=0):
    def lenbytes(b):
        return varint(-1) if b is None else varint(len(b)) + b
    body = b'\0' + varint(ts_delta) + varint(offset_delta) + lenbytes(key) + lenbytes(value)
    body += varint(len(headers))
    for name, data in headers:
        body += varint(len(name)) + name.encode() + lenbytes(data)
    return varint(len(body)) + body


def batch(records, codec='none', base_offset=0, epoch=-1, timestamp=1700000000000, max_ts=None,
          pid=-1, pid_epoch=-1, sequence=-1, attributes=0, count=None, last_delta=None, magic=2,
          crc=None, payload=None):
    """A batch of format 2. records: values, (key, value) pairs, or dicts for record()."""
    rows, deltas = [], [0]
    for i, r in enumerate(records):
        if isinstance(r, bytes) or r is None:
            r = {'value': r}
        elif isinstance(r, tuple):
            r = {'key': r[0], 'value': r[1]}
        deltas.append(r.get('ts_delta', 0))
        rows.append(record(i, **r))
    code, compress = CODECS[codec] if isinstance(codec, str) else (codec, lambda d: d)
    data = payload if payload is not None else compress(b''.join(rows))
    n = len(records) if count is None else count
    tail = struct.pack('>hiqqqhii', attributes | code,
                       n - 1 if last_delta is None else last_delta, timestamp,
                       timestamp + max(deltas) if max_ts is None else max_ts, pid, pid_epoch,
                       sequence, n) + data
    head = struct.pack('>ibI', epoch, magic, crc32c(tail) if crc is None else crc)
    return struct.pack('>qi', base_offset, len(head) + len(tail)) + head + tail


def legacy_message(value, magic=1, key=None):
    """A message of format 0 or 1, which brokers since 4.0 refuse."""
    def lenbytes(b):
        return struct.pack('>i', -1) if b is None else struct.pack('>i', len(b)) + b
    body = struct.pack('>bb', magic, 0) + (struct.pack('>q', 1700000000000) if magic else b'')
    body += lenbytes(key) + lenbytes(value)
    body = struct.pack('>I', zlib.crc32(body)) + body
    return struct.pack('>qi', 0, len(body)) + body


class Batch:
    """A view of one batch in fetched or stored bytes."""

    def __init__(self, data):
        (self.base_offset, self.length, self.epoch, self.magic, self.crc, self.attributes,
         self.last_delta, self.base_ts, self.max_ts, self.pid, self.pid_epoch, self.sequence,
         self.count) = struct.unpack_from('>qiibIhiqqqhii', data)
        self.size = self.length + 12
        self.data = data[:self.size]
        self.last_offset = self.base_offset + self.last_delta
        self.codec = self.attributes & 7
        self.is_control = bool(self.attributes & 32)

    def crc_ok(self):
        return crc32c(self.data[21:]) == self.crc

    def records(self):
        """Only for codecs of the standard library (none, gzip)."""
        body = self.data[61:]
        if self.codec == 1:
            body = zlib.decompress(body, 31)
        elif self.codec:
            raise WireError('codec %d' % self.codec)
        r, out = Reader(body), []
        for _ in range(self.count):
            r.varint()
            r.take(1)
            row = {'ts': self.base_ts + r.varint(), 'offset': self.base_offset + r.varint()}
            for name in ('key', 'value'):
                n = r.varint()
                row[name] = None if n < 0 else bytes(r.take(n))
            row['headers'] = []
            for _ in range(r.varint()):
                name = r.take(r.varint()).decode()
                n = r.varint()
                row['headers'].append((name, None if n < 0 else bytes(r.take(n))))
            out.append(row)
        return out


def batches(data):
    """The whole batches in data; an incomplete tail is left out."""
    out = []
    while len(data) >= 61:
        size = struct.unpack_from('>i', data, 8)[0] + 12
        if size > len(data):
            break
        out.append(Batch(data))
        data = data[size:]
    return out


# ---------------------------------------------------------------- error codes by name

ERRORS = {
    -1: 'UNKNOWN_SERVER_ERROR', 0: 'NONE', 1: 'OFFSET_OUT_OF_RANGE', 2: 'CORRUPT_MESSAGE',
    3: 'UNKNOWN_TOPIC_OR_PARTITION', 4: 'INVALID_FETCH_SIZE', 5: 'LEADER_NOT_AVAILABLE',
    6: 'NOT_LEADER_OR_FOLLOWER', 7: 'REQUEST_TIMED_OUT', 8: 'BROKER_NOT_AVAILABLE',
    10: 'MESSAGE_TOO_LARGE', 13: 'NETWORK_EXCEPTION', 14: 'COORDINATOR_LOAD_IN_PROGRESS',
    15: 'COORDINATOR_NOT_AVAILABLE', 16: 'NOT_COORDINATOR', 17: 'INVALID_TOPIC_EXCEPTION',
    18: 'RECORD_LIST_TOO_LARGE', 19: 'NOT_ENOUGH_REPLICAS', 20: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    12: 'OFFSET_METADATA_TOO_LARGE', 21: 'INVALID_REQUIRED_ACKS', 22: 'ILLEGAL_GENERATION',
    23: 'INCONSISTENT_GROUP_PROTOCOL', 24: 'INVALID_GROUP_ID', 25: 'UNKNOWN_MEMBER_ID',
    26: 'INVALID_SESSION_TIMEOUT', 27: 'REBALANCE_IN_PROGRESS', 68: 'NON_EMPTY_GROUP',
    69: 'GROUP_ID_NOT_FOUND', 79: 'MEMBER_ID_REQUIRED', 81: 'GROUP_MAX_SIZE_REACHED',
    82: 'FENCED_INSTANCE_ID', 86: 'GROUP_SUBSCRIBED_TO_TOPIC', 29: 'TOPIC_AUTHORIZATION_FAILED', 31: 'CLUSTER_AUTHORIZATION_FAILED',
    32: 'INVALID_TIMESTAMP', 35: 'UNSUPPORTED_VERSION', 36: 'TOPIC_ALREADY_EXISTS',
    37: 'INVALID_PARTITIONS', 38: 'INVALID_REPLICATION_FACTOR', 39: 'INVALID_REPLICA_ASSIGNMENT',
    40: 'INVALID_CONFIG', 41: 'NOT_CONTROLLER', 42: 'INVALID_REQUEST',
    43: 'UNSUPPORTED_FOR_MESSAGE_FORMAT', 44: 'POLICY_VIOLATION', 45: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
    46: 'DUPLICATE_SEQUENCE_NUMBER', 47: 'INVALID_PRODUCER_EPOCH', 48: 'INVALID_TXN_STATE',
    49: 'INVALID_PRODUCER_ID_MAPPING',
    50: 'INVALID_TRANSACTION_TIMEOUT', 51: 'CONCURRENT_TRANSACTIONS',
    52: 'TRANSACTION_COORDINATOR_FENCED', 53: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
    55: 'OPERATION_NOT_ATTEMPTED', 88: 'UNSTABLE_OFFSET_COMMIT',
    105: 'TRANSACTIONAL_ID_NOT_FOUND', 120: 'TRANSACTION_ABORTABLE', 54: 'SECURITY_DISABLED', 56: 'KAFKA_STORAGE_ERROR',
    57: 'LOG_DIR_NOT_FOUND', 59: 'UNKNOWN_PRODUCER_ID', 60: 'REASSIGNMENT_IN_PROGRESS',
    70: 'FETCH_SESSION_ID_NOT_FOUND', 71: 'INVALID_FETCH_SESSION_EPOCH',
    73: 'TOPIC_DELETION_DISABLED', 74: 'FENCED_LEADER_EPOCH', 75: 'UNKNOWN_LEADER_EPOCH',
    76: 'UNSUPPORTED_COMPRESSION_TYPE', 78: 'OFFSET_NOT_AVAILABLE', 80: 'PREFERRED_LEADER_NOT_AVAILABLE',
    83: 'ELIGIBLE_LEADERS_NOT_AVAILABLE', 84: 'ELECTION_NOT_NEEDED', 85: 'NO_REASSIGNMENT_IN_PROGRESS',
    87: 'INVALID_RECORD', 89: 'THROTTLING_QUOTA_EXCEEDED', 90: 'PRODUCER_FENCED',
    91: 'RESOURCE_NOT_FOUND', 92: 'DUPLICATE_RESOURCE', 95: 'INVALID_UPDATE_VERSION',
    96: 'FEATURE_UPDATE_FAILED', 100: 'UNKNOWN_TOPIC_ID', 101: 'DUPLICATE_BROKER_REGISTRATION',
    102: 'BROKER_ID_NOT_REGISTERED', 103: 'INCONSISTENT_TOPIC_ID', 104: 'INCONSISTENT_CLUSTER_ID',
    106: 'FETCH_SESSION_TOPIC_ID_ERROR', 110: 'FENCED_MEMBER_EPOCH', 111: 'UNRELEASED_INSTANCE_ID',
    112: 'UNSUPPORTED_ASSIGNOR', 113: 'STALE_MEMBER_EPOCH', 116: 'TELEMETRY_TOO_LARGE', 120: 'TRANSACTION_ABORTABLE',
    121: 'INVALID_RECORD_STATE', 128: 'INVALID_REGULAR_EXPRESSION', 129: 'REBOOTSTRAP_REQUIRED',
    105: 'TRANSACTIONAL_ID_NOT_FOUND', 51: 'CONCURRENT_TRANSACTIONS', 52: 'TRANSACTION_COORDINATOR_FENCED',
    50: 'INVALID_TRANSACTION_TIMEOUT', 53: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
}


def err(code):
    return ERRORS.get(code, 'error %d' % code)
