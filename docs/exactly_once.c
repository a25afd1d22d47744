// Reads one topic and writes another, each record exactly once, however often this program or the
// broker dies: `exactly_once 127.0.0.1:9092 payments shouted`. Ends when nothing has come for five
// seconds. See client.md for how it is built.
#include <ctype.h>
#include <stdio.h>

#include "client/taccola.h"

// Sends what the record becomes. Here: its value in capital letters, under the same key.
static int transform(struct taccola *t, const struct taccola_record *in, const char *topic) {
    char value[1024];
    size_t size = in->value_size < sizeof value ? in->value_size : sizeof value;
    for (size_t i = 0; i < size; i++)
        value[i] = (char)toupper(((const unsigned char *)in->value)[i]);
    struct taccola_record out = {.topic = topic,
                                 .key = in->key,
                                 .key_size = in->key_size,
                                 .value = value,
                                 .value_size = size};
    return taccola_send(t, &out);
}

// One transaction: up to 100 records, what they become, and how far we have read. Returns how many;
// -1 after an error that was undone; -2 when another process has taken over.
static int one_transaction(struct taccola *t, const char *to) {
    struct taccola_record record;
    int count = 0;
    if (taccola_begin(t) != 0) return fprintf(stderr, "%s\n", taccola_error_text(t)), -2;
    int error = 0;
    while (count < 100 && (error = taccola_next(t, &record, count == 0 ? 5000 : 100)) == 0) {
        if ((error = transform(t, &record, to)) != 0) break;
        count++;
    }
    if (error == TACCOLA_NOTHING) error = 0;
    if (error == 0) error = taccola_commit(t);
    if (error == 0) return count;
    fprintf(stderr, "not committed: %s\n", taccola_error_text(t));
    // What was sent is forgotten, what was read comes again.
    return taccola_abort(t) == 0 ? -1 : -2;
}

int main(int argc, char **argv) {
    if (argc != 4) return fprintf(stderr, "usage: exactly_once BOOTSTRAP FROM TO\n"), 2;
    char error[512];
    // These ids name the work, not the process: one that is started again takes its predecessor's
    // place at once, and of two processes the newer one wins.
    struct taccola *t = taccola_open_with(argv[1],
                                          "group.id=shouters\n"
                                          "group.instance.id=shouter-1\n"
                                          "transactional.id=shouter-1\n"
                                          "isolation.level=read_committed\n",
                                          error);
    if (t == NULL) return fprintf(stderr, "%s\n", error), 1;
    const char *from = argv[2];
    if (taccola_subscribe(t, &from, 1) != 0) return fprintf(stderr, "%s\n", taccola_error_text(t)), 1;

    int total = 0, count;
    while ((count = one_transaction(t, argv[3])) != 0 && count != -2) {
        if (count > 0) total += count;
    }
    printf("%d records\n", total);
    taccola_close(t);
    return count == 0 ? 0 : 1;
}
