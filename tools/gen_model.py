"""Reads schema/api/*.api and schema/rec/*.rec into messages, structs and fields. The language is told in schema/README.md."""

import re

from gen_output import SchemaError

PRIMITIVES = ("bool", "int8", "int16", "uint16", "int32", "uint32", "int64", "float64", "uuid", "string", "bytes",
              "records")
NEVER = 255          # flexible_from of a message that is never flexible
VERSION_MAX = 127
THROTTLES = ("request", "produce", "fetch", "controller")
NULLABLE_KINDS = ("string", "bytes", "records", "struct")


class Field:
    """One field of a struct. `versions` and `nullable` are (first, last) or None."""

    def __init__(self, name, kind, array, versions):
        self.name, self.kind, self.array, self.versions = name, kind, array, versions
        self.json = camel(name)
        self.nullable = None
        self.default = None     # text of the schema, None when it names none
        self.tag = None
        self.ignorable = self.key = self.classic = False
        self.struct = None      # for kind "struct"


class Struct:
    """A generated C struct: a message, or a part of one."""

    def __init__(self, name, label, versions, flexible_from):
        self.name, self.label, self.versions, self.flexible_from = name, label, versions, flexible_from
        self.fields = []

    def flexible(self, version):
        return version >= self.flexible_from

    def size_min(self, version):
        """The fewest bytes that this struct takes in this version."""
        size = 1 if self.flexible(version) else 0
        for field in self.fields:
            if covers(field.versions, version) and field.tag is None:
                size += field_size_min(field, version, self.flexible(version) and not field.classic)
        return size


class Message(Struct):
    """A struct that stands for itself on the wire or in a log; `parts` are its inner structs, inner ones first."""

    def __init__(self, name, kafka_name, versions, flexible_from):
        super().__init__(name, kafka_name, versions, flexible_from)
        self.parts = []


class Api:
    """One *.api file."""

    def __init__(self, name, key):
        self.name, self.key = name, key
        self.advertised = None
        self.listeners, self.throttle, self.acl = [], None, []
        self.planned = False
        self.request = self.response = None

    @property
    def kafka_name(self):
        return pascal(self.name)


class Record:
    """A type of record in a log: one message (metadata), or a key and a value (coordinators)."""

    def __init__(self, type_, name):
        self.type, self.name = type_, name
        self.message = self.key = self.value = None


class RecordFile:
    """One *.rec file: records with a type number, or plain messages."""

    def __init__(self, name):
        self.name, self.records, self.messages = name, [], []


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def pascal(name):
    return "".join(word.capitalize() for word in name.split("_"))


def singular(name):
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def covers(versions, version):
    return versions is not None and versions[0] <= version <= versions[1]


