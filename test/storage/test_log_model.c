// A log against a naive twin that keeps every batch in an array: random operations, with clean
// stops, kills, power cuts and a full disk between them. After each the log must hold what the twin
// holds. A failure prints its seed.
#include "test/storage/kit.h"

#define BATCHES_MAX 4000
#define PRODUCERS   4

struct twin_batch {
    int64_t base_offset;
    int64_t last_offset;
    int64_t timestamp;  // of the first record
    size_t size;
    uint32_t crc;
    int64_t producer_id;  // 0: none
    int16_t epoch;
    int32_t sequence;
    int32_t records;
    bool is_marker;
    bool is_commit;
    bool is_transactional;
};

struct twin {
    struct twin_batch batches[BATCHES_MAX];
    int count;
    int64_t start;
    int64_t end;
};

struct twin_producer {
    int16_t epoch;
    int32_t last_sequence;  // -1: none in this epoch
    int64_t first_open;     // -1
    bool is_known;
};

struct model {
    struct kit kit;
    struct twin twin;
    struct prng prng;
    bool disk_is_full;
    bool uses_producers;  // off after a truncation took state with it
    int done_appends;
};

static struct twin_producer producer_of(const struct twin *twin, int64_t id) {
    struct twin_producer p = {.epoch = -1, .last_sequence = -1, .first_open = -1};
    for (int i = 0; i < twin->count; i++) {
        const struct twin_batch *b = &twin->batches[i];
        if (b->producer_id != id) continue;
        p.is_known = true;
        if (b->epoch != p.epoch) p.last_sequence = -1;
        p.epoch = b->epoch;
        if (b->is_marker) {
            p.first_open = -1;
            continue;
        }
        p.last_sequence = b->sequence + b->records - 1;
        if (b->is_transactional && p.first_open < 0) p.first_open = b->base_offset;
    }
    return p;
}

static void twin_add(struct twin *twin, struct kit_append *append, const struct kit_batch *spec,
                     int64_t timestamp) {
    assert_true(twin->count < BATCHES_MAX);
    struct batch header;
    assert_int_equal(batch_decode(slice_of(append->op.batch, append->op.size), &header), ERR_NONE);
    assert_int_equal(append->op.base_offset, twin->end);
    twin->batches[twin->count++] = (struct twin_batch){
        .base_offset = append->op.base_offset,
        .last_offset = append->op.last_offset,
        .timestamp = timestamp,
        .size = append->op.size,
        .crc = header.crc,
        .producer_id = spec->producer_id,
        .epoch = spec->producer_epoch,
        .sequence = spec->sequence,
        .records = spec->records,
        .is_marker = (spec->attributes & ATTRIBUTE_CONTROL) != 0,
        .is_transactional = (spec->attributes & ATTRIBUTE_TRANSACTIONAL) != 0,
    };
    twin->end = append->op.last_offset + 1;
}

static void twin_cut(struct twin *twin, int64_t end) {
    twin->end = MIN(twin->end, end);
    // A batch goes as a whole.
    while (twin->count > 0 && twin->batches[twin->count - 1].last_offset >= end) {
        twin->count--;
        twin->end = MIN(twin->end, twin->batches[twin->count].base_offset);
    }
}

static int64_t below(struct model *m, int64_t bound) {
    return bound <= 0 ? 0 : (int64_t)prng_below(&m->prng, (uint64_t)bound);
}

// ---- Operations ----

static struct kit_batch draw_batch(struct model *m) {
    struct kit_batch spec =
        KIT_BATCH(.records = (int32_t)below(m, 5) + 1, .value_size = (int32_t)below(m, 400) + 1);
    spec.compression =
        prng_chance(&m->prng, 1, 4) ? (enum compression)below(m, 5) : COMPRESSION_NONE;
    if (m->uses_producers && prng_chance(&m->prng, 1, 2)) {
        spec.producer_id = below(m, PRODUCERS) + 1;
        struct twin_producer p = producer_of(&m->twin, spec.producer_id);
        spec.producer_epoch = p.epoch < 0 ? 0 : p.epoch;
        spec.sequence = p.last_sequence + 1;
        if (prng_chance(&m->prng, 1, 20) && p.first_open < 0) {
            spec.producer_epoch++;
            spec.sequence = 0;
        }
        // The last two producers write in transactions.
        if (spec.producer_id > PRODUCERS - 2) spec.attributes = ATTRIBUTE_TRANSACTIONAL;
    }
    return spec;
}

