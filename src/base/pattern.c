// Thompson's construction: the expression becomes a program of a few instructions, and matching
// follows all ways through it at once, one byte of the text after the other (see Russ Cox, "Regular
// Expression Matching Can Be Simple And Fast"). Work and memory of a match are bounded by program
// size times text size.
//
// The parser is recursive descent over alternatives, sequences and repeated atoms. A repetition
// x{2,5} is written out, so the size of a program is checked while it is made.
#include "base/pattern.h"

#include "base/memory.h"

#define PROGRAM_MAX 20000
#define REPEAT_MAX  1000
#define DEPTH_MAX   1000  // as RE2

enum operation {
    OP_BYTE,
    OP_SET,
    OP_SPLIT,
    OP_JUMP,
    OP_BEGIN,
    OP_END,
    OP_WORD,
    OP_NO_WORD,
    OP_MATCH
};

struct byte_set {
    uint64_t bits[4];
};

struct instruction {
    uint8_t operation;
    uint8_t byte;
    int32_t next, other;  // of SPLIT both; `next` of JUMP; the index of the set for SET
};

struct pattern {
    struct instruction *program;
    int32_t size, capacity;
    struct byte_set *sets;
    int32_t set_count, set_capacity;
};

struct parser {
    struct pattern *pattern;
    struct slice text;
    size_t at;
    bool any_case;
    int depth;
    const char *problem;  // the first one
};

// ---- Sets of bytes ----

static void set_add(struct byte_set *s, uint8_t c) {
    s->bits[c >> 6] |= 1ULL << (c & 63);
}
static bool set_has(const struct byte_set *s, uint8_t c) {
    return s->bits[c >> 6] >> (c & 63) & 1;
}

static void set_add_range(struct byte_set *s, uint8_t from, uint8_t to) {
    for (unsigned c = from; c <= to; c++)
        set_add(s, (uint8_t)c);
}

static void set_invert(struct byte_set *s) {
    for (int i = 0; i < 4; i++)
        s->bits[i] = ~s->bits[i];
}

static void set_merge(struct byte_set *s, struct byte_set other) {
    for (int i = 0; i < 4; i++)
        s->bits[i] |= other.bits[i];
}

static void set_ignore_case(struct byte_set *s) {
    for (uint8_t c = 'a'; c <= 'z'; c++) {
        uint8_t upper = (uint8_t)(c - 32);
        if (set_has(s, c)) set_add(s, upper);
        if (set_has(s, upper)) set_add(s, c);
    }
}

