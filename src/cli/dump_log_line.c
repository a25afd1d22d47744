// The lines of dump-log: one text for people, one JSON object for programs.
#include <stdio.h>

#include "base/utf8.h"
#include "cli/dump_log.h"

static void append_text(struct dump *d, const char *text) {
    string_buffer_append(&d->line, slice_cstring(text));
}

void dump_begin(struct dump *d, const char *kind, const char *prefix) {
    string_buffer_clear(&d->line);
    if (d->json) {
        append_text(d, "{\"file\":");
        string_buffer_append_json(&d->line, d->path);
        string_buffer_format(&d->line, ",\"kind\":\"%s\"", kind);
    } else {
        append_text(d, prefix);
    }
}

// The name of the next field, and what separates it from the last one.
static void begin_field(struct dump *d, const char *name, const char *colon) {
    if (d->json) {
        string_buffer_format(&d->line, ",\"%s\":", name);
        return;
    }
    bool is_first = d->line.size == 0 || d->line.text[d->line.size - 1] == ' ';
    string_buffer_format(&d->line, "%s%s%s ", is_first ? "" : " ", name, colon);
}

void dump_number(struct dump *d, const char *name, int64_t value) {
    begin_field(d, name, ":");
    string_buffer_format(&d->line, "%lld", (long long)value);
}

void dump_bool(struct dump *d, const char *name, bool value) {
    begin_field(d, name, ":");
    append_text(d, value ? "true" : "false");
}

void dump_word(struct dump *d, const char *name, const char *value) {
    begin_field(d, name, ":");
    string_buffer_format(&d->line, d->json ? "\"%s\"" : "%s", value);
}

void dump_text(struct dump *d, const char *name, struct slice value) {
    if (!d->json) {
        begin_field(d, name, ":");
        string_buffer_append(&d->line, value);
    } else if (utf8_is_valid(value)) {
        begin_field(d, name, ":");
        string_buffer_append_json(&d->line, value);
    } else {
        string_buffer_format(&d->line, ",\"%sBase64\":\"", name);
        string_buffer_append_base64(&d->line, value);
        string_buffer_append_char(&d->line, '"');
    }
}

void dump_value(struct dump *d, const char *name, struct slice text, struct slice json) {
    begin_field(d, name, ":");
    string_buffer_append(&d->line, d->json ? json : text);
}

void dump_json_behind(struct dump *d, const char *name, struct slice json) {
    begin_field(d, name, "");
    string_buffer_append(&d->line, json);
}

void dump_end(struct dump *d) {
    string_buffer_append(&d->line, d->json ? SLICE_LITERAL("}\n") : SLICE_LITERAL("\n"));
    fwrite(d->line.text, 1, d->line.size, stdout);
    string_buffer_clear(&d->line);
}

void dump_say(struct dump *d, const char *format, ...) {
    if (d->json) return;
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

void dump_find(struct dump *d, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    string_buffer_vformat(&d->findings, format, arguments);
    va_end(arguments);
    string_buffer_append_char(&d->findings, '\n');
}