static void append_some(struct model *m) {
    enum { PIPELINE = 4 };
    struct kit_append appends[PIPELINE];
    struct kit_batch specs[PIPELINE];
    int64_t timestamps[PIPELINE];
    int count = (int)below(m, PIPELINE) + 1;
    struct twin *copy = memory_alloc(sizeof *copy);
    *copy = m->twin;
    int started = 0;
    for (int i = 0; i < count; i++) {
        specs[i] = draw_batch(m);
        timestamps[i] = specs[i].timestamp = env_wall_ms(m->kit.env) - below(m, 1000);
        enum err err = kit_start(&m->kit, &appends[i], specs[i]);
        if (err == ERR_NO_SPACE && m->disk_is_full) break;
        assert_int_equal(err, ERR_NONE);
        started++;
        // The next one of the same producer follows this one.
        twin_add(&m->twin, &appends[i], &specs[i], timestamps[i]);
    }
    kit_settle(&m->kit);
    m->twin = *copy;
    bool failed = false;
    for (int i = 0; i < started; i++) {
        assert_true(appends[i].is_done);
        if (appends[i].result == ERR_NONE) {
            assert_false(failed);
            twin_add(&m->twin, &appends[i], &specs[i], timestamps[i]);
            m->done_appends++;
        } else {
            assert_true(m->disk_is_full);
            assert_int_equal(appends[i].result, ERR_NO_SPACE);
            failed = true;
        }
    }
    memory_free(copy);
}

static void end_transaction(struct model *m) {
    int64_t id = PRODUCERS - below(m, 2);
    struct twin_producer p = producer_of(&m->twin, id);
    if (!p.is_known || !m->uses_producers) return;
    struct kit_append append;
    bool commit = prng_chance(&m->prng, 1, 2);
    struct slice bytes = kit_marker(&m->kit, id, p.epoch, commit, 1);
    int64_t now = env_wall_ms(m->kit.env);
    enum err err = kit_start_bytes(&m->kit, &append, bytes, APPEND_COORDINATOR, 0);
    if (err == ERR_NO_SPACE && m->disk_is_full) return;
    assert_int_equal(err, ERR_NONE);
    kit_settle(&m->kit);
    if (append.result != ERR_NONE) {
        assert_true(m->disk_is_full);
        return;
    }
    struct kit_batch spec =
        KIT_BATCH(.records = 1, .producer_id = id, .producer_epoch = p.epoch, .sequence = -1,
                  .attributes = ATTRIBUTE_CONTROL | ATTRIBUTE_TRANSACTIONAL);
    twin_add(&m->twin, &append, &spec, now);
    m->twin.batches[m->twin.count - 1].is_commit = commit;
}

static void retry_last(struct model *m) {
    if (!m->uses_producers) return;
    int64_t id = below(m, PRODUCERS) + 1;
    const struct twin_batch *last = NULL;
    for (int i = 0; i < m->twin.count; i++) {
        const struct twin_batch *b = &m->twin.batches[i];
        if (b->producer_id == id) last = b;
    }
    if (last == NULL || last->is_marker) return;
    struct kit_batch spec =
        KIT_BATCH(.records = last->records, .producer_id = id, .producer_epoch = last->epoch,
                  .sequence = last->sequence,
                  .attributes = last->is_transactional ? ATTRIBUTE_TRANSACTIONAL : 0);
    struct kit_append append;
    assert_int_equal(kit_start(&m->kit, &append, spec), ERR_NONE);
    assert_true(append.op.is_duplicate);
    assert_int_equal(append.op.base_offset, last->base_offset);
    assert_int_equal(append.op.last_offset, last->last_offset);
    kit_settle(&m->kit);
    assert_true(append.is_done);
    assert_int_equal(append.result, ERR_NONE);
}

static void advance_start(struct model *m) {
    int64_t offset = m->twin.start + below(m, (m->twin.end - m->twin.start) / 4 + 1);
    assert_int_equal(kit_do(&m->kit, KIT_ADVANCE_START, offset, 0).err, ERR_NONE);
    m->twin.start = MAX(m->twin.start, offset);
    assert_int_equal(log_start_offset(m->kit.log), m->twin.start);
    kit_retention(&m->kit, env_wall_ms(m->kit.env), m->twin.end);
    assert_int_equal(log_start_offset(m->kit.log), m->twin.start);
}

static void truncate_some(struct model *m) {
    kit_settle(&m->kit);
    int64_t offset = m->twin.end - below(m, MIN((int64_t)30, m->twin.end - m->twin.start + 1));
    twin_cut(&m->twin, offset);
    assert_int_equal(kit_do(&m->kit, KIT_TRUNCATE, offset, 0).err, ERR_NONE);
    m->twin.start = MIN(m->twin.start, m->twin.end);
    // State whose records and snapshots are gone is forgotten, as Apache Kafka forgets it.
    m->uses_producers = false;
}

