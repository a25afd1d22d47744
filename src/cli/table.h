// What a command prints, once for people and once for programs: rows of named cells become aligned
// columns, or a JSON array of objects.
#pragma once

#include "base/arena.h"
#include "base/string_buffer.h"
#include "cli/cli.h"

enum cell_kind {
    CELL_TEXT,
    CELL_NUMBER,
    CELL_BOOL,
    CELL_JSON,  // text for people, a JSON value for programs
};

struct table_column {
    const char *title;  // "Partition"; in JSON in lower case with _ for spaces
    enum cell_kind kind;
};

struct table {
    const struct table_column *columns;
    int column_count;
    struct arena arena;
    struct table_row *first, *last;
    int row_count;
};

void table_init(struct table *table, const struct table_column *columns, int column_count);
void table_deinit(struct table *table);

// A new row, whose cells are empty (JSON null). Then its cells; slices are copied.
void table_row(struct table *table);
void table_text(struct table *table, int column, struct slice text);
void table_format(struct table *table, int column, const char *format, ...) PRINTF_LIKE(3, 4);
void table_number(struct table *table, int column, int64_t number);
void table_bool(struct table *table, int column, bool value);
void table_json(struct table *table, int column, struct slice text, struct slice json);

// By the command's --output. `empty` is the line for people when there is no row.
void table_print(const struct table *table, const struct cli *cli, const char *empty);
