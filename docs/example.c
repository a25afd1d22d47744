// Writes three records and reads them back. See client.md for how it is built.
#include <stdio.h>

#include "client/taccola.h"

int main(int argc, char **argv) {
    char error[512];
    struct taccola *t = taccola_open(argc > 1 ? argv[1] : "127.0.0.1:9092", error);
    if (t == NULL) return fprintf(stderr, "%s\n", error), 1;

    if (taccola_create_topic(t, "greetings", 1, -1) != 0) fprintf(stderr, "%s\n", taccola_error_text(t));
    const char *words[] = {"hello", "brave", "world"};
    for (int i = 0; i < 3; i++) {
        struct taccola_record r = {
            .topic = "greetings", .key = "word", .key_size = 4, .value = words[i], .value_size = 5};
        if (taccola_send(t, &r) != 0) fprintf(stderr, "%s\n", taccola_error_text(t));
    }
    if (taccola_flush(t, 10000) != 0) return fprintf(stderr, "%s\n", taccola_error_text(t)), 1;

    taccola_assign(t, "greetings", 0, TACCOLA_EARLIEST);
    struct taccola_record r;
    while (taccola_next(t, &r, 2000) == 0) {
        printf("%lld: %.*s\n", (long long)r.offset, (int)r.value_size, (const char *)r.value);
    }
    taccola_close(t);
    return 0;
}
