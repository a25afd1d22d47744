"""The APIs -> gen/apis.h|c (who is who), gen/handlers.h|c (key -> handler) and gen/protocol.md."""

from gen_messages import show_versions
from gen_model import NEVER

HEADER = """\
// Generated from schema/api/. Kafka's APIs: keys, versions, listeners, tables. Any thread; all constant.
#pragma once

{includes}

enum api_key {{
{keys}
}};

#define API_KEY_MAX {key_max}

enum api_listener {{
    API_LISTENER_BROKER = 1,
    API_LISTENER_CONTROLLER = 2,
}};

// By which quota a response may be delayed; `none` are those between nodes.
enum api_throttle {{
    API_THROTTLE_NONE,
    API_THROTTLE_REQUEST,     // request time only
    API_THROTTLE_PRODUCE,     // bytes in, and request time
    API_THROTTLE_FETCH,       // bytes out, and request time
    API_THROTTLE_CONTROLLER,  // partitions created and deleted, and request time
}};

struct api_info {{
    const char *name;        // Kafka's, without Request: "Fetch"
    int16_t key;
    int16_t version_min;     // what the codec knows and the broker serves
    int16_t version_max;
    int16_t advertised_min;  // what ApiVersions says (Produce from 0; InitProducerId without its unstable version)
    int16_t advertised_max;
    int16_t flexible_from;   // INT16_MAX: never
    uint8_t listeners;       // of enum api_listener
    uint8_t throttle;        // enum api_throttle
    bool planned;            // no handler yet: not advertised
    const struct codec_struct *request;
    const struct codec_struct *response;
}};

// NULL for a key that is none (4 to 7 were ZooKeeper's).
const struct api_info *api_info_of(int16_t key);

static inline bool api_flexible(const struct api_info *info, int16_t version) {{
    return version >= info->flexible_from;
}}

// Versions of request_header and response_header (gen/rec/header.h). The response of ApiVersions always has header 0, so that a client may
// read it before it knows what the broker speaks.
static inline int16_t api_request_header_version(const struct api_info *info, int16_t version) {{
    return api_flexible(info, version) ? 2 : 1;
}}
static inline int16_t api_response_header_version(const struct api_info *info, int16_t version) {{
    return api_flexible(info, version) && info->key != API_API_VERSIONS ? 1 : 0;
}}
"""

SOURCE = """\
// Generated from schema/api/.
#include "gen/apis.h"

static const struct api_info infos[API_KEY_MAX + 1] = {{
{rows}
}};

const struct api_info *api_info_of(int16_t key) {{
    if (key < 0 || key > API_KEY_MAX || infos[key].name == NULL) return NULL;
    return &infos[key];
}}
"""

HANDLERS_H = """\
// Generated from schema/api/. The handler of each API that is not marked `planned`: api_<name> in src/api/<name>.c.
#pragma once

#include <stdint.h>

struct api_call;

typedef void api_handler(struct api_call *call);

// NULL for an API without handler.
api_handler *api_handler_of(int16_t key);
"""

HANDLERS_C = """\
// Generated from schema/api/. An API that is neither handled nor marked `planned` does not link.
#include "gen/handlers.h"

#include "gen/apis.h"

{declarations}
static api_handler *const handlers[API_KEY_MAX + 1] = {{
{rows}
}};

api_handler *api_handler_of(int16_t key) {{
    return key < 0 || key > API_KEY_MAX ? NULL : handlers[key];
}}
"""


def constant(api):
    return f"API_{api.name.upper()}"


def info_row(api):
    flexible = "INT16_MAX" if api.request.flexible_from == NEVER else str(api.request.flexible_from)
    listeners = " | ".join(f"API_LISTENER_{name.upper()}" for name in api.listeners)
    throttle = f"API_THROTTLE_{(api.throttle or 'none').upper()}"
    versions = api.request.versions
    return (f"    [{constant(api)}] = {{\"{api.kafka_name}\", {api.key}, {versions[0]}, {versions[1]}, {api.advertised[0]}, "
            f"{api.advertised[1]}, {flexible},\n"
            f"        {listeners}, {throttle}, {'true' if api.planned else 'false'},\n"
            f"        &{api.request.name}_codec, &{api.response.name}_codec}},")


def doc_fields(struct, depth, lines):
    """A field per line, inner structs indented below theirs."""
    for field in struct.fields:
        notes = [f"v{show_versions(field.versions)}"] if field.versions != struct.versions else []
        notes += [f"tag {field.tag}"] if field.tag is not None else []
        notes += ["may be null"] if field.nullable else []
        notes += [f"default {field.default}"] if field.default else []
        kind = ("[]" if field.array else "") + ("struct" if field.struct else field.kind)
        lines.append(f"{'  ' * depth}- `{field.json}` {kind}{': ' + ', '.join(notes) if notes else ''}")
        if field.struct:
            doc_fields(field.struct, depth + 1, lines)


def protocol_text(schema):
    lines = ["# The protocol that Taccola speaks", "",
             "Generated from `schema/`. `planned` APIs are known to the codec but not served and not advertised.", "",
             "| key | API | versions | flexible | listeners | needs | state |", "|---|---|---|---|---|---|---|"]
    for api in schema.apis:
        advertised = "" if api.advertised == api.request.versions else f" (advertised {show_versions(api.advertised)})"
        flexible = "never" if api.request.flexible_from == NEVER else f"{api.request.flexible_from}+"
        lines.append(f"| {api.key} | {api.kafka_name} | {show_versions(api.request.versions)}{advertised} | {flexible} | "
                     f"{', '.join(api.listeners)} | {'; '.join(api.acl)} | {'planned' if api.planned else 'served'} |")
    for message in schema.messages():
        lines += ["", f"## {message.label}, versions {show_versions(message.versions)}", ""]
        doc_fields(message, 0, lines)
        if not message.fields:
            lines.append("No fields.")
    return "\n".join(lines) + "\n"


def generate(schema, out):
    includes = "\n".join(f'#include "gen/api/{api.name}.h"' for api in schema.apis)
    keys = "\n".join(f"    {constant(api)} = {api.key}," for api in schema.apis)
    key_max = max(api.key for api in schema.apis)
    out.write("apis.h", HEADER.format(includes=includes, keys=keys, key_max=key_max))
    out.write("apis.c", SOURCE.format(rows="\n".join(info_row(api) for api in schema.apis)))
    served = [api for api in schema.apis if not api.planned]
    out.write("handlers.h", HANDLERS_H)
    out.write("handlers.c", HANDLERS_C.format(
        declarations="".join(f"void api_{api.name}(struct api_call *call);\n" for api in served),
        rows="\n".join(f"    [{constant(api)}] = api_{api.name}," for api in served) or "    NULL,"))
    out.write("protocol.md", protocol_text(schema))
