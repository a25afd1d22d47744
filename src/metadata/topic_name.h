// Kafka's rules for the names of topics. Pure; any thread.
#pragma once

#include "base/message.h"
#include "base/slice.h"
#include "gen/err.h"

#define TOPIC_NAME_MAX 249

// ERR_INVALID_TOPIC_EXCEPTION with Kafka's sentence ("Topic name is invalid: …"); `error` may be
// NULL.
MUST_CHECK enum err topic_name_check(struct slice name, struct message *error);

// __consumer_offsets, __transaction_state, __share_group_state.
bool topic_name_is_internal(struct slice name);

// '.' and '_' are the same character in a metric's name: two topics whose names differ in that only
// collide.
bool topic_names_collide(struct slice a, struct slice b);
