// Our assignors against Apache Kafka's own: each step of the corpus is a group, what its members
// had, and what Kafka's assignor gave them. Usage: test_group_assignors [FILE]; without one the
// corpus of this folder. The format is told in test/assignor-java/Emit.java.
#include "base/memory.h"
#include "group/assignor.h"
#include "test/test.h"

static const char *corpus_path = TEST_SOURCE_DIR "/group/corpus/assignors-4.4.0.txt";
static struct arena arena;

enum { MEMBERS_MAX = 64, TOPICS_MAX = 64 };

struct step {
    struct slice assignor;
    struct assignor_input input;
    struct assignor_topic topics[TOPICS_MAX];
    struct assignor_member members[MEMBERS_MAX];
    struct partition_list had[MEMBERS_MAX], wanted[MEMBERS_MAX];
};

static struct slice read_corpus(void) {
    FILE *f = fopen(corpus_path, "rb");
    if (f == NULL) fail_msg("%s cannot be read", corpus_path);
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = arena_alloc(&arena, size + 1);
    assert_int_equal(fread(bytes, 1, size, f), size);
    fclose(f);
    return slice_of(bytes, size);
}

static struct slice next(struct slice *rest, char separator) {
    struct slice one;
    if (slice_split(*rest, separator, &one, rest)) return one;
    one = *rest;
    *rest = SLICE_EMPTY;
    return one;
}

static int32_t number(struct slice text) {
    int32_t value = 0;
    for (size_t i = 0; i < text.size; i++)
        value = value * 10 + (text.data[i] - '0');
    return value;
}

static struct uuid topic(int32_t n) {
    struct uuid id = {{0}};
    id.bytes[15] = (uint8_t)n;
    return id;
}

static struct partition_list list_of(struct slice text) {
    struct partition_list list = partition_list_new(&arena, (int32_t)text.size);
    while (text.size > 0) {
        struct slice one = next(&text, ',');
        int32_t t = number(next(&one, ':'));
        partition_list_add(&list, topic(t), number(one));
    }
    partition_list_sort(&list);
    return list;
}

static void read_member(struct step *s, struct slice line) {
    int32_t i = s->input.member_count++;
    assert_true(i < MEMBERS_MAX);
    struct assignor_member *m = &s->members[i];
    struct slice head = next(&line, '|'), topics = next(&line, '|');
    *m = (struct assignor_member){.id = next(&head, ' '), .instance_id = head};
    if (slice_equal_cstring(head, "-")) m->instance_id = SLICE_NULL;
    int32_t *indexes = arena_zalloc(&arena, TOPICS_MAX, sizeof *indexes);
    while (topics.size > 0)
        indexes[m->topic_count++] = number(next(&topics, ',')) - 1;
    m->topics = indexes;
    s->had[i] = list_of(next(&line, '|'));
    s->wanted[i] = list_of(line);
    m->now = &s->had[i];
}

// A group has the topics that somebody subscribes to.
static void drop_unwanted(struct step *s) {
    for (int32_t t = 0; t < s->input.topic_count; t++) {
        bool is_wanted = false;
        for (int32_t i = 0; i < s->input.member_count; i++)
            for (int32_t k = 0; k < s->members[i].topic_count; k++)
                is_wanted = is_wanted || s->members[i].topics[k] == t;
        if (!is_wanted) s->topics[t].partition_count = 0;
    }
}

static void check(struct step *s, int number_of_step) {
    drop_unwanted(s);
    s->input.topics = s->topics;
    s->input.members = s->members;
    assignor_find(s->assignor)(&s->input, &arena);
    for (int32_t i = 0; i < s->input.member_count; i++)
        if (!partition_list_equal(&s->members[i].target, &s->wanted[i]))
            fail_msg("step %d (%.*s, %s): %.*s gets others than with Kafka", number_of_step,
                     SLICE_PRINT(s->assignor), s->input.is_homogeneous ? "equal" : "unequal",
                     SLICE_PRINT(s->members[i].id));
}

static void test_same_as_kafka(void **state) {
    (void)state;
    struct slice rest = read_corpus();
    struct step *s = memory_zalloc(1, sizeof *s);
    int steps = 0, unequal = 0;
    while (rest.size > 0) {
        struct slice line = next(&rest, '\n');
        struct slice word = next(&line, ' ');
        if (slice_equal_cstring(word, "topics")) {
            while (line.size > 0) {
                int32_t t = s->input.topic_count++;
                s->topics[t] = (struct assignor_topic){topic(t + 1), number(next(&line, ' '))};
            }
        } else if (slice_equal_cstring(word, "member")) {
            read_member(s, line);
        } else if (slice_equal_cstring(word, "end")) {
            check(s, ++steps);
        } else {
            struct assignor_input none = {.is_homogeneous = number(line) == 1};
            s->assignor = word;
            s->input = none;
            unequal += !none.is_homogeneous;
        }
    }
    memory_free(s);
    assert_true(steps >= 100 && unequal >= 20);
    printf("%d steps\n", steps);
    arena_deinit(&arena);
}

int main(int argc, char **argv) {
    if (argc > 1) corpus_path = argv[1];
    arena_init(&arena);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_kafka),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
