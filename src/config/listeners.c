// listeners, advertised.listeners, listener.security.protocol.map, controller.quorum.voters and
// bootstrap.servers, read as Kafka reads them: an endpoint is NAME://host:port with an optional
// [v6] host; names are upper case; each name must have a security protocol in the map, which, when
// it was not set, maps each protocol to itself and the controller's listeners to PLAINTEXT.
#include "config/internal.h"

static const char *const protocol_names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};

bool config_host_is_valid(struct slice host) {
    for (size_t i = 0; i < host.size; i++) {
        uint8_t c = host.data[i];
        bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!letter && strchr("-%._:", c) == NULL) return false;
    }
    return true;
}

// "host:port" where `host` may be empty or in brackets.
static bool split_host_port(struct slice text, struct slice *host, int64_t *port) {
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon == 0 || colon == text.size || text.data[colon] == '+') return false;
    if (!slice_parse_int64(slice_sub(text, colon, text.size - colon), port)) return false;
    struct slice name = slice_sub(text, 0, colon - 1);
    if (name.size > 0 && name.data[0] == '[') name = slice_sub(name, 1, name.size - 1);
    if (name.size > 0 && name.data[name.size - 1] == ']') name.size--;
    *host = name;
    return config_host_is_valid(name);
}

bool config_parse_endpoint(struct slice text, struct slice *host, uint16_t *port) {
    int64_t number;
    for (size_t i = 0; i + 3 <= text.size; i++) {
        if (memcmp(text.data + i, "://", 3) != 0) continue;
        text = slice_sub(text, i + 3, text.size - i - 3);  // Kafka drops a protocol in front
        break;
    }
    if (!split_host_port(text, host, &number) || host->size == 0) return false;
    if (number < 0 || number > UINT16_MAX) return false;
    *port = (uint16_t)number;
    return true;
}

bool config_take_pair(struct slice *rest, struct slice *left, struct slice *right) {
    if (rest->size == 0) return false;
    struct slice item = *rest, after = SLICE_EMPTY;
    slice_split(*rest, ',', &item, &after);
    *rest = after;
    size_t colon = item.size;
    while (colon > 0 && item.data[colon - 1] != ':')
        colon--;
    *left = slice_trim(colon == 0 ? item : slice_sub(item, 0, colon - 1));
    *right = colon == 0 ? SLICE_NULL : slice_trim(slice_sub(item, colon, item.size - colon));
    return true;
}

enum err config_parse_voter(struct slice text, struct config_voter *voter, struct message *error) {
    struct slice id, address, more;
    int64_t number;
    if (!slice_split(text, '@', &id, &address) || address.size == 0 ||
        slice_split(address, '@', &id, &more)) {
        message_set(error,
                    "Invalid configuration value for controller.quorum.voters. Each entry should "
                    "be in the form `{id}@{host}:{port}`.");
    } else if (!slice_parse_int64(id, &number) || number < INT32_MIN || number > INT32_MAX) {
        message_set(error, "Failed to parse voter ID as an integer from %.*s", SLICE_PRINT(id));
    } else if (!config_parse_endpoint(address, &voter->host, &voter->port)) {
        message_set(error,
                    "Failed to parse host name from entry %.*s for the configuration "
                    "controller.quorum.voters. Each entry should be in the form "
                    "`{id}@{host}:{port}`.",
                    SLICE_PRINT(text));
    } else {
        voter->id = (int32_t)number;
        return ERR_NONE;
    }
    return ERR_INVALID_CONFIG;
}

enum err config_parse_bootstrap(struct slice text, struct config_voter *server,
                                struct message *error) {
    server->id = -1;
    if (config_parse_endpoint(text, &server->host, &server->port)) return ERR_NONE;
    message_set(error,
                "Failed to parse host name from %.*s for the configuration "
                "controller.quorum.bootstrap.servers. Each entry should be in the form "
                "\"{host}:{port}\"",
                SLICE_PRINT(text));
    return ERR_INVALID_CONFIG;
}

// ---- Security protocols ----

static bool protocol_of(struct slice name, enum security_protocol *protocol) {
    for (size_t i = 0; i < COUNT_OF(protocol_names); i++) {
        if (!slice_equal_cstring(name, protocol_names[i])) continue;
        *protocol = (enum security_protocol)i;
        return true;
    }
    return false;
}

