#!/usr/bin/env python3
"""schema/configs/ -> configs.h and configs.c: enum config_key and the table of rows. Usage: gen_configs.py --schema DIR --out DIR.

Each file holds the rows of one scope; `taccola` adds rows to the scope broker. The columns are named in the file's first
line; what may stand in them is told in schema/README.md.
"""

import argparse
import pathlib
import re
import sys

from gen_output import Output, SchemaError, c_string

SCOPES = {"broker": "BROKER", "taccola": "BROKER", "topic": "TOPIC", "group": "GROUP",
          "client-metrics": "CLIENT_METRICS", "quota": "QUOTA"}
TYPES = ("boolean", "string", "int", "short", "long", "double", "list", "class", "password")
UPDATES = {"read-only": "READ_ONLY", "per-broker": "PER_BROKER", "cluster-wide": "CLUSTER_WIDE"}
CHECKS = {"-": "ANY", "not empty": "NOT_EMPTY", "not null": "NOT_NULL", "gzip level": "GZIP_LEVEL",
          "throttled replicas": "THROTTLED_REPLICAS", "bootstrap servers": "BOOTSTRAP_SERVERS", "voters": "VOTERS",
          "offset reset": "OFFSET_RESET"}

HEADER = """\
// Generated from schema/configs/. Every config key that Kafka has, and our own: one row each.
#pragma once

#include "base/slice.h"

enum config_scope {{
    CONFIG_SCOPE_BROKER,
    CONFIG_SCOPE_TOPIC,
    CONFIG_SCOPE_GROUP,
    CONFIG_SCOPE_CLIENT_METRICS,
    CONFIG_SCOPE_QUOTA,
    CONFIG_SCOPE_COUNT,
}};

// The values are those of DescribeConfigs on the wire.
enum config_type {{
    CONFIG_TYPE_BOOLEAN = 1,
    CONFIG_TYPE_STRING = 2,
    CONFIG_TYPE_INT = 3,
    CONFIG_TYPE_SHORT = 4,
    CONFIG_TYPE_LONG = 5,
    CONFIG_TYPE_DOUBLE = 6,
    CONFIG_TYPE_LIST = 7,
    CONFIG_TYPE_CLASS = 8,
    CONFIG_TYPE_PASSWORD = 9,
}};

// What values are valid beyond their type; src/config/validate.c applies it.
enum config_check {{
    CONFIG_CHECK_ANY,
    CONFIG_CHECK_RANGE,            // `range`
    CONFIG_CHECK_ONE_OF,           // `allowed`
    CONFIG_CHECK_ONE_OF_ANY_CASE,
    CONFIG_CHECK_LIST,             // no duplicates, no empty items; `allowed` when there are any
    CONFIG_CHECK_NOT_EMPTY,
    CONFIG_CHECK_NOT_NULL,
    CONFIG_CHECK_GZIP_LEVEL,
    CONFIG_CHECK_THROTTLED_REPLICAS,
    CONFIG_CHECK_BOOTSTRAP_SERVERS,
    CONFIG_CHECK_VOTERS,
    CONFIG_CHECK_OFFSET_RESET,
}};

// Who may change a broker config at run time.
enum config_update {{
    CONFIG_READ_ONLY,
    CONFIG_PER_BROKER,
    CONFIG_CLUSTER_WIDE,  // per broker too
}};

enum config_importance {{ CONFIG_HIGH, CONFIG_MEDIUM, CONFIG_LOW }};

enum config_key {{
{keys}
    CONFIG_KEY_COUNT,
}};

// The keys of a scope are [first, end).
{bounds}

// A broker config that gives a topic (or group) config its default. Its value times `factor` is the topic's (hours to ms …).
struct config_synonym {{
    enum config_key key;
    int32_t factor;
}};

struct config_row {{
    const char *name;
    const char *default_text;  // NULL: null, or none when `required`
    const char *documentation;
    const char *const *allowed;  // NULL-terminated
    const struct config_synonym *synonyms;
    const char *range_text;   // as Kafka prints it: "[1,...,9]"
    double range_min;
    double range_max;
    uint8_t synonym_count;
    uint8_t scope;            // enum config_scope
    uint8_t type;             // enum config_type
    uint8_t check;            // enum config_check
    uint8_t update;           // enum config_update; broker scope
    uint8_t importance;       // enum config_importance
    bool required;            // has no default
    bool internal;            // Kafka does not show it
    bool planned;             // accepted and kept, not acted on yet
    bool refused;             // a start with it is refused (config_refuse_unsupported)
    bool list_may_be_empty;
    bool list_may_be_null;
    char entity;              // quota scope: 'c'lient and user, 'i'p, 'b'roker
}};

extern const struct config_row config_rows[CONFIG_KEY_COUNT];

static inline const struct config_row *config_row_of(enum config_key key) {{ return &config_rows[key]; }}
"""