def field_size_min(field, version, compact):
    if field.array:
        return 1 if compact else 4
    if field.kind == "struct":
        return 1 if field.nullable else field.struct.size_min(version)
    sizes = {"bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "float64": 8, "uuid": 16}
    classic = {"string": 2, "bytes": 4, "records": 4}
    return sizes.get(field.kind) or (1 if compact else classic[field.kind])


class Line:
    """A line of a schema file: its indent (in steps of two) and words."""

    def __init__(self, path, number, text):
        self.path, self.number = path, number
        body = text.split("#")[0].rstrip()
        spaces = len(body) - len(body.lstrip())
        self.words = body.split()
        if spaces % 2:
            raise self.error("odd indent")
        self.depth = spaces // 2

    def error(self, text):
        return SchemaError(self.path, self.number, text)


class Reader:
    """The lines of one file, with one line of lookahead."""

    def __init__(self, path):
        lines = (Line(path, number, text) for number, text in enumerate(path.read_text().splitlines(), 1))
        self.lines = [line for line in lines if line.words]
        self.next = 0

    def peek(self):
        return self.lines[self.next] if self.next < len(self.lines) else None

    def take(self):
        self.next += 1
        return self.lines[self.next - 1]


def parse_range(line, text, outer):
    """`3`, `3-5`, `3+` within `outer`."""
    match = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
    if not match:
        raise line.error(f"no range of versions: {text}")
    first = int(match[1])
    last = outer[1] if match[2] else int(match[3] or first)
    if not (outer[0] <= first <= last <= outer[1]):
        raise line.error(f"versions {text} are not within {outer[0]}-{outer[1]}")
    return first, last


class MessageParser:
    """Parses the body of one message."""

    def __init__(self, reader, message, depth):
        self.reader, self.message, self.depth = reader, message, depth
        self.defined = {}
        self.names = {message.name}

    def parse(self):
        self.declare()
        self.body(self.message, self.depth, [])
        ordered = []
        for part in self.message.parts:
            self.order(part, ordered)
        self.message.parts = ordered

    def declare(self):
        """A `define` may use one that follows: learn their names first."""
        for line in self.reader.lines[self.reader.next:]:
            if line.depth < self.depth:
                break
            if line.depth == self.depth and line.words[0] == "define":
                name = line.words[1]
                versions = self.message.versions
                if len(line.words) == 3:
                    versions = parse_range(line, line.words[2], versions)
                self.defined[name] = self.part(line, [f"{self.message.name}_{name}"], versions)

    def part(self, line, names, versions):
        """A new inner struct with the first of `names` that is free."""
        for name in names:
            if name not in self.names:
                self.names.add(name)
                part = Struct(name, f"{self.message.label}.{name[len(self.message.name) + 1:]}", versions,
                              self.message.flexible_from)
                self.message.parts.append(part)
                return part
        raise line.error(f"two structs would be called {names[-1]}")

    def order(self, part, ordered):
        """Inner structs before those that hold them."""
        if part in ordered:
            return
        for field in part.fields:
            if field.struct:
                self.order(field.struct, ordered)
        ordered.append(part)

    def body(self, struct, depth, parents):
        while (line := self.reader.peek()) and line.depth >= depth:
            if line.depth != depth:
                raise line.error("unexpected indent")
            self.reader.take()
            if line.words[0] == "define" and depth == self.depth:
                self.body(self.defined[line.words[1]], depth + 1, [line.words[1]])
            else:
                struct.fields.append(self.field(line, struct, depth, parents))
        self.check(struct, line or self.reader.lines[-1])

    def field(self, line, struct, depth, parents):
        if len(line.words) < 2:
            raise line.error("expected: type name …")
        match = re.fullmatch(r"(\[\])?([a-z0-9_]+)(?:(\?)(\S*))?", line.words[0])
        if not match:
            raise line.error(f"no type: {line.words[0]}")
        name, rest = line.words[1], line.words[2:]
        versions = struct.versions
        if rest and rest[0][0].isdigit():
            versions = parse_range(line, rest.pop(0), versions)
        kind = match[2] if match[2] in PRIMITIVES else "struct"
        field = Field(name, kind, bool(match[1]), versions)
        if match[3]:
            field.nullable = parse_range(line, match[4], versions) if match[4] else versions
            if not field.array and kind not in NULLABLE_KINDS:
                raise line.error(f"a {kind} cannot be null")
        self.attributes(line, field, rest)
        if match[2] == "struct":
            one = singular(name)
            above = [singular(parent) for parent in parents]
            names = [f"{self.message.name}_{one}"]
            names += [f"{self.message.name}_{'_'.join(above[-n:] + [one])}" for n in range(1, len(above) + 1)]
            field.struct = self.part(line, names, versions)
            self.body(field.struct, depth + 1, parents + [name])
        elif kind == "struct":
            field.struct = self.defined.get(match[2])
            if field.struct is None:
                raise line.error(f"unknown type {match[2]}")
        return field

    @staticmethod
    def attributes(line, field, words):
        while words:
            word = words.pop(0)
            if word == "=" and words:
                field.default = words.pop(0)
            elif word == "tag" and words and words[0].isdigit():
                field.tag = int(words.pop(0))
            elif word == "json" and words:
                field.json = words.pop(0)
            elif word in ("ignorable", "key", "classic"):
                setattr(field, word, True)
            else:
                raise line.error(f"unexpected word: {word}")
        if field.default == "null" and not field.nullable:
            raise line.error("default null, but not nullable")

    @staticmethod
    def check(struct, line):
        names = [field.name for field in struct.fields]
        names += [f"{field.name}_count" for field in struct.fields if field.array]
        if len(names) != len(set(names)):
            raise line.error(f"{struct.name}: a name is there twice")
        tags = sorted(field.tag for field in struct.fields if field.tag is not None)
        if tags != list(range(len(tags))) or len(tags) > 32:
            raise line.error(f"{struct.name}: tags must be 0, 1, 2 … and no more than 32")
        for field in struct.fields:
            if field.tag is not None and not struct.flexible(field.versions[0]):
                raise line.error(f"{struct.name}: {field.name} is tagged in a version that has no tags")


def parse_versions(line, words):
    """`0-4 flexible 2+` at the head of `words` (consumed): versions and flexible_from."""
    versions = parse_range(line, words.pop(0), (0, VERSION_MAX))
    flexible_from = NEVER
    if words[:1] == ["flexible"]:
        flexible_from = int(words[1].rstrip("+"))
        del words[:2]
    return versions, flexible_from


def parse_message(reader, name, kafka_name, versions, flexible_from, depth=1):
    message = Message(name, kafka_name, versions, flexible_from)
    MessageParser(reader, message, depth).parse()
    return message


def read_api(path):
    reader = Reader(path)
    line = reader.take()
    words = line.words[1:]
    if line.words[0] != "api" or len(words) < 3:
        raise line.error("expected: api KEY NAME VERSIONS …")
    api = Api(words[1], int(words[0]))
    words = words[2:]
    versions, flexible_from = parse_versions(line, words)
    api.advertised = versions
    while words:
        word = words.pop(0)
        if word == "advertised":
            api.advertised = parse_range(line, words.pop(0), (0, VERSION_MAX))
        elif word == "listener":
            while words and words[0] in ("broker", "controller"):
                api.listeners.append(words.pop(0))
        elif word == "throttle":
            api.throttle = words.pop(0)
            if api.throttle not in THROTTLES:
                raise line.error(f"no throttle: {api.throttle}")
        elif word == "planned":
            api.planned = True
        else:
            raise line.error(f"unexpected word: {word}")
    while (line := reader.peek()) and line.words[0] == "acl":
        api.acl.append(" ".join(reader.take().words[1:]))
    for part in ("request", "response"):
        line = reader.peek()
        if line is None or line.words != [part]:
            raise SchemaError(path, line.number if line else 0, f"expected: {part}")
        reader.take()
        setattr(api, part, parse_message(reader, f"{api.name}_{part}", api.kafka_name + part.capitalize(), versions,
                                         flexible_from))
    if not api.listeners or not api.acl:
        raise SchemaError(path, 1, "an api names its listeners and its acl")
    if path.stem != api.name:
        raise SchemaError(path, 1, f"the file of {api.name} is called {api.name}.api")
    return api


def read_records(path):
    reader = Reader(path)
    result = RecordFile(path.stem)
    while line := reader.peek():
        reader.take()
        words = line.words[1:]
        if line.words[0] == "message":
            name = words.pop(0)
            versions, flexible_from = parse_versions(line, words)
            kafka_name = words[1] if words[:1] == ["json"] else pascal(name)
            result.messages.append(parse_message(reader, name, kafka_name, versions, flexible_from))
        elif line.words[0] == "record":
            record = Record(int(words.pop(0)), words.pop(0))
            result.records.append(record)
            if words:
                name = f"{record.name}_record"
                record.message = parse_message(reader, name, pascal(name), *parse_versions(line, words))
        elif line.words[0] in ("key", "value") and result.records:
            name = f"{result.records[-1].name}_{line.words[0]}"
            setattr(result.records[-1], line.words[0],
                    parse_message(reader, name, pascal(name), *parse_versions(line, words)))
        else:
            raise line.error(f"unexpected word: {line.words[0]}")
    for record in result.records:
        for message in (record.message, record.key, record.value):
            if message:
                result.messages.append(message)
    return result


class Schema:
    """All that schema/ says about messages."""

    def __init__(self, root):
        self.apis = sorted((read_api(path) for path in (root / "api").glob("*.api")), key=lambda api: api.key)
        self.records = [read_records(path) for path in sorted((root / "rec").glob("*.rec"))]
        self.check(root)

    def check(self, root):
        keys = [api.key for api in self.apis]
        if len(keys) != len(set(keys)):
            raise SchemaError(root / "api", 0, "two files have the same api key")
        names = [struct.name for message in self.messages() for struct in message.parts + [message]]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SchemaError(root, 0, f"struct names are there twice: {', '.join(sorted(twice))}")

    def messages(self):
        result = []
        for api in self.apis:
            result += [api.request, api.response]
        for file in self.records:
            result += file.messages
        return result