static struct slice upper(struct arena *arena, struct slice s) {
    uint8_t *text = arena_alloc(arena, s.size + 1);
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        text[i] = c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
    }
    return slice_of(text, s.size);
}

static bool list_has(struct config_list list, struct slice item) {
    for (int32_t i = 0; i < list.count; i++)
        if (slice_equal(list.items[i], item)) return true;
    return false;
}

// Without a map of its own, a node that names SSL or SASL anywhere must map its controller
// listeners too.
static bool names_security(struct config *config) {
    struct config_list controllers = config_strings(config, BROKER_CONTROLLER_LISTENER_NAMES);
    struct config_list listeners = config_strings(config, BROKER_LISTENERS);
    for (size_t i = SECURITY_SSL; i < COUNT_OF(protocol_names); i++) {
        struct slice name = slice_cstring(protocol_names[i]);
        if (list_has(controllers, name)) return true;
        for (int32_t k = 0; k < listeners.count; k++) {
            struct slice left, right;
            if (slice_split(listeners.items[k], ':', &left, &right) &&
                slice_equal(upper(&config->arena, left), name))
                return true;
        }
    }
    return false;
}

static enum err map_protocol(struct config *config, struct slice listener,
                             enum security_protocol *protocol, struct message *error) {
    struct slice rest = config_string(config, BROKER_LISTENER_SECURITY_PROTOCOL_MAP);
    struct slice name, text;
    bool found = false;
    while (config_take_pair(&rest, &name, &text)) {
        enum security_protocol parsed;
        if (slice_is_null(text)) {
            message_set(error,
                        "Error parsing configuration property 'listener.security.protocol.map': "
                        "\"%.*s\" is not of the form LISTENER:PROTOCOL",
                        SLICE_PRINT(name));
            return ERR_INVALID_CONFIG;
        }
        if (!protocol_of(text, &parsed)) {
            message_set(error,
                        "Invalid security protocol `%.*s` defined in "
                        "listener.security.protocol.map",
                        SLICE_PRINT(text));
            return ERR_INVALID_CONFIG;
        }
        if (!slice_equal(upper(&config->arena, name), listener)) continue;
        *protocol = parsed;
        found = true;
    }
    if (found) return ERR_NONE;
    bool by_default =
        config_source(config, BROKER_LISTENER_SECURITY_PROTOCOL_MAP) == CONFIG_SOURCE_DEFAULT &&
        !names_security(config);
    if (by_default &&
        list_has(config_strings(config, BROKER_CONTROLLER_LISTENER_NAMES), listener)) {
        *protocol = SECURITY_PLAINTEXT;
        return ERR_NONE;
    }
    return ERR_NOT_FOUND;
}

// ---- Endpoints ----

static enum err parse_one(struct config *config, struct slice text, struct config_listener *out,
                          struct message *error) {
    size_t colon = 0;
    for (size_t i = 0; i + 3 <= text.size; i++)
        if (memcmp(text.data + i, "://", 3) == 0) colon = i + 1;
    int64_t port;
    if (colon == 0 ||
        !split_host_port(slice_sub(text, colon + 2, text.size - colon - 2), &out->host, &port) ||
        port < 0 || port > UINT16_MAX) {
        message_set(error, "Unable to parse %.*s to a broker endpoint", SLICE_PRINT(text));
        return ERR_INVALID_CONFIG;
    }
    out->name = upper(&config->arena, slice_sub(text, 0, colon - 1));
    out->port = (uint16_t)port;
    enum err err = map_protocol(config, out->name, &out->protocol, error);
    if (err == ERR_NOT_FOUND) {
        message_set(error, "No security protocol defined for listener %.*s",
                    SLICE_PRINT(out->name));
        err = ERR_INVALID_CONFIG;
    }
    return err;
}

static bool is_ipv6(struct slice host) {
    return memchr(host.data, ':', host.size) != NULL;
}

static bool is_ipv4(struct slice host) {
    int dots = 0;
    for (size_t i = 0; i < host.size; i++) {
        if (host.data[i] == '.')
            dots++;
        else if (host.data[i] < '0' || host.data[i] > '9')
            return false;
    }
    return dots == 3;
}

