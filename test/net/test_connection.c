// Frames and requests on one connection: cut right, in order, limited, closed cleanly.
#include "test/net/fixture.h"

static void frames_are_answered(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    server_start(&s);
    client_start(&c, &s);
    client_send(&c, "e1");
    client_send(&c, "e2");
    RECEIVED(&c, "e1", "e2");
    assert_int_equal(budget_used(&s), 0);
    client_stop(&c);
    assert_int_equal(connection_count(&s), 0);
    server_stop(&s);
}

static void many_frames_in_one_send(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    server_start(&s);
    client_start(&c, &s);
    struct string_buffer all, expected;
    string_buffer_init(&all);
    string_buffer_init(&expected);
    char text[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "e%d", i);
        put_frame(&all, text);
    }
    client_send_bytes(&c, all.text, all.size);
    sim_run(s.sim, S, NULL);
    assert_int_equal(c.received.size, all.size);
    assert_memory_equal(c.received.text, all.text, all.size);
    assert_int_equal(s.begun, 2000);
    string_buffer_deinit(&all);
    client_stop(&c);
    server_stop(&s);
}

static void frames_byte_by_byte(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    server_start(&s);
    client_start(&c, &s);
    const uint8_t bytes[] = {0, 0, 0, 3, 'e', 'x', 'y', 0, 0, 0, 1, 'e'};
    for (size_t i = 0; i < sizeof bytes; i++)
        client_send_bytes(&c, &bytes[i], 1);
    RECEIVED(&c, "exy", "e");
    client_stop(&c);
    server_stop(&s);
}

// Every way to cut a stream of frames in two gives the same requests.
static void frames_cut_anywhere(void **state) {
    (void)state;
    struct string_buffer all;
    string_buffer_init(&all);
    put_frame(&all, "e");
    put_frame(&all, "e-second");
    put_frame(&all, "e3");
    for (size_t cut = 0; cut <= all.size; cut++) {
        struct server s;
        struct client c = {0};
        server_init(&s);
        server_start(&s);
        client_start(&c, &s);
        client_send_bytes(&c, all.text, cut);
        client_send_bytes(&c, all.text + cut, all.size - cut);
        RECEIVED(&c, "e", "e-second", "e3");
        client_stop(&c);
        server_stop(&s);
    }
    string_buffer_deinit(&all);
}

static void large_frame_comes_whole(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    s.limits.output_bytes_high = 16 << 20;
    server_start(&s);
    client_start(&c, &s);
    uint32_t size = 3 << 20;
    uint8_t *frame = memory_zalloc(1, size + 4);
    uint32_t prefix = __builtin_bswap32(size);
    memcpy(frame, &prefix, 4);
    for (uint32_t i = 0; i < size; i++)
        frame[4 + i] = (uint8_t)('e' + i % 7);
    client_send_bytes(&c, frame, size + 4);
    sim_run(s.sim, 5 * S, NULL);
    assert_int_equal(c.received.size, size + 4);
    assert_memory_equal(c.received.text, frame, size + 4);
    assert_int_equal(budget_used(&s), 0);
    memory_free(frame);
    client_stop(&c);
    server_stop(&s);
}

static void replies_leave_in_order(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    server_start(&s);
    client_start(&c, &s);
    client_send(&c, "h-first");
    client_send(&c, "e-second");
    client_send(&c, "h-third");
    client_send(&c, "n");
    client_send(&c, "e-fifth");
    assert_int_equal(s.begun, 5);
    assert_int_equal(c.received.size, 0);
    release(&s, 1);
    assert_int_equal(c.received.size, 0);
    release(&s, 0);
    RECEIVED(&c, "h-first", "e-second", "h-third", "e-fifth");
    client_stop(&c);
    server_stop(&s);
}

static void a_barrier_runs_alone(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    server_start(&s);
    client_start(&c, &s);
    client_send(&c, "b");
    client_send(&c, "e2");
    client_send(&c, "e3");
    assert_int_equal(s.begun, 1);
    release(&s, 0);
    assert_int_equal(s.begun, 3);
    RECEIVED(&c, "b", "e2", "e3");
    client_stop(&c);
    server_stop(&s);
}

