"""Messages -> gen/api/<name>.h|c and gen/rec/<name>.h|c: structs for people, tables for the codec (src/wire/codec_table.h)."""

from gen_model import NEVER
from gen_output import c_string

C_TYPES = {"bool": "bool", "int8": "int8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t",
           "uint32": "uint32_t", "int64": "int64_t", "float64": "double", "uuid": "struct uuid", "string": "struct slice",
           "bytes": "struct slice", "records": "struct records"}


def c_type(field):
    return f"struct {field.struct.name}" if field.kind == "struct" else C_TYPES[field.kind]


def show_versions(versions):
    return f"{versions[0]}" if versions[0] == versions[1] else f"{versions[0]}-{versions[1]}"


def flexible_text(struct):
    return "never flexible" if struct.flexible_from == NEVER else f"flexible from {struct.flexible_from}"


def comment(field, struct):
    """What the C type does not say: versions, null, default, tag."""
    parts = []
    if field.versions != struct.versions:
        parts.append(f"version{'s' if field.versions[0] != field.versions[1] else ''} {show_versions(field.versions)}")
    if field.tag is not None:
        parts.append(f"tag {field.tag}")
    if field.nullable:
        parts.append("may be null" if field.nullable == field.versions else f"may be null in {show_versions(field.nullable)}")
    if field.kind == "struct" and field.nullable and not field.array and not field.default:
        parts.append("default: one that is shared, read only")
    if field.default:
        parts.append(f"default {field.default}")
    return f"  // {', '.join(parts)}" if parts else ""


def struct_text(struct):
    lines = [f"struct {struct.name} {{"]
    for field in struct.fields:
        pointer = "*" if field.array or (field.kind == "struct" and field.nullable) else ""
        lines.append(f"    {c_type(field)} {pointer}{field.name};{comment(field, struct)}")
        if field.array:
            lines.append(f"    int32_t {field.name}_count;")
    if struct.flexible_from != NEVER:
        lines.append("    struct unknown_tags unknown_tags;")
    return "\n".join(lines + ["};"])


def new_text(struct):
    return (f"static inline struct {struct.name} *{struct.name}_new(\n    struct arena *arena, int32_t count) {{\n"
            f"    return codec_new(&{struct.name}_codec, arena, count);\n}}")


def header_of(messages):
    """The declarations of some messages, inner structs first."""
    blocks = []
    for message in messages:
        blocks.append(f"// {message.label}: versions {show_versions(message.versions)}, {flexible_text(message)}.")
        structs = message.parts + [message]
        blocks += [struct_text(struct) for struct in structs]
        blocks.append("\n".join(f"extern const struct codec_struct {struct.name}_codec;" for struct in structs))
        blocks += [new_text(struct) for struct in message.parts]
    text = "\n\n".join(blocks) + "\n"
    return text.replace(".\n\nstruct", ".\nstruct")


def default_value(field, indent):
    """The C initializer of a field, None when it is all zero bits."""
    if field.array:
        return None
    if field.kind == "struct":
        if not field.nullable:
            return defaults_of(field.struct, indent + 4)
        return None if field.default == "null" else f"\n        (struct {field.struct.name} *)&{field.struct.name}_defaults"
    if field.kind in ("string", "bytes", "records"):
        null = field.default == "null"
        if field.kind == "records":
            return None if null else "{.bytes = {(const uint8_t *)\"\", 0}}"
        return None if null else f"{{(const uint8_t *){c_string(field.default or '')}, {len(field.default or '')}}}"
    if field.default is None:
        return None
    return "INT64_MAX" if field.default == "9223372036854775807" else \
        "INT32_MIN" if field.default == "-2147483648" else field.default


