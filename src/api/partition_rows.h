// The shape that requests about partitions share: every (topic, partition) of the request is a row;
// rows that the metadata refuses are done at once, the others are worked on by the reactors that
// own their partitions (api/scatter.h); when all are through, the answer is made of the rows in the
// order of the request.
//
//     struct my_row { struct partition_row row; … };       // an array in the call's arena
//     partition_rows_init(&m->rows, call, sizeof(struct partition_rows_part));
//     for each: partition_rows_add(&m->rows, &row->row, topic);   // row.error: refused
//     partition_rows_start(&m->rows, run, done);           // run: at each owner; done: at home
//
// A request may go in several rounds: partition_rows_start again, with another `run`, from `done`.
#pragma once

#include "api/call.h"
#include "api/scatter.h"
#include "replica/partition.h"

struct partition_row {
    struct partition_rows_part *part;  // NULL: refused at home
    struct partition_row *next;        // of its part
    struct uuid topic_id;
    int32_t index;
    enum err error;
};

// The rows of one owner; while it is away only that reactor touches them. A handler that needs more
// embeds it as the first member of a struct of its own.
struct partition_rows_part {
    struct scatter_part scatter_part;
    struct partition_rows *rows;
    struct partition_row *first;
    struct partition_row **last;
    struct partition_row *cursor;  // the handler's own, for work that goes on over callbacks
};

struct partition_rows {
    struct api_call *call;
    struct scatter scatter;
    size_t part_size;
    struct partition_rows_part **parts;  // by reactor; NULL: none
    int32_t part_count;                  // not NULL among them
    void (*run)(struct partition_rows_part *part);
    void (*done)(struct partition_rows *rows);
};

typedef void partition_rows_run(struct partition_rows_part *part);
typedef void partition_rows_done(struct partition_rows *rows);

// Zeroed rows of `row_size` bytes in the call's arena, charged to the memory budget with what their
// answers will take. A row is many times as large as what names it in the request, so one that does
// not fit ends here: NULL, the connection is closed and the call is over.
void *partition_rows_new(struct api_call *call, size_t count, size_t row_size);

// `part_size`: of the struct that begins with a partition_rows_part; zeroed when made.
void partition_rows_init(struct partition_rows *rows, struct api_call *call, size_t part_size);
// The row's index is set. `topic` NULL or without this partition: UNKNOWN_TOPIC_OR_PARTITION.
void partition_rows_add(struct partition_rows *rows, struct partition_row *row,
                        const struct topic_image *topic);
// `run` works on every row of the part and ends with partition_rows_part_done, now or later. `done`
// comes once; what the owners put into their parts' arenas (part->scatter_part.arena) is gone when
// the call ends.
void partition_rows_start(struct partition_rows *rows, partition_rows_run *run,
                          partition_rows_done *done);
// The same, but `done` does not come before partition_rows_seal.
void partition_rows_open(struct partition_rows *rows, partition_rows_run *run,
                         partition_rows_done *done);
void partition_rows_seal(struct partition_rows *rows);
// A round of one part only.
void partition_rows_start_one(struct partition_rows *rows, struct partition_rows_part *part,
                              partition_rows_run *run, partition_rows_done *done);
void partition_rows_part_done(struct partition_rows_part *part);
// To be called by `done` right before the call is ended, after everything was copied out of the
// parts' arenas.
void partition_rows_deinit(struct partition_rows *rows);

// ---- Waiting for the sync ----

// With durability fsync the high watermark lags behind the written end by the sync that is in
// flight. A client that wrote with acks=1 and then asks for the end, or deletes up to it, must find
// its own records, so a row that depends on the high watermark waits once until what was written is
// synced.
struct partition_rows_sync {
    struct produce_waiter waiter;
    struct partition_row *row;
    partition_rows_run *again;
    bool is_over;
};
// At the owner. True: when it is synced (or never will be: looking again tells), part->cursor is
// `row` and `again` is called. False: go on.
bool partition_rows_wait_sync(struct partition_rows_sync *sync, struct partition_row *row,
                              struct partition *partition, partition_rows_run *again);
