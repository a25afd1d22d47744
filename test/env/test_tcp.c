// Connections of the real world: both ends live on one reactor.
#include "test/env/posix_fixture.h"

struct peer {
    struct tcp_handler handler;
    struct tcp *tcp;
    struct env *env;
    bool connected, ended, closed, wrote;
    enum err connect_result;
    uint8_t *data;
    size_t size, wanted;
    bool complete;  // `wanted` bytes are there
};

static void peer_connected(struct tcp_handler *handler, enum err result) {
    struct peer *p = container_of(handler, struct peer, handler);
    assert_false(p->connected);
    p->connected = true;
    p->connect_result = result;
}
static void peer_readable(struct tcp_handler *handler) {
    struct peer *p = container_of(handler, struct peer, handler);
    uint8_t buffer[65536];
    size_t got;
    enum err err = tcp_receive(p->tcp, buffer, sizeof buffer, &got);
    if (err == ERR_NONE) {
        p->data = memory_realloc(p->data, p->size + got, 1);
        memcpy(p->data + p->size, buffer, got);
        p->size += got;
        if (p->size >= p->wanted) p->complete = true;
    } else if (err == ERR_EOF) {
        p->ended = true;
        tcp_set_reading(p->tcp, false);
    } else if (err == ERR_CLOSED) {
        p->closed = true;
        tcp_set_reading(p->tcp, false);
    } else {
        assert_int_equal(err, ERR_WOULD_BLOCK);
    }
}
static void peer_writable(struct tcp_handler *handler) {
    container_of(handler, struct peer, handler)->wrote = true;
}
static void peer_init(struct peer *p, struct env *env) {
    *p = (struct peer){.env = env};
    p->handler = (struct tcp_handler){peer_connected, peer_readable, peer_writable};
}

struct server {
    struct tcp_listener listener;
    struct peer peer;
    bool accepted;
};
static void server_accepted(struct tcp_listener *listener, struct tcp *tcp) {
    struct server *s = container_of(listener, struct server, listener);
    s->peer.tcp = tcp;
    tcp_set_handler(tcp, &s->peer.handler);
    s->accepted = true;
}

// A client connected to a server, on any free port.
struct pair {
    struct fixture f;
    struct server server;
    struct peer client;
};
static void pair_init(struct pair *p) {
    fixture_init(&p->f, (struct env_posix_options){.spin_us = 50, .workers_max = 1});
    p->server = (struct server){.listener = {.accepted = server_accepted}};
    peer_init(&p->server.peer, p->f.env);
    peer_init(&p->client, p->f.env);
    struct message error;
    assert_int_equal(
        tcp_listen(p->f.env, SLICE_LITERAL("127.0.0.1"), 0, 10, &p->server.listener, &error),
        ERR_NONE);
    uint16_t port = p->server.listener.address.port;
    p->client.tcp = tcp_connect(p->f.env, SLICE_LITERAL("127.0.0.1"), port, &p->client.handler);
    assert_false(p->client.connected);
    pass_until(&p->f, &p->client.connected);
    assert_int_equal(p->client.connect_result, ERR_NONE);
    pass_until(&p->f, &p->server.accepted);
}
static void pair_deinit(struct pair *p) {
    if (p->client.tcp != NULL) tcp_close(p->client.tcp);
    if (p->server.peer.tcp != NULL) tcp_close(p->server.peer.tcp);
    tcp_listener_close(p->f.env, &p->server.listener);
    memory_free(p->client.data);
    memory_free(p->server.peer.data);
    fixture_deinit(&p->f);
}