def defaults_of(struct, indent=4):
    """The initializer of a whole struct, one member a line, or None when all of it is zero."""
    lines = []
    for field in struct.fields:
        value = default_value(field, indent)
        if value is not None:
            lines.append(f"{' ' * indent}.{field.name} = {value},".replace("= \n", "=\n"))
        if field.array and field.default == "null":
            lines.append(f"{' ' * indent}.{field.name}_count = -1,")
    return "\n".join(["{"] + lines + [f"{' ' * (indent - 4)}}}"]) if lines else None


def wrap(prefix, items, suffix):
    """`prefix item, item, … suffix` on lines of at most 100 columns."""
    lines, line = [], prefix
    for item in items:
        if line != prefix and len(line) + len(item) + 2 > 98:
            lines.append(line.rstrip())
            line = "    "
        line += item + ", "
    lines.append(line.rstrip(", ") + suffix)
    return "\n".join(lines)


def pair(versions):
    return f"{{{versions[0]}, {versions[1]}}}" if versions else "CODEC_NEVER"


def field_row(struct, field):
    flags = [name for name, is_set in (("CODEC_ARRAY", field.array), ("CODEC_IGNORABLE", field.ignorable),
                                       ("CODEC_CLASSIC", field.classic)) if is_set]
    kind = f"CODEC_{field.kind.upper()}"
    if field.kind == "struct" and field.nullable and not field.array:
        kind = "CODEC_STRUCT_POINTER"
    tag = "CODEC_UNTAGGED" if field.tag is None else str(field.tag)
    type_ = f"&{field.struct.name}_codec" if field.struct else "NULL"
    return (f"    {{{c_string(field.json)}, offsetof(struct {struct.name}, {field.name}),\n"
            f"     {kind}, {' | '.join(flags) or 0}, {pair(field.versions)}, {pair(field.nullable)}, {tag}, {type_}}},")


def table_text(struct):
    """The tables of one struct."""
    name = struct.name
    text = ""
    if struct.fields:
        rows = "\n".join(field_row(struct, field) for field in struct.fields)
        text += f"static const struct codec_field {name}_fields[] = {{\n{rows}\n}};\n"
    tags = sorted((field.tag, index) for index, field in enumerate(struct.fields) if field.tag is not None)
    if tags:
        text += wrap(f"static const uint8_t {name}_tags[] = {{", [str(index) for _, index in tags], "};\n")
    defaults = defaults_of(struct)
    if defaults:
        text += f"static const struct {name} {name}_defaults = {defaults};\n"
    else:
        text += f"static const struct {name} {name}_defaults;\n"
    sizes = [str(min(struct.size_min(version), 255)) for version in range(struct.versions[0], struct.versions[1] + 1)]
    text += wrap(f"static const uint8_t {name}_sizes_min[] = {{", sizes, "};\n")
    unknown = f"offsetof(struct {name}, unknown_tags)" if struct.flexible_from != NEVER else "0"
    text += (f"const struct codec_struct {name}_codec = {{\n"
             f"    .name = {c_string(struct.label)},\n"
             f"    .fields = {f'{name}_fields' if struct.fields else 'NULL'},\n"
             f"    .tags = {f'{name}_tags' if tags else 'NULL'},\n"
             f"    .defaults = &{name}_defaults,\n"
             f"    .sizes_min = {name}_sizes_min,\n"
             f"    .size = sizeof(struct {name}),\n"
             f"    .unknown_tags = {unknown},\n"
             f"    .field_count = {len(struct.fields)},\n"
             f"    .tag_count = {len(tags)},\n"
             f"    .versions = {pair(struct.versions)},\n"
             f"    .flexible_from = {'CODEC_NEVER_FLEXIBLE' if struct.flexible_from == NEVER else struct.flexible_from},\n"
             f"}};\n")
    return text


def source_of(messages):
    return "\n".join(table_text(struct) for message in messages for struct in message.parts + [message])


