// Each rack has two lists, of brokers that are unfenced and of those that are not. A list hands out
// its brokers in turn, beginning one further for every partition (epoch), and says when it has none
// left for this partition. Racks take turns the same way. When every unfenced broker has been first
// once, everything is shuffled, so that the neighbours of a broker change.
#include "controller/placer.h"

#include <stdlib.h>

#include "base/assert.h"

#define BROKER_NONE (-1)

struct broker_list {
    int32_t *brokers;
    int32_t count;
    int32_t index;
    int32_t offset;
    int32_t epoch;
};

struct rack {
    struct slice name;
    struct broker_list unfenced;
    struct broker_list fenced;
};

struct placer {
    struct prng *prng;
    struct rack *racks;
    int32_t rack_count;
    int32_t offset;
    int32_t epoch;
    int32_t broker_count;
    int32_t unfenced_count;
};

bool broker_has_uncordoned_directory(const struct broker_image *broker) {
    if (broker->directory_count == 0 || broker->cordoned_count < 0) return true;
    for (int32_t i = 0; i < broker->directory_count; i++) {
        if (!uuid_is_among(broker->directories[i], broker->cordoned_directories,
                           broker->cordoned_count)) {
            return true;
        }
    }
    return false;
}

struct uuid broker_default_directory(const struct image *image, int32_t broker_id) {
    const struct broker_image *broker = image_broker(image, broker_id);
    if (broker == NULL) return UUID_DIRECTORY_UNASSIGNED;
    if (broker->directory_count == 0) return UUID_DIRECTORY_MIGRATING;
    return broker->directory_count == 1 ? broker->directories[0] : UUID_DIRECTORY_UNASSIGNED;
}

// ---- Lists ----

static int32_t list_next(struct broker_list *list, int32_t epoch) {
    if (list->count == 0) return BROKER_NONE;
    if (list->epoch != epoch) {
        list->epoch = epoch;
        list->index = 0;
        list->offset = (list->offset + 1) % list->count;
    }
    if (list->index >= list->count) return BROKER_NONE;
    return list->brokers[(list->index++ + list->offset) % list->count];
}

static int32_t rack_next(struct rack *rack, int32_t epoch) {
    int32_t broker = list_next(&rack->unfenced, epoch);
    return broker != BROKER_NONE ? broker : list_next(&rack->fenced, epoch);
}

static int32_t random_below(struct prng *prng, int32_t bound) {
    return bound <= 1 ? 0 : (int32_t)prng_below(prng, (uint64_t)bound);
}

static void shuffle_list(struct broker_list *list, struct prng *prng) {
    for (int32_t i = list->count - 1; i > 0; i--) {
        int32_t j = random_below(prng, i + 1);
        int32_t broker = list->brokers[i];
        list->brokers[i] = list->brokers[j];
        list->brokers[j] = broker;
    }
}

static void shuffle(struct placer *placer) {
    for (int32_t i = placer->rack_count - 1; i > 0; i--) {
        int32_t j = random_below(placer->prng, i + 1);
        struct rack rack = placer->racks[i];
        placer->racks[i] = placer->racks[j];
        placer->racks[j] = rack;
    }
    for (int32_t i = 0; i < placer->rack_count; i++) {
        shuffle_list(&placer->racks[i].unfenced, placer->prng);
        shuffle_list(&placer->racks[i].fenced, placer->prng);
    }
}

// ---- Building ----

static int compare_racks(const void *a, const void *b) {
    return slice_compare(((const struct rack *)a)->name, ((const struct rack *)b)->name);
}

static struct rack *find_rack(struct placer *placer, struct slice name) {
    for (int32_t i = 0; i < placer->rack_count; i++) {
        if (slice_equal(placer->racks[i].name, name)) return &placer->racks[i];
    }
    return NULL;
}

struct placer *placer_new(const struct image *image, struct prng *prng, struct arena *arena) {
    int32_t registered = 0;
    const struct broker_image *broker;
    for (int32_t id = -1; (broker = image_broker_after(image, id)) != NULL; id = broker->id) {
        registered++;
    }
    struct placer *placer = arena_zalloc(arena, 1, sizeof *placer);
    placer->prng = prng;
    placer->racks = arena_zalloc(arena, (size_t)registered, sizeof *placer->racks);
    for (int32_t id = -1; (broker = image_broker_after(image, id)) != NULL; id = broker->id) {
        if (broker->in_controlled_shutdown || !broker_has_uncordoned_directory(broker)) continue;
        struct rack *rack = find_rack(placer, broker->rack);
        if (rack == NULL) {
            rack = &placer->racks[placer->rack_count++];
            rack->name = broker->rack;
            rack->unfenced.brokers = arena_zalloc(arena, (size_t)registered, sizeof(int32_t));
            rack->fenced.brokers = arena_zalloc(arena, (size_t)registered, sizeof(int32_t));
        }
        struct broker_list *list = broker->fenced ? &rack->fenced : &rack->unfenced;
        list->brokers[list->count++] = broker->id;
        placer->broker_count++;
        if (!broker->fenced) placer->unfenced_count++;
    }
    qsort(placer->racks, (size_t)placer->rack_count, sizeof *placer->racks, compare_racks);
    for (int32_t i = 0; i < placer->rack_count; i++) {
        struct rack *rack = &placer->racks[i];
        rack->unfenced.offset = random_below(prng, rack->unfenced.count);
        rack->fenced.offset = random_below(prng, rack->fenced.count);
    }
    placer->offset = random_below(prng, placer->rack_count);
    return placer;
}

enum err placer_check(const struct placer *placer, int32_t replication_factor,
                      struct message *error) {
    if (replication_factor <= 0) {
        message_set(error,
                    "Invalid replication factor %d: the replication factor must be positive.",
                    replication_factor);
    } else if (placer->unfenced_count == 0) {
        message_set(
            error, "All brokers are currently fenced, or have all their log directories cordoned.");
    } else if (replication_factor > placer->broker_count) {
        message_set(error,
                    "The target replication factor of %d cannot be reached because only %d "
                    "broker(s) are registered or some brokers have all their log directories "
                    "cordoned.",
                    replication_factor, placer->broker_count);
    } else {
        return ERR_NONE;
    }
    return ERR_INVALID_REPLICATION_FACTOR;
}

void placer_place(struct placer *placer, int32_t replication_factor, int32_t *replicas) {
    assert(placer->unfenced_count > 0 && replication_factor <= placer->broker_count);
    if (placer->epoch == placer->unfenced_count && placer->unfenced_count > 1) {
        shuffle(placer);
        placer->epoch = 0;
    }
    if (placer->offset == placer->rack_count) placer->offset = 0;
    int32_t first = placer->offset;
    while ((replicas[0] = list_next(&placer->racks[first].unfenced, placer->epoch)) ==
           BROKER_NONE) {
        first = (first + 1) % placer->rack_count;
    }
    // The other replicas begin at the next rack; the rack that gave the first one is passed over
    // once.
    int32_t index = placer->offset;
    for (int32_t replica = 1; replica < replication_factor; replica++) {
        int32_t broker = BROKER_NONE;
        while (broker == BROKER_NONE) {
            if (index == first) {
                first = -1;
            } else {
                broker = rack_next(&placer->racks[index], placer->epoch);
            }
            index = (index + 1) % placer->rack_count;
        }
        replicas[replica] = broker;
    }
    placer->epoch++;
    placer->offset++;
}