static bool is_word(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// \d \w \s, and their opposites in upper case; false when `c` is none of them.
static bool class_of(uint8_t c, struct byte_set *s) {
    *s = (struct byte_set){{0}};
    switch (c | 0x20) {
        case 'd':
            set_add_range(s, '0', '9');
            break;
        case 'w':
            for (unsigned i = 0; i < 256; i++)
                if (is_word((uint8_t)i)) set_add(s, (uint8_t)i);
            break;
        case 's':
            for (const char *p = " \t\n\f\r"; *p != '\0'; p++)
                set_add(s, (uint8_t)*p);
            break;
        default:
            return false;
    }
    if (c >= 'A' && c <= 'Z') set_invert(s);
    return true;
}

// ---- Emitting ----

static void fail(struct parser *p, const char *problem) {
    if (p->problem == NULL) p->problem = problem;
}

static int32_t emit(struct parser *p, struct instruction i) {
    struct pattern *x = p->pattern;
    if (x->size == PROGRAM_MAX) {
        fail(p, "expression is too large");
        return 0;
    }
    if (x->size == x->capacity) {
        x->capacity = x->capacity * 2 + 64;
        x->program = memory_realloc(x->program, (size_t)x->capacity, sizeof *x->program);
    }
    x->program[x->size] = i;
    return x->size++;
}

static void emit_set(struct parser *p, struct byte_set set) {
    struct pattern *x = p->pattern;
    if (p->any_case) set_ignore_case(&set);
    if (x->set_count == PROGRAM_MAX) {
        fail(p, "expression is too large");
        return;
    }
    if (x->set_count == x->set_capacity) {
        x->set_capacity = x->set_capacity * 2 + 8;
        x->sets = memory_realloc(x->sets, (size_t)x->set_capacity, sizeof *x->sets);
    }
    x->sets[x->set_count] = set;
    emit(p, (struct instruction){.operation = OP_SET, .next = x->set_count++});
}

static void emit_byte(struct parser *p, uint8_t c) {
    bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    if (!p->any_case || !letter) {
        emit(p, (struct instruction){.operation = OP_BYTE, .byte = c});
        return;
    }
    struct byte_set set = {{0}};
    set_add(&set, c);
    emit_set(p, set);
}

// ---- Parsing ----

static bool more(const struct parser *p) {
    return p->problem == NULL && p->at < p->text.size;
}
static uint8_t peek(const struct parser *p) {
    return p->at < p->text.size ? p->text.data[p->at] : 0;
}

// Over one byte; at the end it stays there.
static void skip(struct parser *p) {
    if (p->at < p->text.size) p->at++;
}

static bool take(struct parser *p, const char *token) {
    size_t size = strlen(token);
    if (p->text.size - p->at < size || memcmp(p->text.data + p->at, token, size) != 0) return false;
    p->at += size;
    return true;
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// What follows a backslash and stands for one byte.
static uint8_t escaped_byte(struct parser *p) {
    uint8_t c = peek(p);
    skip(p);
    static const char named[] = "t\tn\nr\rf\fa\av\v";
    for (size_t i = 0; i + 1 < sizeof named; i += 2)
        if (c == (uint8_t)named[i]) return (uint8_t)named[i + 1];
    if (c == 'x') {
        int high = hex_digit(peek(p));
        skip(p);
        int low = hex_digit(peek(p));
        skip(p);
        if (high < 0 || low < 0) {
            fail(p, "invalid escape sequence");
            return 0;
        }
        return (uint8_t)(high << 4 | low);
    }
    if (is_word(c) && c != '_') fail(p, "invalid escape sequence");
    return c;
}

static bool take_posix_class(struct parser *p, struct byte_set *set) {
    static const struct {
        const char *name, *ranges;
    } classes[] = {{"[:alnum:]", "09azAZ"},  {"[:alpha:]", "azAZ"},   {"[:digit:]", "09"},
                   {"[:lower:]", "az"},      {"[:upper:]", "AZ"},     {"[:word:]", "09azAZ__"},
                   {"[:xdigit:]", "09afAF"}, {"[:space:]", "  \t\r"}, {"[:punct:]", "!/:@[`{~"}};
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        if (!take(p, classes[i].name)) continue;
        for (const char *r = classes[i].ranges; *r != '\0'; r += 2)
            set_add_range(set, (uint8_t)r[0], (uint8_t)r[1]);
        return true;
    }
    return false;
}

// One byte inside [ ]; true when it was a whole class instead.
static bool take_set_item(struct parser *p, struct byte_set *set, uint8_t *byte) {
    if (take_posix_class(p, set)) return true;
    if (peek(p) != '\\') {
        *byte = peek(p);
        skip(p);
        return false;
    }
    skip(p);
    struct byte_set class;
    if (class_of(peek(p), &class)) {
        skip(p);
        set_merge(set, class);
        return true;
    }
    *byte = escaped_byte(p);
    return false;
}

static void parse_set(struct parser *p) {
    struct byte_set set = {{0}};
    bool inverted = take(p, "^"), first = true;
    while (more(p) && (first || peek(p) != ']')) {
        first = false;
        uint8_t from = 0, to;
        if (take_set_item(p, &set, &from)) continue;
        to = from;
        bool range = peek(p) == '-' && p->at + 1 < p->text.size && p->text.data[p->at + 1] != ']';
        if (range) {
            skip(p);
            if (take_set_item(p, &set, &to) || to < from) fail(p, "invalid character class range");
        }
        if (p->problem == NULL) set_add_range(&set, from, to);
    }
    if (!take(p, "]")) fail(p, "missing closing ]");
    // Before it is inverted: [^a] with (?i) is neither a nor A.
    if (p->any_case) set_ignore_case(&set);
    if (inverted) set_invert(&set);
    bool any_case = p->any_case;
    p->any_case = false;
    emit_set(p, set);
    p->any_case = any_case;
}

static void parse_alternatives(struct parser *p);

static void parse_group(struct parser *p) {
    bool any_case = p->any_case;
    if (take(p, "?")) {
        bool on = true;
        while (more(p) && peek(p) != ':' && peek(p) != ')') {
            uint8_t flag = peek(p);
            skip(p);
            if (flag == '-')
                on = false;
            else if (flag == 'i')
                p->any_case = on;
            else if (flag != 's' && flag != 'm' && flag != 'U')
                fail(p, "invalid or unsupported Perl syntax");
        }
        // (?i) holds until the end of the group around it.
        if (take(p, ")")) return;
        if (!take(p, ":")) fail(p, "missing closing )");
    }
    if (++p->depth > DEPTH_MAX) fail(p, "expression nests too deeply");
    if (p->problem == NULL) parse_alternatives(p);
    p->depth--;
    if (!take(p, ")")) fail(p, "missing closing )");
    p->any_case = any_case;
}

static void parse_escape(struct parser *p) {
    struct byte_set class;
    uint8_t c = peek(p);
    if (p->at == p->text.size) {
        fail(p, "trailing backslash at end of expression");
    } else if (class_of(c, &class)) {
        skip(p);
        emit_set(p, class);
    } else if (c == 'b' || c == 'B' || c == 'A' || c == 'z') {
        skip(p);
        uint8_t operation = c == 'b'   ? OP_WORD
                            : c == 'B' ? OP_NO_WORD
                            : c == 'A' ? OP_BEGIN
                                       : OP_END;
        emit(p, (struct instruction){.operation = operation});
    } else if (c == 'Q') {
        skip(p);
        while (more(p) && !take(p, "\\E")) {
            emit_byte(p, peek(p));
            skip(p);
        }
    } else {
        uint8_t byte = escaped_byte(p);
        if (p->problem == NULL) emit_byte(p, byte);
    }
}

static void parse_atom(struct parser *p) {
    uint8_t c = peek(p);
    skip(p);
    struct byte_set any = {{~0ULL, ~0ULL, ~0ULL, ~0ULL}};
    switch (c) {
        case '(':
            parse_group(p);
            break;
        case '[':
            parse_set(p);
            break;
        case '\\':
            parse_escape(p);
            break;
        case '.':
            any.bits[0] &= ~(1ULL << '\n');
            emit_set(p, any);
            break;
        case '^':
            emit(p, (struct instruction){.operation = OP_BEGIN});
            break;
        case '$':
            emit(p, (struct instruction){.operation = OP_END});
            break;
        case '*':
        case '+':
        case '?':
            fail(p, "missing argument to repetition operator");
            break;
        default:
            emit_byte(p, c);
    }
}

// "{2}", "{2,}", "{2,5}"; anything else is a plain brace. `most` -1: no limit.
static bool take_counts(struct parser *p, int32_t *least, int32_t *most) {
    size_t start = p->at;
    int32_t numbers[2] = {-1, -1};
    int count = 0;
    bool comma = false;
    if (!take(p, "{")) return false;
    for (; p->at < p->text.size && peek(p) != '}'; skip(p)) {
        uint8_t c = peek(p);
        if (c == ',' && !comma && numbers[0] >= 0) {
            comma = true;
            count = 1;
        } else if (c >= '0' && c <= '9') {
            numbers[count] = MIN(MAX(numbers[count], 0) * 10 + (c - '0'), REPEAT_MAX + 1);
        } else {
            break;
        }
    }
    if (numbers[0] < 0 || !take(p, "}")) {
        p->at = start;
        return false;
    }
    *least = numbers[0];
    *most = comma ? numbers[1] : numbers[0];
    if (*least > REPEAT_MAX || *most > REPEAT_MAX || (*most >= 0 && *most < *least))
        fail(p, "invalid repeat count");
    return true;
}

// The instructions [from, size) once more, at the end.
static void emit_copy(struct parser *p, int32_t from, int32_t to) {
    int32_t shift = p->pattern->size - from;
    for (int32_t i = from; i < to && p->problem == NULL; i++) {
        struct instruction copy = p->pattern->program[i];
        if (copy.operation == OP_SPLIT || copy.operation == OP_JUMP) copy.next += shift;
        if (copy.operation == OP_SPLIT) copy.other += shift;
        emit(p, copy);
    }
}

// Makes room for one instruction at `from`; the jumps behind it move along.
static void insert_split(struct parser *p, int32_t from) {
    struct pattern *x = p->pattern;
    emit(p, (struct instruction){.operation = OP_JUMP});
    if (p->problem != NULL) return;
    memmove(&x->program[from + 1], &x->program[from],
            (size_t)(x->size - 1 - from) * sizeof *x->program);
    for (int32_t i = from + 1; i < x->size; i++) {
        struct instruction *moved = &x->program[i];
        bool split = moved->operation == OP_SPLIT;
        if ((split || moved->operation == OP_JUMP) && moved->next >= from) moved->next++;
        if (split && moved->other >= from) moved->other++;
    }
    x->program[from] = (struct instruction){.operation = OP_SPLIT, .next = from + 1};
}

// The atom [from, size) between `least` and `most` times.
static void repeat(struct parser *p, int32_t from, int32_t least, int32_t most) {
    struct pattern *x = p->pattern;
    int32_t size = x->size - from;
    if (least == 0 && most == 0) {
        x->size = from;
        return;
    }
    int32_t start = from;
    for (int32_t i = 1; i < least && p->problem == NULL; i++) {
        start = x->size;
        emit_copy(p, from, from + size);
    }
    if (most < 0 && least > 0) {
        // x+: back to the last copy, or on.
        emit(p, (struct instruction){.operation = OP_SPLIT, .next = start, .other = x->size + 1});
        return;
    }
    if (most < 0) {
        insert_split(p, from);
        emit(p, (struct instruction){.operation = OP_JUMP, .next = from});
        if (p->problem == NULL) x->program[from].other = x->size;
        return;
    }
    if (least == 0) {
        insert_split(p, from);
        if (p->problem != NULL) return;
        x->program[from].other = x->size;
        from++;
        least = 1;
    }
    for (int32_t i = least; i < most && p->problem == NULL; i++) {
        // Each further one may be left out, and so all behind it; skipping one by one comes to the
        // same.
        int32_t split = emit(p, (struct instruction){.operation = OP_SPLIT, .next = x->size + 1});
        emit_copy(p, from, from + size);
        if (p->problem == NULL) x->program[split].other = x->size;
    }
}

static void parse_sequence(struct parser *p) {
    while (more(p) && peek(p) != '|' && peek(p) != ')') {
        int32_t from = p->pattern->size, least = 1, most = 1;
        parse_atom(p);
        if (take(p, "*"))
            least = 0, most = -1;
        else if (take(p, "+"))
            most = -1;
        else if (take(p, "?"))
            least = 0;
        else if (!take_counts(p, &least, &most))
            continue;
        take(p, "?");  // which way is preferred does not matter
        if (more(p) && (peek(p) == '*' || peek(p) == '+' || peek(p) == '?'))
            fail(p, "invalid nested repetition operator");
        if (p->problem == NULL) repeat(p, from, least, most);
    }
}

static void parse_alternatives(struct parser *p) {
    struct pattern *x = p->pattern;
    int32_t from = x->size;
    parse_sequence(p);
    if (!more(p) || peek(p) != '|') return;
    skip(p);
    insert_split(p, from);
    int32_t jump = emit(p, (struct instruction){.operation = OP_JUMP});
    if (p->problem != NULL) return;
    x->program[from].other = x->size;
    if (++p->depth > DEPTH_MAX * 4) fail(p, "expression nests too deeply");
    parse_alternatives(p);
    p->depth--;
    if (p->problem == NULL) x->program[jump].next = x->size;
}

enum err pattern_new(struct slice text, struct pattern **pattern, struct message *error) {
    struct parser p = {.pattern = memory_zalloc(1, sizeof *p.pattern), .text = text};
    parse_alternatives(&p);
    if (p.problem == NULL && p.at < text.size) fail(&p, "unexpected )");
    emit(&p, (struct instruction){.operation = OP_MATCH});
    if (p.problem == NULL) {
        *pattern = p.pattern;
        return ERR_NONE;
    }
    message_set(error, "%s", p.problem);
    pattern_free(p.pattern);
    return ERR_INVALID;
}

void pattern_free(struct pattern *x) {
    if (x == NULL) return;
    memory_free(x->program);
    memory_free(x->sets);
    memory_free(x);
}

// ---- Matching ----

struct threads {
    int32_t *list;
    int32_t count;
    uint32_t *seen;  // the step at which an instruction was added last
};

struct matcher {
    const struct pattern *pattern;
    struct slice text;
    int32_t *stack;  // each instruction is pushed once per step, and each pushes two at most
};

static bool at_word_boundary(struct slice text, size_t at) {
    bool before = at > 0 && is_word(text.data[at - 1]);
    bool after = at < text.size && is_word(text.data[at]);
    return before != after;
}

// Adds the instruction and all that follow it without consuming a byte.
static void add(struct matcher *m, struct threads *t, int32_t first, size_t at) {
    int32_t depth = 0;
    m->stack[depth++] = first;
    while (depth > 0) {
        int32_t pc = m->stack[--depth];
        if (t->seen[pc] == (uint32_t)at + 1) continue;
        t->seen[pc] = (uint32_t)at + 1;
        const struct instruction *i = &m->pattern->program[pc];
        switch ((enum operation)i->operation) {
            case OP_JUMP:
                m->stack[depth++] = i->next;
                break;
            case OP_SPLIT:
                m->stack[depth++] = i->other;
                m->stack[depth++] = i->next;
                break;
            case OP_BEGIN:
                if (at == 0) m->stack[depth++] = pc + 1;
                break;
            case OP_END:
                if (at == m->text.size) m->stack[depth++] = pc + 1;
                break;
            case OP_WORD:
            case OP_NO_WORD:
                if (at_word_boundary(m->text, at) == (i->operation == OP_WORD))
                    m->stack[depth++] = pc + 1;
                break;
            case OP_BYTE:
            case OP_SET:
            case OP_MATCH:
                t->list[t->count++] = pc;
                break;
        }
    }
}

bool pattern_matches(const struct pattern *x, struct slice text) {
    size_t size = (size_t)x->size;
    int32_t *memory = memory_zalloc(6 * size + 2, sizeof *memory);
    struct matcher m = {.pattern = x, .text = text, .stack = memory + 4 * size};
    struct threads now = {memory, 0, (uint32_t *)(memory + size)};
    struct threads next = {memory + 2 * size, 0, (uint32_t *)(memory + 3 * size)};
    add(&m, &now, 0, 0);
    for (size_t at = 0; at < text.size && now.count > 0; at++) {
        next.count = 0;
        for (int32_t k = 0; k < now.count; k++) {
            const struct instruction *i = &x->program[now.list[k]];
            bool eats = i->operation == OP_BYTE
                            ? i->byte == text.data[at]
                            : i->operation == OP_SET && set_has(&x->sets[i->next], text.data[at]);
            if (eats) add(&m, &next, now.list[k] + 1, at + 1);
        }
        struct threads swapped = now;
        now = next;
        next = swapped;
    }
    bool matched = false;
    for (int32_t k = 0; k < now.count; k++)
        matched = matched || x->program[now.list[k]].operation == OP_MATCH;
    memory_free(memory);
    return matched;
}