// Two listeners may share a port only as one IPv4 and one IPv6 address.
static enum err check_distinct(const struct config_listeners *list, bool ports, const char *shown,
                               struct message *error) {
    for (int32_t i = 0; i < list->count; i++) {
        int32_t sharing = 0;
        for (int32_t k = 0; k < list->count; k++) {
            struct config_listener *a = &list->items[i], *b = &list->items[k];
            if (i == k) continue;
            if (slice_equal(a->name, b->name)) {
                message_set(error, "Each listener must have a different name, listeners: %s",
                            shown);
                return ERR_INVALID_CONFIG;
            }
            if (!ports || a->port == 0 || a->port != b->port) continue;
            sharing++;
            bool addresses =
                (is_ipv4(a->host) || is_ipv6(a->host)) && (is_ipv4(b->host) || is_ipv6(b->host));
            if (!addresses) {
                message_set(error, "Each listener must have a different port, listeners: %s",
                            shown);
                return ERR_INVALID_CONFIG;
            }
            if (is_ipv4(a->host) == is_ipv4(b->host)) {
                message_set(error,
                            "If you have two listeners on the same port then one needs to be IPv4 "
                            "and the other IPv6, listeners: %s, port: %u",
                            shown, a->port);
                return ERR_INVALID_CONFIG;
            }
        }
        if (sharing < 2) continue;
        message_set(error,
                    "Each listener must have a different port unless exactly one listener has an "
                    "IPv4 address and the other IPv6 address, listeners: %s, port: %u",
                    shown, list->items[i].port);
        return ERR_INVALID_CONFIG;
    }
    return ERR_NONE;
}

static enum err parse_endpoints(struct config *config, struct config_list texts, bool ports,
                                struct config_listeners *out, struct message *error) {
    out->items = arena_zalloc(&config->arena, (size_t)texts.count, sizeof *out->items);
    out->count = texts.count;
    struct string_buffer shown;
    string_buffer_init(&shown);
    config_print_list(&shown, texts);
    struct message why;
    enum err err = ERR_NONE;
    for (int32_t i = 0; err == ERR_NONE && i < texts.count; i++)
        err = parse_one(config, texts.items[i], &out->items[i], &why);
    if (err == ERR_NONE) err = check_distinct(out, ports, shown.text, &why);
    if (err != ERR_NONE)
        message_set(error, "Error creating broker listeners from '%s': %s", shown.text, why.text);
    string_buffer_deinit(&shown);
    return err;
}

static const struct config_listener *find(const struct config_listeners *list, struct slice name) {
    for (int32_t i = 0; i < list->count; i++)
        if (slice_equal(list->items[i].name, name)) return &list->items[i];
    return NULL;
}

// What others are told of a listener: advertised.listeners, else (for the first controller listener
// bound to all addresses) what the voters say of this node, else the listener itself.
static void advertise(struct config *config, struct config_listener *listener,
                      const struct config_listeners *advertised, bool first_controller) {
    const struct config_listener *said = find(advertised, listener->name);
    bool anywhere = listener->host.size == 0 || slice_equal_cstring(listener->host, "0.0.0.0");
    if (said == NULL) said = listener;
    listener->advertised_host = said->host;
    listener->advertised_port = said->port;
    if (said != listener || !listener->is_controller) return;
    if (anywhere) listener->advertised_host = SLICE_EMPTY;
    for (int32_t i = 0; first_controller && anywhere && i < config->voter_count; i++) {
        if (config->voters[i].id != config_node_id(config)) continue;
        listener->advertised_host = config->voters[i].host;
        listener->advertised_port = config->voters[i].port;
    }
}

