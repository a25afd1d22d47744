// Every place at which a log can die: a fixed piece of work (create, append, roll, abort, delete,
// truncate, stop, start) is run again and again, and each time the machine goes at the next disk
// operation, killed or without power; sometimes a second time while it recovers. What was promised
// must be there, what is there must be whole, and the log must go on. The same with an I/O error,
// and with a full disk, in each place.
#include "test/storage/kit.h"

#define HISTORY_MAX 200

struct past_batch {
    int64_t base_offset;
    int64_t last_offset;
    uint32_t crc;
    int64_t producer_id;
    int32_t last_sequence;
};

struct life {
    struct kit kit;
    struct log_listener listener;
    struct past_batch history[HISTORY_MAX];
    int count;
    int64_t promised;  // synced, as far as anybody was told
    int64_t floor;     // a truncation may have taken what lies behind
    int64_t start;     // the log start may be anywhere up to here
    bool tolerates;    // errors of appends are part of the exercise
    bool was_cut;
};

static void note_moved(struct log_listener *listener) {
    struct life *life = container_of(listener, struct life, listener);
    life->promised = MAX(life->promised, log_end_synced(life->kit.log));
}
static void note_failed(struct log_listener *listener, enum err err) {
    (void)listener;
    (void)err;
}

static bool is_alive(const struct life *life) {
    return sim_node_is_running(life->kit.node);
}

// ---- The work ----

static void forget_from(struct life *life, int64_t offset) {
    while (life->count > 0 && life->history[life->count - 1].last_offset >= offset)
        life->count--;
}

static void remember(struct life *life, const struct kit_append *append, int64_t producer_id,
                     int32_t last_sequence) {
    struct batch header;
    assert_int_equal(batch_decode(slice_of(append->op.batch, append->op.size), &header), ERR_NONE);
    // A failed append may or may not have left its bytes: it is known until another takes its
    // place.
    forget_from(life, append->op.base_offset);
    assert_true(life->count < HISTORY_MAX);
    life->history[life->count++] = (struct past_batch){
        append->op.base_offset, append->op.last_offset, header.crc, producer_id, last_sequence};
}

static void wait_for(struct life *life, struct kit_append *append) {
    kit_settle(&life->kit);
    if (!is_alive(life) || (append->is_done && append->result == ERR_NONE)) return;
    assert_true(append->is_done);
    assert_true(life->tolerates);
}

// Returns the offset, -1 when refused.
static int64_t put(struct life *life, struct kit_batch spec) {
    if (!is_alive(life) || life->kit.log == NULL) return -1;
    struct kit_append append;
    if (spec.records == 0) spec.records = 1;
    enum err err = kit_start(&life->kit, &append, spec);
    if (!is_alive(life)) return -1;
    if (err != ERR_NONE) {
        assert_true(life->tolerates);
        return -1;
    }
    remember(life, &append, spec.producer_id, spec.sequence + spec.records - 1);
    wait_for(life, &append);
    return append.op.base_offset;
}

static void mark(struct life *life, bool commit) {
    if (!is_alive(life) || life->kit.log == NULL) return;
    struct kit_append append;
    struct slice bytes = kit_marker(&life->kit, 2, 0, commit, 1);
    enum err err = kit_start_bytes(&life->kit, &append, bytes, APPEND_COORDINATOR, 0);
    if (!is_alive(life) || err != ERR_NONE) return;
    remember(life, &append, 0, 0);
    wait_for(life, &append);
}

static void act(struct life *life, enum kit_verb verb, int64_t a, int64_t b) {
    if (!is_alive(life) || life->kit.log == NULL) return;
    (void)kit_do(&life->kit, verb, a, b);
    if (is_alive(life)) kit_settle(&life->kit);
}

static bool open_log(struct life *life) {
    enum err err = kit_try_open(&life->kit);
    if (!is_alive(life)) return false;
    if (err != ERR_NONE) {
        assert_true(life->tolerates);
        return false;
    }
    life->listener = (struct log_listener){.moved = note_moved, .failed = note_failed};
    log_set_listener(life->kit.log, &life->listener);
    assert_true(log_end_written(life->kit.log) >= MIN(life->promised, life->floor));
    forget_from(life, log_end_written(life->kit.log));
    life->promised = MAX(life->promised, log_end_synced(life->kit.log));
    return true;
}