def write_pair(out, folder, name, source, intro, messages, head="", tail="", body=""):
    """gen/<folder>/<name>.h and .c."""
    out.write(f"{folder}/{name}.h",
              f"// Generated from {source}. {intro}\n"
              "// What the rules of these structs are is told in wire/codec.h.\n#pragma once\n\n"
              f'#include "wire/codec.h"\n\n{head}{header_of(messages)}{tail}')
    out.write(f"{folder}/{name}.c",
              f"// Generated from {source}.\n"
              f'#include "gen/{folder}/{name}.h"\n\n#include "wire/codec_table.h"\n\n{source_of(messages)}{body}')


def generate_api(api, out):
    write_pair(out, "api", api.name, f"schema/api/{api.name}.api", f"{api.kafka_name}, key {api.key}.",
               [api.request, api.response])


def record_constant(file, name):
    """METADATA_TOPIC, GROUP_OFFSET_COMMIT; a name that begins as the file does is not said twice."""
    return name.upper() if name.startswith(file + "_") else f"{file}_{name}".upper()


def lookup_text(file, part):
    """The function from a record's type to its table. `part`: message, key or value."""
    suffix = "record" if part == "message" else part
    cases = "".join(f"        case {record_constant(file.name, record.name)}:\n"
                    f"            return &{getattr(record, part).name}_codec;\n" for record in file.records)
    signature = f"const struct codec_struct *{file.name}_{suffix}_codec(int32_t type)"
    return signature + ";", (f"\n{signature} {{\n    switch (type) {{\n{cases}        default:\n"
                             f"            return NULL;\n    }}\n}}\n")


def generate_records(file, out):
    head = tail = body = ""
    if file.records:
        constants = "\n".join(f"    {record_constant(file.name, record.name)} = {record.type},"
                              for record in sorted(file.records, key=lambda record: record.type))
        head = f"enum {file.name}_record_type {{\n{constants}\n}};\n\n"
        parts = ("message",) if file.records[0].message else ("key", "value")
        declarations = []
        for part in parts:
            declaration, definition = lookup_text(file, part)
            declarations.append(declaration)
            body += definition
        tail = "\n// By the type of a record; NULL for a type that is none (skip such records, KIP-915).\n"
        tail += "\n".join(declarations) + "\n"
    write_pair(out, "rec", file.name, f"schema/rec/{file.name}.rec", f"Records and data: {file.name}.", file.messages,
               head, tail, body)


def generate_list(schema, out):
    """gen/messages.h|c: every message, for tests, fuzzing and dumps."""
    messages = schema.messages()
    includes = [f'#include "gen/api/{api.name}.h"' for api in schema.apis]
    includes += [f'#include "gen/rec/{file.name}.h"' for file in schema.records]
    rows = "\n".join(f"    &{message.name}_codec," for message in messages)
    out.write("messages.h", "// Generated from schema/. Every message that the codec knows.\n#pragma once\n\n"
              '#include "wire/codec.h"\n\n'
              f"#define MESSAGE_COUNT {len(messages)}\n\n"
              "// In the order of the API keys, then the records by file.\n"
              "extern const struct codec_struct *const codec_messages[MESSAGE_COUNT];\n\n"
              "// By Kafka's name (FetchRequest, TopicRecord); NULL when there is none.\n"
              "const struct codec_struct *codec_message_of(struct slice name);\n")
    out.write("messages.c", "// Generated from schema/.\n" '#include "gen/messages.h"\n\n' + "\n".join(includes) +
              f"\n\nconst struct codec_struct *const codec_messages[MESSAGE_COUNT] = {{\n{rows}\n}};\n\n"
              "const struct codec_struct *codec_message_of(struct slice name) {\n"
              "    for (size_t i = 0; i < MESSAGE_COUNT; i++)\n"
              "        if (slice_equal_cstring(name, codec_name(codec_messages[i]))) return codec_messages[i];\n"
              "    return NULL;\n}\n")


def generate(schema, out):
    for api in schema.apis:
        generate_api(api, out)
    for file in schema.records:
        generate_records(file, out)
    generate_list(schema, out)