class Row:
    def __init__(self, path, number, scope, columns, line):
        cells = [cell.strip() for cell in line.split(" | ", len(columns) - 1)]
        if len(cells) != len(columns):
            raise SchemaError(path, number, f"expected {len(columns)} cells, found {len(cells)}")
        self.place = (path, number)
        self.cell = dict(zip(columns, cells))
        self.scope = scope
        self.name = self.cell["name"]
        self.constant = scope + "_" + re.sub(r"[^A-Z0-9]", "_", self.name.upper())
        self.marks = set() if self.cell["marks"] == "-" else set(self.cell["marks"].split())
        self.parse_check()
        if self.cell["type"] not in TYPES or self.marks - {"internal", "planned", "refused"}:
            raise SchemaError(path, number, "unknown type or mark")
        if self.cell["documentation"].count(".") == 0:
            raise SchemaError(path, number, f"{self.name} has no sentence of documentation")

    def parse_check(self):
        valid = self.cell["valid"]
        self.allowed, self.range, self.list_words = [], None, []
        head, _, rest = valid.partition(" of ")
        if valid in CHECKS:
            self.check = CHECKS[valid]
        elif valid.startswith("["):
            self.check = "RANGE"
            self.range = (valid, *parse_range(self.place, valid))
        elif valid.startswith("in any case "):
            self.check, self.allowed = "ONE_OF_ANY_CASE", valid[len("in any case "):].split(", ")
        elif head == "one":
            self.check, self.allowed = "ONE_OF", rest.split(", ")
        elif head.split()[0] == "list":
            self.check, self.list_words = "LIST", head.split()[1:]
            self.allowed = rest.split(", ") if rest else []
        else:
            raise SchemaError(*self.place, f"unknown check: {valid}")


def parse_range(place, text):
    match = re.fullmatch(r"\[(-?[\d.]+?),\.\.\.(?:,(-?[\d.]+))?\]", text)
    if not match:
        raise SchemaError(*place, f"bad range: {text}")
    return float(match[1]), float(match[2]) if match[2] else None


def read(folder):
    rows = []
    for name, scope in SCOPES.items():
        path, columns = folder / name, None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if columns is None:
                if not line.startswith("columns: "):
                    raise SchemaError(path, number, "the first line must name the columns")
                columns = line[len("columns: "):].split(" | ")
                continue
            rows.append(Row(path, number, scope, columns, line))
    order = list(dict.fromkeys(SCOPES.values()))
    rows.sort(key=lambda row: (order.index(row.scope), row.name))
    return rows


def find_synonyms(rows):
    broker = {row.name: row for row in rows if row.scope == "BROKER"}
    for row in rows:
        row.synonyms = []
        text = row.cell.get("broker", "-")
        for item in [] if text == "-" else text.split(", "):
            name, _, factor = item.partition("*")
            if name not in broker:
                raise SchemaError(*row.place, f"no broker config {name}")
            row.synonyms.append((broker[name].constant, int(factor or 1)))


def row_text(row, allowed):
    cell = row.cell
    default = {"null": "NULL", "required": "NULL", "empty": '""'}.get(cell["default"], c_string(cell["default"]))
    fields = [("name", c_string(row.name)), ("default_text", default),
              ("documentation", c_string(cell["documentation"]))]
    if row.allowed:
        fields.append(("allowed", allowed[tuple(row.allowed)]))
    if row.synonyms:
        fields.append(("synonyms", f"synonyms_{row.constant.lower()}"))
        fields.append(("synonym_count", str(len(row.synonyms))))
    if row.range:
        text, low, high = row.range
        fields += [("range_text", c_string(text)), ("range_min", repr(low)),
                   ("range_max", repr(high) if high is not None else "HUGE_VAL")]
    fields += [("scope", f"CONFIG_SCOPE_{row.scope}"), ("type", f"CONFIG_TYPE_{cell['type'].upper()}"),
               ("check", f"CONFIG_CHECK_{row.check}"), ("importance", f"CONFIG_{cell['importance'].upper()}")]
    if "update" in cell:
        fields.append(("update", f"CONFIG_{UPDATES[cell['update']]}"))
    if "entity" in cell:
        fields.append(("entity", f"'{cell['entity'][0]}'"))
    flags = [("required", cell["default"] == "required"), ("internal", "internal" in row.marks),
             ("planned", "planned" in row.marks), ("refused", "refused" in row.marks),
             ("list_may_be_empty", "empty" in row.list_words),
             ("list_may_be_null", "null" in row.list_words)]
    fields += [(name, "true") for name, on in flags if on]
    body = "\n".join(f"        .{name} = {value}," for name, value in fields)
    return f"    [{row.constant}] = {{\n{body}\n    }},"