static void stop_and_start(struct life *life) {
    if (!is_alive(life) || life->kit.log == NULL) return;
    struct kit_close *close = memory_zalloc(1, sizeof *close);
    close->op.done = kit_close_done;
    log_close_start(life->kit.log, &close->op);
    kit_settle(&life->kit);
    bool was_clean = close->is_done && close->result == ERR_NONE;
    memory_free(close);
    if (!is_alive(life)) return;
    life->kit.options.clean = was_clean;
    life->kit.options.recovery_point = log_recovery_point(life->kit.log);
    life->kit.options.log_start_offset = log_start_offset(life->kit.log);
    log_free(life->kit.log);
    life->kit.log = NULL;
    (void)open_log(life);
    if (is_alive(life)) life->kit.options.clean = false;
}

static void truncate_to(struct life *life, int64_t offset) {
    if (!is_alive(life) || life->kit.log == NULL) return;
    life->floor = MIN(life->floor, offset);
    life->was_cut = true;
    life->kit.options.recovery_point = MIN(life->kit.options.recovery_point, offset);
    struct kit_call call = kit_do(&life->kit, KIT_TRUNCATE, offset, 0);
    if (!is_alive(life) || call.err != ERR_NONE) return;
    forget_from(life, offset);
    life->promised = MIN(life->promised, offset);
    life->floor = INT64_MAX;
}

static void work(struct life *life) {
    if (!open_log(life)) return;
    int32_t sequence = 0;
    for (int i = 0; i < 5; i++, sequence += 2)
        put(life,
            KIT_BATCH(.records = 2, .value_size = 60, .producer_id = 1, .sequence = sequence));
    put(life, KIT_BATCH(.producer_id = 2, .sequence = 0, .attributes = ATTRIBUTE_TRANSACTIONAL));
    mark(life, false);
    act(life, KIT_ROLL, 0, 0);
    stop_and_start(life);
    for (int i = 0; i < 4; i++, sequence += 2)
        put(life,
            KIT_BATCH(.records = 2, .value_size = 60, .producer_id = 1, .sequence = sequence));
    if (is_alive(life) && life->kit.log != NULL) {
        life->start = 5;
        act(life, KIT_ADVANCE_START, MIN((int64_t)5, log_end_written(life->kit.log)), 0);
        if (is_alive(life))
            act(life, KIT_RETENTION, env_wall_ms(life->kit.env), log_end_written(life->kit.log));
    }
    if (is_alive(life) && life->kit.log != NULL && log_end_written(life->kit.log) > 12)
        truncate_to(life, 16);
    put(life, KIT_BATCH(.records = 2, .value_size = 60));
    put(life, KIT_BATCH(.records = 3, .value_size = 60));
    stop_and_start(life);
    put(life, KIT_BATCH());
}

// ---- What must hold afterwards ----

static void check_contents(struct life *life) {
    struct kit *kit = &life->kit;
    int64_t end = log_end_written(kit->log);
    assert_true(log_start_offset(kit->log) <= life->start);
    assert_true(end >= MIN(life->promised, life->floor));
    assert_int_equal(log_end_synced(kit->log), end);
    int64_t offset = log_start_offset(kit->log);
    int i = 0;
    while (offset < end) {
        struct slice bytes = kit_read(kit, offset, 1);
        struct batch batch;
        assert_int_equal(batch_decode(bytes, &batch), ERR_NONE);
        assert_true(batch_crc_is_valid(bytes));
        while (i < life->count && life->history[i].last_offset < offset)
            i++;
        assert_true(i < life->count);
        assert_int_equal(batch.base_offset, life->history[i].base_offset);
        assert_int_equal(batch.crc, life->history[i].crc);
        offset = batch.last_offset + 1;
    }
    assert_int_equal(offset, end);
}

// A producer whose last batch is in the log is known by it.
static void check_producer(struct life *life) {
    struct producer_info *list;
    int32_t count;
    log_producers(life->kit.log, &life->kit.arena, &list, &count);
    const struct past_batch *last = NULL;
    for (int i = 0; i < life->count; i++) {
        const struct past_batch *b = &life->history[i];
        if (b->producer_id == 1 && b->last_offset < log_end_written(life->kit.log)) last = b;
    }
    if (last == NULL || last->base_offset < log_start_offset(life->kit.log)) return;
    int32_t found = -1;
    for (int32_t i = 0; i < count; i++) {
        if (list[i].producer_id == 1) found = list[i].last_sequence;
    }
    assert_int_equal(found, last->last_sequence);
}

