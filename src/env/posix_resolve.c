// Names to addresses.
#include "env/posix.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/memory.h"

static void put_ipv4(struct posix_address *address, struct in_addr ip, uint16_t port) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip};
    memcpy(address->bytes, &in, sizeof in);
    address->size = sizeof in;
}

static void put_ipv6(struct posix_address *address, struct in6_addr ip, uint16_t port) {
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = ip};
    memcpy(address->bytes, &in, sizeof in);
    address->size = sizeof in;
}

void posix_address_set_port(struct posix_address *address, uint16_t port) {
    struct sockaddr_storage storage = {0};
    memcpy(&storage, address->bytes, address->size);
    // sin_port and sin6_port lie at the same place.
    ((struct sockaddr_in *)&storage)->sin_port = htons(port);
    memcpy(address->bytes, &storage, address->size);
}

void posix_address_text(const struct posix_address *from, struct tcp_address *to) {
    struct sockaddr_storage storage = {0};
    memcpy(&storage, from->bytes, from->size);
    *to = (struct tcp_address){0};
    if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&storage;
        inet_ntop(AF_INET, &in->sin_addr, to->text, sizeof to->text);
        to->port = ntohs(in->sin_port);
    } else if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&storage;
        to->port = ntohs(in->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr)) {  // over a socket for both families
            inet_ntop(AF_INET, in->sin6_addr.s6_addr + 12, to->text, sizeof to->text);
        } else {
            inet_ntop(AF_INET6, &in->sin6_addr, to->text, sizeof to->text);
        }
    }
}

static bool literal(const char *host, uint16_t port, struct posix_address *address) {
    struct in_addr ipv4;
    struct in6_addr ipv6;
    if (inet_pton(AF_INET, host, &ipv4) == 1) {
        put_ipv4(address, ipv4, port);
    } else if (inet_pton(AF_INET6, host, &ipv6) == 1) {
        put_ipv6(address, ipv6, port);
    } else {
        return false;
    }
    return true;
}

static enum err look_up(const char *host, uint16_t port,
                        struct posix_address addresses[POSIX_ADDRESSES_MAX], uint32_t *count) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0) return ERR_UNKNOWN_HOST;
    uint32_t n = 0;
    for (struct addrinfo *a = found; a != NULL && n < POSIX_ADDRESSES_MAX; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
        memcpy(addresses[n].bytes, a->ai_addr, a->ai_addrlen);
        addresses[n].size = a->ai_addrlen;
        posix_address_set_port(&addresses[n], port);
        n++;
    }
    freeaddrinfo(found);
    if (n == 0) return ERR_UNKNOWN_HOST;
    *count = n;
    return ERR_NONE;
}

enum err posix_resolve(struct slice host, uint16_t port, bool literal_only,
                       struct posix_address addresses[POSIX_ADDRESSES_MAX], uint32_t *count) {
    if (host.size == 0) {
        put_ipv6(&addresses[0], in6addr_any, port);
        *count = 1;
        return ERR_NONE;
    }
    // "[::1]" is how an address stands in host:port.
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']') {
        host = slice_sub(host, 1, host.size - 2);
    }
    char text[256];
    if (host.size >= sizeof text) return ERR_UNKNOWN_HOST;
    memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    if (literal(text, port, &addresses[0])) {
        *count = 1;
        return ERR_NONE;
    }
    return literal_only ? ERR_WOULD_BLOCK : look_up(text, port, addresses, count);
}