static void failing_answers_what_came_before(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    server_start(&s);
    client_start(&c, &s);
    client_send(&c, "h");
    client_send(&c, "f");
    client_send(&c, "h");
    assert_false(c.closed);
    release(&s, 0);
    RECEIVED(&c, "h");
    assert_true(c.closed);
    assert_int_equal(s.abandoned, 1);
    assert_int_equal(connection_count(&s), 0);
    release(&s, 1);
    assert_int_equal(budget_used(&s), 0);
    client_stop(&c);
    server_stop(&s);
}

static void a_client_that_leaves_abandons_its_requests(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    server_start(&s);
    client_start(&c, &s);
    client_send(&c, "h1");
    client_send(&c, "h2");
    client_stop(&c);
    assert_int_equal(s.abandoned, 2);
    assert_int_equal(connection_count(&s), 0);
    assert_int_equal(budget_used(&s), 4);
    release(&s, 1);
    release(&s, 0);
    assert_int_equal(budget_used(&s), 0);
    server_stop(&s);
}

static void bad_sizes_close(void **state) {
    (void)state;
    static const uint8_t sizes[][8] = {
        {0, 0, 0, 0},       {0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0x7f, 0xff, 0xff, 0xff},
        {0x06, 0x40, 0, 1}, {'G', 'E', 'T', ' '},     {0x16, 3, 1, 2}, {0x60, 0x82, 2, 0},
    };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct server s;
        struct client c = {0};
        server_init(&s);
        server_start(&s);
        client_start(&c, &s);
        client_send_bytes(&c, sizes[i], 8);
        assert_true(c.closed);
        assert_int_equal(s.begun, 0);
        assert_int_equal(connection_count(&s), 0);
        assert_int_equal(budget_used(&s), 0);
        client_stop(&c);
        server_stop(&s);
    }
}

// The announced size is charged, its memory is not taken before bytes come.
static void a_large_size_costs_little(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    s.memory_max = 200 << 20;
    server_start(&s);
    client_start(&c, &s);
    const uint8_t bytes[] = {0x06, 0x40, 0, 0, 'e'};
    client_send_bytes(&c, bytes, sizeof bytes);
    assert_int_equal(budget_used(&s), 100 << 20);
    assert_false(c.closed);
    client_stop(&c);
    assert_int_equal(budget_used(&s), 0);
    server_stop(&s);
}

static void half_a_frame_has_a_deadline(void **state) {
    (void)state;
    for (size_t size = 1; size <= 6; size++) {
        struct server s;
        struct client c = {0};
        server_init(&s);
        s.limits.frame_ns = 300 * MS;
        server_start(&s);
        client_start(&c, &s);
        client_send_bytes(&c, "\0\0\0\7abc", size);
        sim_run(s.sim, 200 * MS, NULL);
        assert_false(c.closed);
        sim_run(s.sim, 200 * MS, NULL);
        assert_true(c.closed);
        assert_int_equal(budget_used(&s), 0);
        client_stop(&c);
        server_stop(&s);
    }
}

static void idle_connections_close(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    s.limits.idle_ns = 2 * S;
    server_start(&s);
    client_start(&c, &s);
    for (int i = 0; i < 5; i++) {
        sim_run(s.sim, S, NULL);
        client_send(&c, "e");
    }
    assert_false(c.closed);
    // A long poll is not idle.
    client_send(&c, "h");
    sim_run(s.sim, 10 * S, NULL);
    assert_false(c.closed);
    release(&s, 0);
    sim_run(s.sim, 5 * S, NULL);
    assert_true(c.closed);
    client_stop(&c);
    server_stop(&s);
}

// A client that does not read: no more requests are begun once its output is full, and it is closed
// when nothing moves.
static void a_client_that_does_not_read(void **state) {
    (void)state;
    struct server s;
    struct client c = {.is_deaf = true};
    server_init(&s);
    s.reply_size = 1 << 20;
    s.limits.output_bytes_high = 1 << 20;
    s.limits.idle_ns = 3 * S;
    server_start(&s);
    client_start(&c, &s);
    for (int i = 0; i < 40; i++)
        client_send(&c, "L");
    sim_run(s.sim, S, NULL);
    assert_true(s.begun < 40);
    assert_int_equal(connection_count(&s), 1);
    sim_run(s.sim, 5 * S, NULL);
    assert_int_equal(connection_count(&s), 0);
    assert_int_equal(budget_used(&s), 0);
    client_stop(&c);
    server_stop(&s);
}

