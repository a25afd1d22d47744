// dump-log's parts. A dump prints lines made of named fields: for people in the words of Apache
// Kafka's DumpLogSegments, which scripts know ("offset: 4 position: 4292"), for programs as one
// JSON object per line. What is wrong in a file (a bad CRC, bytes behind the last batch, an index
// that points elsewhere) is a finding: it is kept and printed at the end, on standard error.
#pragma once

#include "base/arena.h"
#include "base/string_buffer.h"
#include "cli/cli.h"
#include "wire/batch.h"

enum dump_decoder {
    DUMP_BY_DIRECTORY,  // chosen by the name of the file's directory
    DUMP_STRINGS,
    DUMP_OFFSETS,
    DUMP_TRANSACTIONS,
    DUMP_SHARE_STATE,
    DUMP_METADATA,
    DUMP_REMOTE_LOG,
};

struct dump {
    struct cli *cli;
    struct env *env;
    bool json;
    bool shallow;        // batches only
    bool print_data;     // keys and values
    bool skip_metadata;  // of records
    bool verify_only;    // indexes: findings only
    bool sanity_only;    // indexes: the check that a broker makes at start
    int64_t max_bytes;   // of each segment
    enum dump_decoder decoder;

    // The file being dumped.
    struct slice path;
    enum dump_decoder file_decoder;

    struct string_buffer line;      // private to the functions below
    struct string_buffer findings;  // sentences for standard error
    bool is_damaged;                // some finding says so: the exit code is 1
};

// ---- Lines (dump_log_line.c) ----

// `kind` is for programs ("batch"), `prefix` for people ("| ").
void dump_begin(struct dump *d, const char *kind, const char *prefix);
void dump_number(struct dump *d, const char *name, int64_t value);
void dump_bool(struct dump *d, const char *name, bool value);
void dump_word(struct dump *d, const char *name, const char *value);
// A text of the file's own: as it is, or as a JSON string (base64 under <name>Base64 when it is no
// UTF-8).
void dump_text(struct dump *d, const char *name, struct slice value);
// `text` is printed for people as it stands, `json` is a JSON value.
void dump_value(struct dump *d, const char *name, struct slice text, struct slice json);
// As dump_value with text in JSON too, and no colon behind the name (as Kafka prints control
// records).
void dump_json_behind(struct dump *d, const char *name, struct slice json);
void dump_end(struct dump *d);
// A line for people only.
void dump_say(struct dump *d, const char *format, ...) PRINTF_LIKE(2, 3);
// A finding: one line of standard error, at the end.
void dump_find(struct dump *d, const char *format, ...) PRINTF_LIKE(2, 3);

// ---- Batches of a file (dump_log_batches.c) ----

// Walks the batches of a segment or snapshot from `position` on, whole batches in memory, one at a
// time.
struct dump_batches {
    struct file *file;
    uint64_t position;  // of the next batch
    uint64_t end;
    uint8_t *buffer;
    size_t capacity;
};

MUST_CHECK enum err dump_batches_open(struct dump *d, struct slice path, struct dump_batches *b);
void dump_batches_close(struct dump_batches *b);
// ERR_NONE and the bytes of one batch (until the next call); ERR_EOF when no whole batch follows:
// what is left from `position` to `end` is none. ERR_IO.
MUST_CHECK enum err dump_batches_next(struct dump_batches *b, struct slice *batch);

// ---- Kinds of files ----

// A .log, or a .checkpoint of the metadata quorum (dump_log_segment.c).
MUST_CHECK enum err dump_segment(struct dump *d);
// .index, .timeindex (dump_log_index.c)
MUST_CHECK enum err dump_offset_index(struct dump *d);
MUST_CHECK enum err dump_time_index(struct dump *d);
// .txnindex, .snapshot (dump_log_state.c)
MUST_CHECK enum err dump_transaction_index(struct dump *d);
MUST_CHECK enum err dump_producer_snapshot(struct dump *d);

// The offset that begins the file's name; -1 when there is none.
int64_t dump_base_offset(const struct dump *d);
// The path with its last suffix replaced: of the .log beside an .index.
void dump_sibling(const struct dump *d, const char *suffix, struct string_buffer *path);

// ---- What records mean (dump_log_decode.c) ----

// Prints key and value of a record as fields of the line.
void dump_record_data(struct dump *d, const struct record *record, struct arena *arena);
// Prints what a control record says.
void dump_control_record(struct dump *d, const struct record *record, struct arena *arena);