static void an_echo(void **state) {
    (void)state;
    struct pair p;
    pair_init(&p);
    assert_string_equal(tcp_peer(p.client.tcp).text, "127.0.0.1");
    assert_int_equal(tcp_peer(p.client.tcp).port, p.server.listener.address.port);
    assert_int_equal(tcp_local(p.client.tcp).port, tcp_peer(p.server.peer.tcp).port);
    struct chain chain;
    chain_init(&chain);
    chain_append(&chain, "hello", 5);
    p.server.peer.wanted = p.client.wanted = 5;
    assert_int_equal(tcp_send(p.client.tcp, &chain), ERR_NONE);
    assert_int_equal(chain.size, 0);
    pass_until(&p.f, &p.server.peer.complete);
    chain_append(&chain, p.server.peer.data, 5);
    assert_int_equal(tcp_send(p.server.peer.tcp, &chain), ERR_NONE);
    pass_until(&p.f, &p.client.complete);
    assert_memory_equal(p.client.data, "hello", 5);
    chain_deinit(&chain);
    pair_deinit(&p);
}

// Sends the chain to the end, and waits until the other side has it all.
static void send_through(struct pair *p, struct chain *chain) {
    p->client.wanted = p->client.size + chain->size;
    p->client.complete = p->client.size >= p->client.wanted;
    for (;;) {
        p->server.peer.wrote = false;
        assert_int_equal(tcp_send(p->server.peer.tcp, chain), ERR_NONE);
        if (chain->size == 0) break;
        pass_until(&p->f, &p->server.peer.wrote);
    }
    pass_until(&p->f, &p->client.complete);
}

struct counting_pin {
    struct pin pin;
    int released;
};
static void counting_release(struct pin *pin) {
    container_of(pin, struct counting_pin, pin)->released++;
}

static void memory_and_file_ranges_arrive_in_order(void **state) {
    (void)state;
    struct pair p;
    pair_init(&p);
    enum { SIZE = 9 << 20 };
    uint8_t *bytes = memory_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    struct file *file;
    assert_int_equal(file_open(p.f.env, path_in(&p.f, "data"), FILE_CREATE, &file), ERR_NONE);
    assert_int_equal(file_write(file, 0, bytes, SIZE), ERR_NONE);
    struct counting_pin pin = {{counting_release}, 0};
    struct chain chain;
    chain_init(&chain);
    // Short ranges go through memory, long ones by sendfile; the whole is more than any socket
    // takes at once.
    static const size_t ranges[] = {1,     100,   16384, 16385, 3,     5 << 20,
                                    70000, 16000, 16000, 16000, 16000, 16000};
    size_t position = 0;
    uint8_t *expected = memory_alloc(SIZE + 100);
    size_t expected_size = 0;
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        char head = (char)('A' + (int)i);
        chain_append(&chain, &head, 1);
        expected[expected_size++] = (uint8_t)head;
        chain_append_file(&chain, file, position, ranges[i], &pin.pin);
        memcpy(expected + expected_size, bytes + position, ranges[i]);
        expected_size += ranges[i];
        position += ranges[i];
    }
    assert_int_equal(chain.size, expected_size);
    send_through(&p, &chain);
    assert_int_equal(p.client.size, expected_size);
    assert_memory_equal(p.client.data, expected, expected_size);
    assert_int_equal(pin.released, COUNT_OF(ranges));
    chain_deinit(&chain);
    file_close(file);
    memory_free(bytes);
    memory_free(expected);
    pair_deinit(&p);
}

static void a_short_file_is_an_error(void **state) {
    (void)state;
    static const size_t promised[] = {200, 100000};  // through memory, by sendfile
    for (size_t i = 0; i < COUNT_OF(promised); i++) {
        struct pair p;
        pair_init(&p);
        struct file *file;
        uint8_t some[100] = {0};
        assert_int_equal(file_open(p.f.env, path_in(&p.f, "short"), FILE_CREATE, &file), ERR_NONE);
        assert_int_equal(file_write(file, 0, some, sizeof some), ERR_NONE);
        struct chain chain;
        chain_init(&chain);
        chain_append_file(&chain, file, 0, promised[i], NULL);
        assert_int_equal(tcp_send(p.server.peer.tcp, &chain), ERR_CORRUPT);
        chain_deinit(&chain);
        file_close(file);
        pair_deinit(&p);
    }
}