static void requests_in_flight_are_limited(void **state) {
    (void)state;
    struct server s;
    struct client c = {0};
    server_init(&s);
    s.limits.requests_in_flight_max = 3;
    server_start(&s);
    client_start(&c, &s);
    for (int i = 0; i < 5; i++)
        client_send(&c, "h");
    assert_int_equal(s.begun, 3);
    release(&s, 0);
    assert_int_equal(s.begun, 4);
    for (int i = 1; i < 5; i++)
        release(&s, i);
    assert_int_equal(s.begun, 5);
    RECEIVED(&c, "h", "h", "h", "h", "h");
    client_stop(&c);
    server_stop(&s);
}

// A frame that does not fit the budget waits for those before it, on whatever connection.
static void the_budget_makes_frames_wait(void **state) {
    (void)state;
    struct server s;
    struct client a = {0}, b = {0};
    server_init(&s);
    s.memory_max = 10;
    server_start(&s);
    client_start(&a, &s);
    client_start(&b, &s);
    client_send(&a, "h-eight-");
    client_send(&b, "e-four");
    client_send(&b, "e");
    assert_int_equal(s.begun, 1);
    assert_int_equal(budget_used(&s), 8);
    release(&s, 0);
    RECEIVED(&b, "e-four", "e");
    // Larger than the whole budget: admitted when alone.
    client_send(&a, "e-larger-than-ten");
    RECEIVED(&a, "h-eight-", "e-larger-than-ten");
    assert_int_equal(budget_used(&s), 0);
    client_stop(&a);
    client_stop(&b);
    server_stop(&s);
}

static void a_waiting_frame_may_go_away(void **state) {
    (void)state;
    struct server s;
    struct client a = {0}, b = {0}, c = {0};
    server_init(&s);
    s.memory_max = 10;
    server_start(&s);
    client_start(&a, &s);
    client_start(&b, &s);
    client_start(&c, &s);
    client_send(&a, "h234");
    client_send(&b, "e-too-large-now");
    client_send(&c, "e2");
    assert_int_equal(s.begun, 1);  // in order of arrival: b is first
    client_stop(&b);
    release(&s, 0);
    RECEIVED(&c, "e2");
    assert_int_equal(budget_used(&s), 0);
    client_stop(&a);
    client_stop(&c);
    server_stop(&s);
}

// What a hundred clients send that was never a protocol: the server serves on, and holds nothing of
// it.
static void garbage(void **state) {
    (void)state;
    struct server s;
    server_init(&s);
    s.limits.frame_ns = S;
    server_start(&s);
    for (int round = 0; round < 100; round++) {
        struct client c = {0};
        client_start(&c, &s);
        uint8_t bytes[600];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)prng_next(sim_prng(s.sim));
        // Half of the rounds begin with plausible frames.
        for (size_t i = 0; round % 2 == 0 && i + 8 < sizeof bytes; i += 8) {
            memset(bytes + i, 0, 3);
            bytes[i + 3] = (uint8_t)(1 + prng_below(sim_prng(s.sim), 6));
            if (bytes[i + 4] == 'h' || bytes[i + 4] == 'b' || bytes[i + 4] == 'L') bytes[i + 4] = 0;
        }
        client_send_bytes(&c, bytes, sizeof bytes);
        client_stop(&c);
    }
    sim_run(s.sim, 5 * S, NULL);
    assert_int_equal(budget_used(&s), 0);
    assert_int_equal(connection_count(&s), 0);
    struct client c = {0};
    client_start(&c, &s);
    client_send(&c, "e");
    RECEIVED(&c, "e");
    client_stop(&c);
    server_stop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_answered),
        cmocka_unit_test(many_frames_in_one_send),
        cmocka_unit_test(frames_byte_by_byte),
        cmocka_unit_test(frames_cut_anywhere),
        cmocka_unit_test(large_frame_comes_whole),
        cmocka_unit_test(replies_leave_in_order),
        cmocka_unit_test(a_barrier_runs_alone),
        cmocka_unit_test(failing_answers_what_came_before),
        cmocka_unit_test(a_client_that_leaves_abandons_its_requests),
        cmocka_unit_test(bad_sizes_close),
        cmocka_unit_test(a_large_size_costs_little),
        cmocka_unit_test(half_a_frame_has_a_deadline),
        cmocka_unit_test(idle_connections_close),
        cmocka_unit_test(a_client_that_does_not_read),
        cmocka_unit_test(requests_in_flight_are_limited),
        cmocka_unit_test(the_budget_makes_frames_wait),
        cmocka_unit_test(a_waiting_frame_may_go_away),
        cmocka_unit_test(garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