static enum err find_inter_broker(struct config *config, struct message *error) {
    enum security_protocol protocol;
    if (config_is_null(config, BROKER_INTER_BROKER_LISTENER_NAME)) {
        config->inter_broker_name = config_string(config, BROKER_SECURITY_INTER_BROKER_PROTOCOL);
        return ERR_NONE;
    }
    if (config_source(config, BROKER_SECURITY_INTER_BROKER_PROTOCOL) != CONFIG_SOURCE_DEFAULT) {
        message_set(error,
                    "Only one of inter.broker.listener.name and security.inter.broker.protocol "
                    "should be set.");
        return ERR_INVALID_CONFIG;
    }
    config->inter_broker_name =
        upper(&config->arena, config_string(config, BROKER_INTER_BROKER_LISTENER_NAME));
    enum err err = map_protocol(config, config->inter_broker_name, &protocol, error);
    if (err != ERR_NOT_FOUND) return err;
    message_set(error,
                "Listener with name %.*s defined in inter.broker.listener.name not found in "
                "listener.security.protocol.map.",
                SLICE_PRINT(config->inter_broker_name));
    return ERR_INVALID_CONFIG;
}

static struct config_voter *parse_voters(struct config *config, enum config_key key,
                                         int32_t *count) {
    struct config_list texts = config_strings(config, key);
    struct config_voter *voters = arena_zalloc(&config->arena, (size_t)texts.count, sizeof *voters);
    *count = 0;
    for (int32_t i = 0; i < texts.count; i++) {
        enum err err = key == BROKER_CONTROLLER_QUORUM_VOTERS
                           ? config_parse_voter(texts.items[i], &voters[*count], NULL)
                           : config_parse_bootstrap(texts.items[i], &voters[*count], NULL);
        if (err == ERR_NONE) ++*count;  // bad ones were refused when the value was set
    }
    return voters;
}

enum err config_parse_listeners(struct config *config, struct message *error) {
    config->voters = parse_voters(config, BROKER_CONTROLLER_QUORUM_VOTERS, &config->voter_count);
    config->bootstrap =
        parse_voters(config, BROKER_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS, &config->bootstrap_count);
    struct config_listeners advertised;
    struct config_list controllers = config_strings(config, BROKER_CONTROLLER_LISTENER_NAMES);
    enum err err = parse_endpoints(config, config_strings(config, BROKER_LISTENERS), true,
                                   &config->listeners, error);
    if (err == ERR_NONE)
        err = parse_endpoints(config, config_strings(config, BROKER_ADVERTISED_LISTENERS), false,
                              &advertised, error);
    if (err == ERR_NONE) err = find_inter_broker(config, error);
    for (int32_t i = 0; err == ERR_NONE && i < advertised.count; i++) {
        struct config_listener *said = &advertised.items[i];
        if (slice_equal_cstring(said->host, "0.0.0.0")) {
            message_set(error,
                        "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use "
                        "a routable IP address.");
            err = ERR_INVALID_CONFIG;
        } else if (find(&config->listeners, said->name) == NULL && config_is_broker(config) &&
                   !list_has(controllers, said->name)) {
            message_set(error,
                        "advertised.listeners listener names must be equal to or a subset of the "
                        "ones defined in listeners. %.*s is not among them.",
                        SLICE_PRINT(said->name));
            err = ERR_INVALID_CONFIG;
        }
    }
    for (int32_t i = 0; err == ERR_NONE && i < config->listeners.count; i++) {
        struct config_listener *listener = &config->listeners.items[i];
        listener->is_controller = list_has(controllers, listener->name);
        listener->is_inter_broker = slice_equal(listener->name, config->inter_broker_name);
        bool first = listener->is_controller && slice_equal(listener->name, controllers.items[0]);
        advertise(config, listener, &advertised, first);
        listener->is_advertised = advertised.count == 0 || listener->is_controller ||
                                  find(&advertised, listener->name) != NULL;
    }
    return err;
}

int32_t config_listener_count(const struct config *config) {
    return config->listeners.count;
}

const struct config_listener *config_listener_at(const struct config *config, int32_t index) {
    return &config->listeners.items[index];
}

int32_t config_voter_count(const struct config *config) {
    return config->voter_count;
}

const struct config_voter *config_voter_at(const struct config *config, int32_t index) {
    return &config->voters[index];
}

int32_t config_bootstrap_count(const struct config *config) {
    return config->bootstrap_count;
}

const struct config_voter *config_bootstrap_at(const struct config *config, int32_t index) {
    return &config->bootstrap[index];
}

const char *security_protocol_name(enum security_protocol protocol) {
    return protocol_names[protocol];
}
