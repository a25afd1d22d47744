// java.util.Properties, as its `load` reads a file:
//
// A logical line is a natural line, joined with the next one while it ends with an odd number of
// backslashes; white space at the start of the next one is dropped. Empty lines, and lines whose
// first character is # or !, are skipped (before joining: a comment has no continuation, and a
// continuation line is no comment). The key ends at the first =, : or white space that is not
// escaped; then white space, at most one = or :, and white space again are skipped; the rest is the
// value, white space at its end included. A backslash gives \t \n \r \f and \uXXXX their meaning
// and is dropped before anything else. Java reads ISO 8859-1; we keep bytes as they are, so UTF-8
// stays UTF-8, and \u escapes become UTF-8.
#include "config/properties.h"

struct properties properties_of(struct slice text, struct arena *arena) {
    return (struct properties){.rest = text, .arena = arena, .line = 0, .next_line = 1};
}

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\f';
}

static struct slice skip_blanks(struct slice s) {
    while (s.size > 0 && is_blank(s.data[0]))
        s = slice_sub(s, 1, s.size - 1);
    return s;
}

// The next natural line without its end (\n, \r or \r\n).
static struct slice take_line(struct properties *p) {
    size_t size = 0;
    while (size < p->rest.size && p->rest.data[size] != '\n' && p->rest.data[size] != '\r')
        size++;
    struct slice line = slice_sub(p->rest, 0, size);
    if (size < p->rest.size) {
        bool both =
            p->rest.data[size] == '\r' && size + 1 < p->rest.size && p->rest.data[size + 1] == '\n';
        size += both ? 2 : 1;
    }
    p->rest = slice_sub(p->rest, size, p->rest.size - size);
    p->next_line++;
    return line;
}

static bool continues(struct slice line) {
    size_t backslashes = 0;
    while (backslashes < line.size && line.data[line.size - 1 - backslashes] == '\\')
        backslashes++;
    return backslashes % 2 == 1;
}

// The next logical line that holds a pair; false at the end.
static bool take_logical_line(struct properties *p, struct slice *logical) {
    struct slice line;
    do {
        if (p->rest.size == 0) return false;
        p->line = p->next_line;
        line = skip_blanks(take_line(p));
    } while (line.size == 0 || line.data[0] == '#' || line.data[0] == '!');
    if (!continues(line)) {
        *logical = line;
        return true;
    }
    uint8_t *joined = arena_alloc(p->arena, line.size + p->rest.size);
    size_t size = 0;
    bool more = true;
    while (more) {
        more = continues(line);
        if (more) line.size--;
        if (line.size > 0) memcpy(joined + size, line.data, line.size);
        size += line.size;
        more = more && p->rest.size > 0;
        if (more) line = skip_blanks(take_line(p));
    }
    *logical = slice_of(joined, size);
    return true;
}

static bool hex_digits(struct slice s, uint32_t *value) {
    if (s.size < 4) return false;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = s.data[i];
        uint32_t digit = c <= '9' ? c - (uint32_t)'0' : (c | 0x20u) - 'a' + 10;
        if (!(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f')) return false;
        *value = *value << 4 | digit;
    }
    return true;
}

static size_t put_utf8(uint8_t *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

// One \uXXXX, `s` at its first digit; a surrogate pair of two escapes is one character. Returns the
// bytes consumed, 0 when malformed.
static size_t take_unicode(struct slice s, uint8_t *out, size_t *written) {
    uint32_t c, low;
    if (!hex_digits(s, &c)) return 0;
    bool pair = c >= 0xd800 && c < 0xdc00 && s.size >= 10 && s.data[4] == '\\' &&
                s.data[5] == 'u' && hex_digits(slice_sub(s, 6, s.size - 6), &low) &&
                low >= 0xdc00 && low < 0xe000;
    *written = put_utf8(out, pair ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : c);
    return pair ? 10 : 4;
}

static enum err unescape(struct properties *p, struct slice s, struct slice *out,
                         struct message *error) {
    uint8_t *text = arena_alloc(p->arena, s.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c != '\\') {
            text[size++] = c;
            continue;
        }
        if (++i == s.size) break;
        c = s.data[i];
        if (c == 'u') {
            size_t written = 0;
            size_t used = take_unicode(slice_sub(s, i + 1, s.size - i - 1), text + size, &written);
            if (used == 0) {
                message_set(error, "line %d: Malformed \\uxxxx encoding.", (int)p->line);
                return ERR_INVALID_CONFIG;
            }
            i += used;
            size += written;
            continue;
        }
        static const char named[] = "t\tn\nr\rf\f";
        for (size_t k = 0; k + 1 < sizeof named; k += 2)
            if (c == (uint8_t)named[k]) {
                c = (uint8_t)named[k + 1];
                break;
            }
        text[size++] = c;
    }
    *out = slice_of(text, size);
    return ERR_NONE;
}

enum err properties_next(struct properties *p, struct slice *key, struct slice *value,
                         struct message *error) {
    struct slice line;
    if (!take_logical_line(p, &line)) return ERR_EOF;
    size_t end = 0;
    while (end < line.size && !is_blank(line.data[end]) && line.data[end] != '=' &&
           line.data[end] != ':')
        end += line.data[end] == '\\' ? 2 : 1;
    end = MIN(end, line.size);
    struct slice rest = skip_blanks(slice_sub(line, end, line.size - end));
    if (rest.size > 0 && (rest.data[0] == '=' || rest.data[0] == ':'))
        rest = skip_blanks(slice_sub(rest, 1, rest.size - 1));
    enum err err = unescape(p, slice_sub(line, 0, end), key, error);
    if (err == ERR_NONE) err = unescape(p, rest, value, error);
    return err;
}
