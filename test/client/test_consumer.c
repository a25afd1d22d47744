// The consumer of assigned partitions against a real broker.
#include "test/client/bed.h"

struct reading {
    struct bed *bed;
    struct consumer *consumer;
    struct consumer_options options;
    int32_t partitions;
    int32_t read;
    int32_t next[4];
    enum err error;
    bool is_slow;  // one record a millisecond
    struct env_timer timer;
};

static void read_one(struct reading *r) {
    struct consumer_record record;
    enum err e = consumer_next(r->consumer, &record, NULL);
    if (e == ERR_WOULD_BLOCK) return;
    if (e != ERR_NONE) {
        r->error = e;
        return;
    }
    int64_t value;
    assert_true(slice_parse_int64(record.record.value, &value));
    assert_int_equal(value, r->next[record.partition]);
    r->next[record.partition]++;
    r->read++;
}

static void tick(struct env_timer *timer) {
    struct reading *r = container_of(timer, struct reading, timer);
    read_one(r);
    env_timer_start(r->bed->env, timer, env_now_ns(r->bed->env) + MS);
}

static void begin(void *context) {
    struct reading *r = context;
    r->consumer = consumer_new(r->bed->client, &r->options);
    for (int32_t i = 0; i < r->partitions; i++) {
        assert_int_equal(consumer_assign(r->consumer, SLICE_LITERAL("t"), i, OFFSET_EARLIEST),
                         ERR_NONE);
    }
    env_timer_init(&r->timer, tick);
    if (r->is_slow) env_timer_start(r->bed->env, &r->timer, env_now_ns(r->bed->env) + MS);
}

static void end(void *context) {
    struct reading *r = context;
    env_timer_stop(r->bed->env, &r->timer);
    consumer_free(r->consumer);
}

static bool has_read_400(void *context) {
    return ((struct reading *)context)->read >= 400;
}

// Batches of one record, so that every reply holds a known number of them.
static void produce_singly(struct bed *bed, int32_t partition, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        bed_produce(bed, "t", partition, i, 1);
}

// While a slow reader works on one reply the next is on its way: with 40 ms there and back and 40
// ms of work on a reply, nobody waits.
static void reads_ahead(void **state) {
    (void)state;
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 2);
    bed.step_ms = 1;  // one segment
    produce_singly(&bed, 0, 200);
    produce_singly(&bed, 1, 200);
    sim_network_latency(bed.sim, 20 * MS, 20 * MS);
    struct reading r = {.bed = &bed, .options = consumer_options_default(), .partitions = 2};
    r.options.partition_bytes_max = 1500;  // some twenty records
    r.is_slow = true;
    bed_as(&bed, begin, &r);
    uint64_t start = sim_now_ns(bed.sim);
    bed_until(&bed, has_read_400, &r, "records");
    uint64_t took_ms = (sim_now_ns(bed.sim) - start) / MS;
    print_message("400 records in %llu ms\n", (unsigned long long)took_ms);
    assert_true(took_ms < 620);
    assert_int_equal(r.error, ERR_NONE);
    bed_as(&bed, end, &r);
    bed_deinit(&bed);
}

static void read_now(void *context) {
    read_one(context);
}

static void pause_first(void *context) {
    struct reading *r = context;
    consumer_pause(r->consumer, SLICE_LITERAL("t"), 0, true);
}

static void resume_first(void *context) {
    struct reading *r = context;
    consumer_pause(r->consumer, SLICE_LITERAL("t"), 0, false);
}

// Paused in the middle of a compressed batch, another partition in between: nothing is lost or
// damaged.
static void pauses_inside_a_batch(void **state) {
    (void)state;
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 2);
    bed_produce(&bed, "t", 0, 0, 50);
    bed_produce(&bed, "t", 1, 0, 50);
    struct reading r = {.bed = &bed, .options = consumer_options_default(), .partitions = 2};
    bed_as(&bed, begin, &r);
    while (r.next[0] < 10)
        bed_as(&bed, read_now, &r), assert_true(sim_step(bed.sim));
    bed_as(&bed, pause_first, &r);
    int32_t before = r.next[0];
    while (r.next[1] < 50)
        bed_as(&bed, read_now, &r), assert_true(sim_step(bed.sim));
    assert_int_equal(r.next[0], before);
    bed_as(&bed, resume_first, &r);
    while (r.next[0] < 50)
        bed_as(&bed, read_now, &r), assert_true(sim_step(bed.sim));
    bed_as(&bed, end, &r);
    bed_deinit(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_ahead),
                                       cmocka_unit_test(pauses_inside_a_batch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