static void what_was_sent_before_a_close_arrives(void **state) {
    (void)state;
    struct pair p;
    pair_init(&p);
    struct chain chain;
    chain_init(&chain);
    chain_append(&chain, "last words", 10);
    assert_int_equal(tcp_send(p.server.peer.tcp, &chain), ERR_NONE);
    tcp_close(p.server.peer.tcp);
    p.server.peer.tcp = NULL;
    pass_until(&p.f, &p.client.ended);
    assert_int_equal(p.client.size, 10);
    // Half closed: reading is over, writing still works until the other side says that it is gone.
    chain_append(&chain, "x", 1);
    assert_int_equal(tcp_send(p.client.tcp, &chain), ERR_NONE);
    tcp_set_reading(p.client.tcp, true);
    for (int i = 0; i < 1000 && !p.client.closed; i++)
        env_posix_pass(p.f.posix, 1000000);
    chain_append(&chain, "y", 1);
    assert_int_equal(tcp_send(p.client.tcp, &chain), ERR_CLOSED);
    chain_deinit(&chain);
    pair_deinit(&p);
}

static void reading_can_be_paused(void **state) {
    (void)state;
    struct pair p;
    pair_init(&p);
    tcp_set_reading(p.client.tcp, false);
    p.client.wanted = 1;
    struct chain chain;
    chain_init(&chain);
    chain_append(&chain, "z", 1);
    assert_int_equal(tcp_send(p.server.peer.tcp, &chain), ERR_NONE);
    for (int i = 0; i < 20; i++)
        env_posix_pass(p.f.posix, 0);
    assert_int_equal(p.client.size, 0);
    tcp_set_reading(p.client.tcp, true);
    pass_until(&p.f, &p.client.complete);
    chain_deinit(&chain);
    pair_deinit(&p);
}

static void connecting_to_nobody_is_refused(void **state) {
    (void)state;
    struct pair p;
    pair_init(&p);
    uint16_t port = p.server.listener.address.port;
    struct tcp_listener taken = {.accepted = server_accepted};
    struct message error;
    assert_int_equal(tcp_listen(p.f.env, SLICE_LITERAL("127.0.0.1"), port, 10, &taken, &error),
                     ERR_ADDRESS_IN_USE);
    assert_non_null(strstr(error.text, "another process listens"));
    assert_int_equal(tcp_listen(p.f.env, SLICE_LITERAL("203.0.113.1"), 0, 10, &taken, &error),
                     ERR_ADDRESS_NOT_AVAILABLE);
    assert_int_equal(
        tcp_listen(p.f.env, SLICE_LITERAL("no-such-host.invalid"), 0, 10, &taken, &error),
        ERR_UNKNOWN_HOST);
    tcp_listener_close(p.f.env, &p.server.listener);
    struct peer lost;
    peer_init(&lost, p.f.env);
    lost.tcp = tcp_connect(p.f.env, SLICE_LITERAL("127.0.0.1"), port, &lost.handler);
    pass_until(&p.f, &lost.connected);
    assert_int_equal(lost.connect_result, ERR_REFUSED);
    tcp_close(lost.tcp);
    // Closed before it is resolved: no callback.
    peer_init(&lost, p.f.env);
    lost.tcp = tcp_connect(p.f.env, SLICE_LITERAL("localhost"), port, &lost.handler);
    tcp_close(lost.tcp);
    // There is one worker: when a later name is resolved, the earlier one was too.
    struct peer later;
    peer_init(&later, p.f.env);
    later.tcp = tcp_connect(p.f.env, SLICE_LITERAL("localhost"), port, &later.handler);
    pass_until(&p.f, &later.connected);
    tcp_close(later.tcp);
    assert_false(lost.connected);
    assert_int_equal(
        tcp_listen(p.f.env, SLICE_LITERAL("127.0.0.1"), 0, 10, &p.server.listener, &error),
        ERR_NONE);
    pair_deinit(&p);
}

