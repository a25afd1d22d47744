// UTF-8 checks and Java's view of strings.
#pragma once

#include "base/slice.h"

bool utf8_is_valid(struct slice s);

// Java's String.hashCode over UTF-16 units: Kafka's partition choice for internal topics.
int32_t utf8_java_hash(struct slice s);
// Its absolute value (0 for the smallest int) modulo `count`: the partition of __consumer_offsets
// and __transaction_state that keeps a group or a transactional id.
int32_t utf8_java_partition(struct slice s, int32_t count);
// Where a java.util.HashMap of that many entries keeps the string: it is walked in this order,
// which decides where Kafka takes the first of several.
uint32_t utf8_java_bucket(struct slice s, size_t entries);