static void revive(struct life *life, bool power_cut) {
    if (is_alive(life)) {
        kit_crash(&life->kit, power_cut);
        return;
    }
    arena_deinit(&life->kit.arena);
    life->kit.log = NULL;
    sim_node_restart(life->kit.node);
    life->kit.env = sim_node_env(life->kit.node, 0);
}

// Recovers, perhaps crashing again on the way, and looks at everything.
static void check_after(struct life *life, bool power_cut, uint64_t again) {
    life->kit.options.clean = false;
    life->kit.options.log_start_offset = -1;
    life->tolerates = false;
    if (again > 0) {
        sim_crash_at_disk_operation(life->kit.node, again, power_cut, NULL, NULL);
        if (open_log(life)) {
            sim_crash_at_disk_operation(life->kit.node, 0, power_cut, NULL, NULL);
            check_contents(life);
        }
        revive(life, power_cut);
    }
    assert_true(open_log(life));
    check_contents(life);
    if (!life->was_cut) check_producer(life);
    int64_t end = log_end_written(life->kit.log);
    assert_int_equal(put(life, KIT_BATCH(.records = 2)), end);
    // The next crash takes nothing of it.
    kit_crash(&life->kit, power_cut);
    assert_true(open_log(life));
    check_contents(life);
    assert_int_equal(log_end_written(life->kit.log), end + 2);
}

static struct life *life_new(uint64_t seed) {
    struct life *life = memory_zalloc(1, sizeof *life);
    kit_init(&life->kit, seed, MUTANT_NONE);
    life->kit.options.config.segment_bytes = 700;
    life->kit.options.config.index_interval_bytes = 100;
    life->kit.options.config.file_delete_delay_ms = 100;
    life->floor = INT64_MAX;
    return life;
}

static void life_free(struct life *life) {
    kit_deinit(&life->kit);
    memory_free(life);
}

// Runs until the work is done without a crash; returns how many places there are.
static int crash_everywhere(bool power_cut, uint64_t seed) {
    for (uint64_t n = 1;; n++) {
        struct life *life = life_new(seed + n);
        sim_crash_at_disk_operation(life->kit.node, n, power_cut, NULL, NULL);
        work(life);
        bool crashed = !is_alive(life);
        if (crashed) {
            revive(life, power_cut);
            check_after(life, power_cut, n % 3 == 0 ? n % 17 + 1 : 0);
        }
        life_free(life);
        if (!crashed) return (int)n - 1;
    }
}

static void killed_at_every_disk_operation(void **state) {
    (void)state;
    assert_true(crash_everywhere(false, 1000) > 100);
}

static void without_power_at_every_disk_operation(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++)
        assert_true(crash_everywhere(true, seed * 7919) > 100);
}

// An error of the disk in each place: the log fails or carries on, and after a new start what was
// promised is there.
static void an_error_at_every_write_and_sync(void **state) {
    (void)state;
    for (int fault = SIM_FAULT_WRITE; fault <= SIM_FAULT_SYNC; fault++) {
        int met = 0;
        for (uint64_t n = 1; n < 60; n++) {
            struct life *life = life_new(n);
            life->tolerates = true;
            sim_disk_fail(life->kit.node, (enum sim_fault)fault, n);
            work(life);
            met += sim_counts(life->kit.sim).faults > 0;
            sim_disk_fail(life->kit.node, (enum sim_fault)fault, 0);
            revive(life, false);
            check_after(life, true, 0);
            life_free(life);
        }
        assert_true(met > 20);
    }
}

// The disk is full from the n-th kilobyte on, and then is not.
static void a_disk_that_fills_up_at_every_size(void **state) {
    (void)state;
    int refused = 0;
    for (uint64_t bytes = 0; bytes < 40000; bytes += 700) {
        struct life *life = life_new(bytes);
        life->tolerates = true;
        sim_disk_set_capacity(life->kit.node, bytes);
        work(life);
        refused += sim_counts(life->kit.sim).writes_refused_full > 0;
        assert_true(is_alive(life));
        sim_disk_set_capacity(life->kit.node, UINT64_C(1) << 30);
        if (life->kit.log != NULL && !log_has_failed(life->kit.log)) {
            life->tolerates = false;
            put(life, KIT_BATCH(.records = 2));
        }
        revive(life, true);
        check_after(life, true, 0);
        life_free(life);
    }
    assert_true(refused > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_every_disk_operation),
        cmocka_unit_test(without_power_at_every_disk_operation),
        cmocka_unit_test(an_error_at_every_write_and_sync),
        cmocka_unit_test(a_disk_that_fills_up_at_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
