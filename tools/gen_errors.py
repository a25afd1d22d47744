"""schema/errors -> err.h and err.c: enum err and its properties."""

from gen_output import SchemaError, c_string

LOCAL_FIRST = 1000

HEADER = """\
// Generated from schema/errors. Every error that a function may return.
//
// Kafka's errors have their wire code as value; local ones begin at {local} and become a wire code by err_wire().
// Any thread; the strings live for ever.
#pragma once

#include "base/compiler.h"

enum err {{
{constants}
}};

// Kafka's name of the constant (without ERR_); for local errors ours. "UNKNOWN" for a number that is no row.
const char *err_name(enum err err);

// The sentence for a person; for Kafka's errors word for word what its clients know.
const char *err_text(enum err err);

// The code that a peer sees. Unknown numbers become UNKNOWN_SERVER_ERROR.
int16_t err_wire(enum err err);

// The error of a code that came from a peer; codes we do not know become ERR_UNKNOWN_SERVER_ERROR.
enum err err_of_wire(int16_t code);

// Whether the same call may succeed when it is made again.
bool err_retriable(enum err err);
"""

SOURCE = """\
// Generated from schema/errors.
#include "gen/err.h"

struct row {{
    const char *name;
    const char *text;
    int16_t wire;
    bool retriable;
}};

// From code {first} on, without gaps.
static const struct row kafka_rows[] = {{
{kafka}
}};

// From value {local} on.
static const struct row local_rows[] = {{
{locals}
}};

static const struct row unknown = {{"UNKNOWN", "unknown error", -1, false}};

static const struct row *row_of(enum err err) {{
    int kafka = (int)err - ({first});
    int local = (int)err - {local};
    if (kafka >= 0 && kafka < (int)COUNT_OF(kafka_rows)) return &kafka_rows[kafka];
    if (local >= 0 && local < (int)COUNT_OF(local_rows)) return &local_rows[local];
    return &unknown;
}}

const char *err_name(enum err err) {{ return row_of(err)->name; }}

const char *err_text(enum err err) {{ return row_of(err)->text; }}

int16_t err_wire(enum err err) {{ return row_of(err)->wire; }}

enum err err_of_wire(int16_t code) {{
    int kafka = code - ({first});
    if (kafka < 0 || kafka >= (int)COUNT_OF(kafka_rows)) return ERR_UNKNOWN_SERVER_ERROR;
    return (enum err)code;
}}

bool err_retriable(enum err err) {{ return row_of(err)->retriable; }}
"""


def read(path):
    """Lists (name, wire, retriable, text) of Kafka's and of the local rows."""
    sections = {"kafka": [], "local": []}
    rows = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(None, 3)
        if len(words) == 1 and words[0] in sections:
            rows = sections[words[0]]
            continue
        if rows is None or len(words) != 4 or words[2] not in ("retriable", "-"):
            raise SchemaError(path, number, "expected: NAME code retriable|- text")
        rows.append((words[0], words[1], words[2] == "retriable", words[3]))
    kafka = [(name, int(wire), retriable, text) for name, wire, retriable, text in sections["kafka"]]
    codes = {name: code for name, code, _, _ in kafka}
    if [code for _, code, _, _ in kafka] != list(range(kafka[0][1], kafka[0][1] + len(kafka))):
        raise SchemaError(path, 1, "wire codes must rise by one")
    locals_ = []
    for name, wire, retriable, text in sections["local"]:
        if name in codes or wire not in codes:
            raise SchemaError(path, 1, f"local row {name}: name taken, or {wire} is no error of Kafka")
        locals_.append((name, codes[wire], retriable, text))
    return kafka, locals_


def generate(path, out):
    kafka, locals_ = read(path)
    constants = [f"    ERR_{name} = {code}," for name, code, _, _ in kafka]
    constants += [f"    ERR_{row[0]} = {LOCAL_FIRST + i}," for i, row in enumerate(locals_)]

    def rows(table):
        return "\n".join(f"    {{{c_string(name)}, {c_string(text)},\n     {wire}, {'true' if retriable else 'false'}}},"
                         for name, wire, retriable, text in table)

    out.write("err.h", HEADER.format(local=LOCAL_FIRST, constants="\n".join(constants)))
    out.write("err.c", SOURCE.format(first=kafka[0][1], local=LOCAL_FIRST, kafka=rows(kafka), locals=rows(locals_)))
