// Where the replicas of new partitions go: Kafka's StripedReplicaPlacer. Replicas are spread over
// racks and over the brokers of a rack in stripes that begin at a random place; the first replica
// is on a broker that is not fenced; fenced brokers are used only when a rack has no other.
#pragma once

#include "base/prng.h"
#include "metadata/image.h"

struct placer;

// Reads the brokers of the image that may be used: not shutting down, with a log directory that is
// not cordoned. In the arena.
struct placer *placer_new(const struct image *image, struct prng *prng, struct arena *arena);

// ERR_INVALID_REPLICATION_FACTOR with Kafka's sentence when there are too few brokers.
MUST_CHECK enum err placer_check(const struct placer *placer, int32_t replication_factor,
                                 struct message *error);
// The replicas of the next partition, after a check that passed: `replication_factor` ids.
void placer_place(struct placer *placer, int32_t replication_factor, int32_t *replicas);

bool broker_has_uncordoned_directory(const struct broker_image *broker);
// The directory of a new replica: the broker's only one, unassigned when it has several (the broker
// chooses), migrating when it never said.
struct uuid broker_default_directory(const struct image *image, int32_t broker_id);