// `localhost` answers on every address that it has, the wildcard on both families.
static void names_and_wildcards(void **state) {
    (void)state;
    static const char *const hosts[] = {"localhost", ""};
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct fixture f;
        fixture_init(&f, (struct env_posix_options){0});
        struct server server = {.listener = {.accepted = server_accepted}};
        peer_init(&server.peer, f.env);
        struct message error;
        assert_int_equal(
            tcp_listen(f.env, slice_cstring(hosts[i]), 0, 10, &server.listener, &error), ERR_NONE);
        static const char *const names[] = {"127.0.0.1", "localhost"};
        for (size_t k = 0; k < COUNT_OF(names); k++) {
            struct peer client;
            peer_init(&client, f.env);
            server.accepted = false;
            client.tcp = tcp_connect(f.env, slice_cstring(names[k]), server.listener.address.port,
                                     &client.handler);
            pass_until(&f, &client.connected);
            assert_int_equal(client.connect_result, ERR_NONE);
            pass_until(&f, &server.accepted);
            if (k == 0) assert_string_equal(tcp_peer(server.peer.tcp).text, "127.0.0.1");
            tcp_close(server.peer.tcp);
            tcp_close(client.tcp);
        }
        tcp_listener_close(f.env, &server.listener);
        fixture_deinit(&f);
    }
}

// ---- Moving an accepted connection to another reactor ----

struct move {
    struct fixture f;
    struct tcp_listener listener;
    struct env_message message, stop;
    struct tcp *tcp;
    struct peer server, client;
};

static void moved_readable(struct tcp_handler *handler) {
    struct move *m = container_of(container_of(handler, struct peer, handler), struct move, server);
    uint8_t byte;
    size_t got;
    assert_int_equal(tcp_receive(m->tcp, &byte, 1, &got), ERR_NONE);
    tcp_close(m->tcp);
    env_posix_stop(m->f.posix);
}
static void move_deliver(struct env_message *message) {
    struct move *m = container_of(message, struct move, message);
    m->server.handler.readable = moved_readable;
    tcp_set_handler(m->tcp, &m->server.handler);
}
static void move_accepted(struct tcp_listener *listener, struct tcp *tcp) {
    struct move *m = container_of(listener, struct move, listener);
    m->tcp = tcp;
    struct env *target = env_reactor(m->f.env, 1);
    tcp_move(tcp, target);
    env_post(target, &m->message);
}
static void move_connected(struct tcp_handler *handler, enum err result) {
    struct peer *p = container_of(handler, struct peer, handler);
    assert_int_equal(result, ERR_NONE);
    struct chain chain;
    chain_init(&chain);
    chain_append(&chain, "m", 1);
    assert_int_equal(tcp_send(p->tcp, &chain), ERR_NONE);
    chain_deinit(&chain);
}
static void a_connection_moves_to_another_reactor(void **state) {
    (void)state;
    struct move m = {.listener = {.accepted = move_accepted}, .message = {NULL, move_deliver}};
    fixture_init(&m.f, (struct env_posix_options){.reactors = 2});
    struct message error;
    peer_init(&m.server, m.f.env);
    peer_init(&m.client, m.f.env);
    m.client.handler.connected = move_connected;
    assert_int_equal(tcp_listen(m.f.env, SLICE_LITERAL("127.0.0.1"), 0, 10, &m.listener, &error),
                     ERR_NONE);
    m.client.tcp = tcp_connect(m.f.env, SLICE_LITERAL("127.0.0.1"), m.listener.address.port,
                               &m.client.handler);
    env_posix_run(m.f.posix);
    tcp_close(m.client.tcp);
    tcp_listener_close(m.f.env, &m.listener);
    fixture_deinit(&m.f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo),
        cmocka_unit_test(memory_and_file_ranges_arrive_in_order),
        cmocka_unit_test(a_short_file_is_an_error),
        cmocka_unit_test(what_was_sent_before_a_close_arrives),
        cmocka_unit_test(reading_can_be_paused),
        cmocka_unit_test(connecting_to_nobody_is_refused),
        cmocka_unit_test(names_and_wildcards),
        cmocka_unit_test(a_connection_moves_to_another_reactor),
    };
    return cmocka_run_group_tests_name("env/tcp", tests, NULL, NULL);
}
