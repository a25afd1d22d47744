// Accepting: limits of connections, and connections dealt out to reactors.
#include "test/net/fixture.h"

static bool is_served(struct client *c) {
    client_send(c, "e");
    return !c->closed && c->received.size == 5;
}

static void connections_per_address(void **state) {
    (void)state;
    struct server s;
    struct client clients[4];
    server_init(&s);
    set_config(&s, "max.connections.per.ip", "2");
    server_start(&s);
    for (int i = 0; i < 4; i++) {
        clients[i] = (struct client){0};
        client_start(&clients[i], &s);
        assert_int_equal(is_served(&clients[i]), i < 2);
    }
    assert_int_equal(connection_count(&s), 2);
    // A place that becomes free is given again.
    client_stop(&clients[0]);
    struct client late = {0};
    client_start(&late, &s);
    assert_true(is_served(&late));
    client_stop(&late);
    for (int i = 1; i < 4; i++)
        client_stop(&clients[i]);
    server_stop(&s);
}

static void connections_in_all(void **state) {
    (void)state;
    struct server s;
    struct client clients[3];
    server_init(&s);
    set_config(&s, "max.connections", "1");
    server_start(&s);
    for (int i = 0; i < 3; i++) {
        clients[i] = (struct client){0};
        client_start(&clients[i], &s);
        assert_int_equal(is_served(&clients[i]), i < 1);
    }
    for (int i = 0; i < 3; i++)
        client_stop(&clients[i]);
    server_stop(&s);
}

static void connections_go_to_every_reactor(void **state) {
    (void)state;
    struct server s;
    struct client clients[7];
    server_init(&s);
    s.reactors = 3;
    set_config(&s, "max.connections", "6");
    server_start(&s);
    for (int i = 0; i < 7; i++) {
        clients[i] = (struct client){0};
        client_start(&clients[i], &s);
        assert_int_equal(is_served(&clients[i]), i < 6);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(net_connection_count(s.nets[i]), 2);
    // Places of connections on other reactors come home.
    for (int i = 0; i < 7; i++)
        client_stop(&clients[i]);
    for (int i = 0; i < 6; i++) {
        clients[i] = (struct client){0};
        client_start(&clients[i], &s);
        assert_true(is_served(&clients[i]));
    }
    for (int i = 0; i < 6; i++)
        client_stop(&clients[i]);
    server_stop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_per_address),
        cmocka_unit_test(connections_in_all),
        cmocka_unit_test(connections_go_to_every_reactor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