static void crash(struct model *m, bool power_cut) {
    int64_t synced = log_end_synced(m->kit.log);
    m->kit.options.recovery_point = MIN(log_recovery_point(m->kit.log), below(m, m->twin.end + 1));
    m->kit.options.log_start_offset = m->twin.start;
    kit_crash(&m->kit, power_cut);
    kit_open(&m->kit);
    int64_t end = log_end_written(m->kit.log);
    assert_true(end <= m->twin.end);
    assert_true(end >= (power_cut ? synced : m->twin.end));
    twin_cut(&m->twin, end);
    assert_int_equal(m->twin.end, end);
}

// ---- Checks ----

static int index_of(const struct twin *twin, int64_t offset) {
    int i = 0;
    while (i < twin->count && twin->batches[i].last_offset < offset)
        i++;
    return i;
}

static void check_read(struct model *m) {
    struct twin *twin = &m->twin;
    int64_t offset = twin->start + below(m, twin->end - twin->start + 1);
    int64_t bound =
        prng_chance(&m->prng, 1, 2) ? INT64_MAX : offset + below(m, twin->end - offset + 2);
    size_t max_bytes = (size_t)below(m, 5000);
    bool at_least_one = prng_chance(&m->prng, 1, 2);
    struct log_slice slice;
    assert_int_equal(kit_read_slice(&m->kit, offset, max_bytes, bound, at_least_one, &slice),
                     ERR_NONE);
    int i = index_of(twin, offset);
    int64_t next = slice.next_offset;
    struct slice bytes = kit_take(&m->kit, &slice);
    size_t taken = 0;
    while (bytes.size > 0) {
        struct batch header;
        assert_true(i < twin->count);
        const struct twin_batch *expected = &twin->batches[i++];
        assert_int_equal(batch_decode(bytes, &header), ERR_NONE);
        assert_int_equal(header.base_offset, expected->base_offset);
        assert_int_equal(header.size, expected->size);
        assert_int_equal(header.crc, expected->crc);
        assert_true(header.last_offset < bound);
        assert_true(batch_crc_is_valid(slice_sub(bytes, 0, header.size)));
        taken += header.size;
        assert_true(taken <= max_bytes || (at_least_one && taken == header.size));
        assert_int_equal(next > header.last_offset, true);
        bytes = slice_sub(bytes, header.size, bytes.size - header.size);
    }
    // It stopped for a reason: the bound, the size, the end, or a segment's end.
    if (i < twin->count && twin->batches[i].last_offset < bound && taken == 0) {
        assert_false(at_least_one);
        assert_true(twin->batches[i].size > max_bytes);
    }
}

static void check_lookup(struct model *m) {
    const struct twin *twin = &m->twin;
    int64_t timestamp = env_wall_ms(m->kit.env) - below(m, 4000);
    struct log_timestamp found = kit_lookup(&m->kit, timestamp);
    for (int i = index_of(twin, twin->start); i < twin->count; i++) {
        const struct twin_batch *b = &twin->batches[i];
        for (int r = 0; r < b->records; r++) {
            int64_t at = b->timestamp + (b->is_marker ? 0 : r);
            if (at < timestamp || b->base_offset + r < twin->start) continue;
            assert_int_equal(found.offset, b->base_offset + r);
            assert_int_equal(found.timestamp, at);
            return;
        }
    }
    assert_int_equal(found.offset, -1);
}

static void check_producers(struct model *m) {
    if (!m->uses_producers) return;
    struct producer_info *list;
    int32_t count;
    log_producers(m->kit.log, &m->kit.arena, &list, &count);
    for (int64_t id = 1; id <= PRODUCERS; id++) {
        struct twin_producer expected = producer_of(&m->twin, id);
        const struct producer_info *found = NULL;
        for (int32_t i = 0; i < count; i++) {
            if (list[i].producer_id == id) found = &list[i];
        }
        assert_int_equal(found != NULL, expected.is_known);
        if (found == NULL) continue;
        assert_int_equal(found->producer_epoch, expected.epoch);
        assert_int_equal(found->last_sequence, expected.last_sequence);
        assert_int_equal(found->current_transaction_first_offset, expected.first_open);
    }
}