def generate(folder, out):
    rows = read(folder)
    find_synonyms(rows)
    names = [row.constant for row in rows]
    for row in rows:
        if names.count(row.constant) > 1:
            raise SchemaError(*row.place, f"{row.name} is there twice")
    bounds = []
    for scope in dict.fromkeys(SCOPES.values()):
        mine = [row for row in rows if row.scope == scope]
        bounds.append(f"#define CONFIG_{scope}_FIRST {mine[0].constant}\n"
                      f"#define CONFIG_{scope}_END ({mine[-1].constant} + 1)")
    allowed = {}
    source = ["// Generated from schema/configs/.", "#include <math.h>", "", '#include "gen/configs.h"', ""]
    for row in rows:
        if row.allowed and tuple(row.allowed) not in allowed:
            name = f"allowed_{row.constant.lower()}"
            allowed[tuple(row.allowed)] = name
            values = ", ".join(c_string(value) for value in row.allowed)
            source.append(f"static const char *const {name}[] = {{{values}, NULL}};")
        if row.synonyms:
            values = ", ".join(f"{{{key}, {factor}}}" for key, factor in row.synonyms)
            source.append(f"static const struct config_synonym synonyms_{row.constant.lower()}[] = {{{values}}};")
    source += ["", "const struct config_row config_rows[CONFIG_KEY_COUNT] = {"]
    source += [row_text(row, allowed) for row in rows]
    source += ["};", ""]
    out.write("configs.h", HEADER.format(keys="\n".join(f"    {name}," for name in names), bounds="\n".join(bounds)))
    out.write("configs.c", "\n".join(source))


DOCS_HEAD = """\
# Every configuration key

Generated by `tools/gen_configs.py --schema schema --docs docs/configs.md` from `schema/configs/`; do not edit.

Taccola takes Apache Kafka 4.4's keys with Kafka's defaults and limits. *not yet* in the column "here" means: accepted, checked and shown, but without
effect so far. *refused*: it would be dangerous to ignore, so a node does not start with it. "change": whether a value can be changed while the broker runs, for one broker
(*broker*) or also for all (*cluster*); the others need a restart.
"""

DOCS_SCOPES = (("taccola", "Our own"), ("broker", "Brokers and controllers"), ("topic", "Topics"), ("group", "Groups"),
               ("client-metrics", "Client metrics"), ("quota", "Quotas"))


def docs_line(row):
    cell = row.cell
    change = {"read-only": "", "per-broker": "broker", "cluster-wide": "cluster"}[cell.get("update", "read-only")]
    here = "not yet" if "planned" in row.marks else "refused" if "refused" in row.marks else "yes"
    default = {"empty": "(empty)", "required": "(none: must be set)"}.get(cell["default"], cell["default"])
    valid = "" if cell["valid"] in ("-", "list empty", "list empty null", "list", "list null") else cell["valid"]
    cells = [f"`{row.name}`", cell["type"], default, valid, change, here, cell["documentation"]]
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"


def generate_docs(folder, path):
    rows = read(folder)
    text = [DOCS_HEAD]
    for name, title in DOCS_SCOPES:
        text += [f"## {title}", "", "| key | type | default | valid | change | here | what it is |",
                 "|---|---|---|---|---|---|---|"]
        text += [docs_line(row) for row in rows if row.place[0].name == name and "internal" not in row.marks]
        text.append("")
    path.write_text("\n".join(text))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schema", type=pathlib.Path, required=True, help="folder of the schema")
    parser.add_argument("--out", type=pathlib.Path, help="folder for generated code")
    parser.add_argument("--docs", type=pathlib.Path, help="the table for people")
    arguments = parser.parse_args()
    try:
        if arguments.docs:
            generate_docs(arguments.schema / "configs", arguments.docs)
        if arguments.out:
            generate(arguments.schema / "configs", Output(arguments.out))
    except SchemaError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
