#include "cli/table.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

struct table_cell {
    struct slice text;  // null: empty
    struct slice json;  // of CELL_JSON
};

struct table_row {
    struct table_row *next;
    struct table_cell cells[];
};

void table_init(struct table *t, const struct table_column *columns, int column_count) {
    *t = (struct table){.columns = columns, .column_count = column_count};
    arena_init(&t->arena);
}

void table_deinit(struct table *t) {
    arena_deinit(&t->arena);
}

void table_row(struct table *t) {
    struct table_row *row = arena_zalloc(
        &t->arena, 1, sizeof *row + (size_t)t->column_count * sizeof(struct table_cell));
    if (t->last == NULL) {
        t->first = row;
    } else {
        t->last->next = row;
    }
    t->last = row;
    t->row_count++;
}

void table_text(struct table *t, int column, struct slice text) {
    assert(t->last != NULL && column < t->column_count);
    t->last->cells[column].text = arena_copy(&t->arena, text);
}

void table_json(struct table *t, int column, struct slice text, struct slice json) {
    table_text(t, column, text);
    t->last->cells[column].json = arena_copy(&t->arena, json);
}

void table_format(struct table *t, int column, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    table_text(t, column, slice_cstring(text));
}

void table_number(struct table *t, int column, int64_t number) {
    table_format(t, column, "%lld", (long long)number);
}

void table_bool(struct table *t, int column, bool value) {
    table_text(t, column, value ? SLICE_LITERAL("true") : SLICE_LITERAL("false"));
}

static void print_json_cell(const struct table_column *column, const struct table_cell *cell,
                            struct string_buffer *out) {
    string_buffer_append_char(out, '"');
    for (const char *c = column->title; *c != '\0'; c++) {
        string_buffer_append_char(out, *c == ' ' ? '_' : (char)tolower((unsigned char)*c));
    }
    string_buffer_append(out, SLICE_LITERAL("\": "));
    struct slice text = column->kind == CELL_JSON ? cell->json : cell->text;
    if (slice_is_null(text)) {
        string_buffer_append(out, SLICE_LITERAL("null"));
    } else if (column->kind == CELL_TEXT) {
        string_buffer_append_json(out, text);
    } else {
        string_buffer_append(out, text);
    }
}

static void print_json(const struct table *t) {
    struct string_buffer out;
    string_buffer_init(&out);
    string_buffer_append_char(&out, '[');
    for (const struct table_row *row = t->first; row != NULL; row = row->next) {
        string_buffer_append(&out,
                             row == t->first ? SLICE_LITERAL("\n  {") : SLICE_LITERAL(",\n  {"));
        for (int i = 0; i < t->column_count; i++) {
            if (i > 0) string_buffer_append(&out, SLICE_LITERAL(", "));
            print_json_cell(&t->columns[i], &row->cells[i], &out);
        }
        string_buffer_append_char(&out, '}');
    }
    string_buffer_append(&out, t->first == NULL ? SLICE_LITERAL("]\n") : SLICE_LITERAL("\n]\n"));
    fwrite(out.text, 1, out.size, stdout);
    string_buffer_deinit(&out);
}

// Columns as wide as their widest cell, in characters.
static int width_of(struct slice text) {
    int width = 0;
    for (size_t i = 0; i < text.size; i++)
        width += (text.data[i] & 0xc0) != 0x80;
    return width;
}

static void print_text_cell(struct slice text, int width, bool right, bool last) {
    int padding = width - width_of(text);
    if (right) printf("%*s", padding, "");
    printf("%.*s", SLICE_PRINT(text));
    if (!right && !last) printf("%*s", padding, "");
    printf(last ? "\n" : "  ");
}

static void print_text(const struct table *t) {
    for (const struct table_row *row = NULL;; row = row == NULL ? t->first : row->next) {
        for (int i = 0; i < t->column_count; i++) {
            int width = width_of(slice_cstring(t->columns[i].title));
            for (const struct table_row *r = t->first; r != NULL; r = r->next) {
                width = MAX(width, width_of(r->cells[i].text));
            }
            struct slice text =
                row == NULL ? slice_cstring(t->columns[i].title) : row->cells[i].text;
            if (slice_is_null(text)) text = SLICE_LITERAL("-");  // columns stay countable
            print_text_cell(text, width, t->columns[i].kind == CELL_NUMBER,
                            i == t->column_count - 1);
        }
        if (row == NULL ? t->first == NULL : row->next == NULL) return;
    }
}

void table_print(const struct table *t, const struct cli *cli, const char *empty) {
    if (cli_output(cli) == CLI_OUTPUT_JSON) {
        print_json(t);
    } else if (t->first == NULL) {
        printf("%s\n", empty);
    } else {
        print_text(t);
    }
}