// Aborted transactions and the last stable offset, worked out from all batches.
static void check_transactions(struct model *m) {
    if (!m->uses_producers) return;
    const struct twin *twin = &m->twin;
    int64_t stable = twin->end;
    for (int64_t id = PRODUCERS - 1; id <= PRODUCERS; id++) {
        struct twin_producer p = producer_of(twin, id);
        if (p.first_open >= 0) stable = MIN(stable, p.first_open);
    }
    stable = MAX(stable, twin->start);
    assert_int_equal(log_last_stable_offset(m->kit.log, twin->end), stable);
    int64_t from = twin->start + below(m, twin->end - twin->start + 1);
    int64_t to = from + below(m, twin->end - from + 1);
    struct aborted_transaction *list;
    int32_t count;
    enum err err;
    do {
        err = log_aborted_transactions(m->kit.log, from, to, &m->kit.arena, &list, &count);
    } while (err == ERR_WOULD_BLOCK);
    assert_int_equal(err, ERR_NONE);
    int expected = 0;
    int64_t open[PRODUCERS + 1];
    for (int id = 0; id <= PRODUCERS; id++)
        open[id] = -1;
    for (int i = 0; i < twin->count; i++) {
        const struct twin_batch *b = &twin->batches[i];
        if (b->producer_id == 0 || !b->is_transactional) continue;
        int64_t first = open[b->producer_id];
        if (!b->is_marker) {
            if (first < 0) open[b->producer_id] = b->base_offset;
            continue;
        }
        open[b->producer_id] = -1;
        if (b->is_commit || first < 0 || b->last_offset < from || first >= to) continue;
        expected++;
        bool found = false;
        for (int32_t k = 0; k < count; k++)
            found |= list[k].producer_id == b->producer_id && list[k].first_offset == first;
        assert_true(found);
    }
    assert_int_equal(count, expected);
}

static void check(struct model *m) {
    assert_int_equal(log_end_written(m->kit.log), m->twin.end);
    assert_int_equal(log_end_assigned(m->kit.log), m->twin.end);
    assert_int_equal(log_start_offset(m->kit.log), m->twin.start);
    if (!m->disk_is_full) assert_int_equal(log_end_synced(m->kit.log), m->twin.end);
    check_read(m);
    if (prng_chance(&m->prng, 1, 4)) check_lookup(m);
    if (prng_chance(&m->prng, 1, 4)) check_producers(m);
    if (prng_chance(&m->prng, 1, 4)) check_transactions(m);
    arena_reset(&m->kit.arena);
}

static void fill_disk(struct model *m) {
    m->disk_is_full = !m->disk_is_full;
    uint64_t bytes =
        m->disk_is_full ? sim_disk_used(m->kit.node) + (uint64_t)below(m, 3000) : UINT64_C(1) << 30;
    sim_disk_set_capacity(m->kit.node, bytes);
}

static void step(struct model *m) {
    int64_t choice = below(m, 100);
    if (m->disk_is_full && prng_chance(&m->prng, 1, 4)) fill_disk(m);
    if (choice < 50) {
        append_some(m);
    } else if (choice < 58) {
        end_transaction(m);
    } else if (choice < 64) {
        retry_last(m);
    } else if (choice < 68) {
        advance_start(m);
    } else if (choice < 72) {
        kit_do(&m->kit, KIT_ROLL, 0, 0);
        kit_settle(&m->kit);
    } else if (choice < 74) {
        fill_disk(m);
    } else if (choice < 76 && !m->disk_is_full) {
        truncate_some(m);
    } else if (choice < 82 && !m->disk_is_full) {
        m->kit.options.log_start_offset = m->twin.start;
        kit_reopen(&m->kit);
    } else if (choice < 88 && !m->disk_is_full) {
        crash(m, choice >= 85);
    } else if (choice < 90) {
        sim_settle(m->kit.sim, 70 * S);
    }
    kit_settle(&m->kit);
    check(m);
}

static void run(uint64_t seed) {
    struct model *m = memory_zalloc(1, sizeof *m);
    kit_init(&m->kit, seed, MUTANT_NONE);
    prng_init(&m->prng, seed);
    m->uses_producers = true;
    m->kit.options.config.segment_bytes = 4000 + (int32_t)below(m, 30000);
    m->kit.options.config.index_interval_bytes = (int32_t)below(m, 2000);
    m->kit.options.config.retention_ms = -1;
    m->kit.options.config.segment_ms = INT64_C(100) * 86400000;
    kit_open(&m->kit);
    for (int i = 0; i < 150; i++) {
        step(m);
    }
    assert_true(m->done_appends > 20);
    kit_deinit(&m->kit);
    memory_free(m);
}

static void random_operations_keep_log_and_twin_equal(void **state) {
    (void)state;
    const char *one = getenv("MODEL_SEED");
    uint64_t first = one == NULL ? 1 : strtoull(one, NULL, 10);
    const char *many = getenv("MODEL_SEEDS");
    uint64_t last = one != NULL ? first : many != NULL ? strtoull(many, NULL, 10) : 40;
    for (uint64_t seed = first; seed <= last; seed++) {
        fprintf(stderr, "seed %llu\r", (unsigned long long)seed);
        run(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_keep_log_and_twin_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
