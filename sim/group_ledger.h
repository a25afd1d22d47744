// The checker of groups: what members were told about who owns what, and which offsets were
// acknowledged. Lives outside of the nodes, beside the ledger of records (ledger.h), to which it
// reports violations.
//
//   In one generation a partition has one owner. Generations only grow once an assignment of theirs
//   was answered (one that was joined only may come again after a crash, as in Kafka). A committed
//   offset never goes back: owners only commit higher than what they fetched, so a fetch answers at
//   least what was acknowledged before it was asked (or a commit without an answer that came late,
//   until one of a later epoch was acknowledged), and only what somebody committed. After
//   healing all members are in one generation that covers all partitions.
#pragma once

#include "sim/ledger.h"

struct group_ledger;

struct group_ledger *group_ledger_new(struct ledger *ledger, int32_t partition_count,
                                      int32_t member_count);
void group_ledger_free(struct group_ledger *groups);

// A number for a member id that the coordinator gave to client `client`.
int32_t group_ledger_identity(struct group_ledger *groups, int32_t client);
// What a join, once answered, must not fall below: ask before sending it.
int32_t group_ledger_generation(const struct group_ledger *groups);
void group_ledger_joined(struct group_ledger *groups, int32_t generation, int32_t floor);
// A heartbeat of this generation was answered as fine; `floor` as above.
void group_ledger_alive(struct group_ledger *groups, int32_t generation, int32_t floor);
// SyncGroup was answered: bit i of `owned` is partition i.
void group_ledger_assigned(struct group_ledger *groups, int32_t identity, int32_t generation,
                           uint64_t owned);
// The client has no membership any more (it left, crashed, or was told so).
void group_ledger_gone(struct group_ledger *groups, int32_t client);
// All clients own their part of one generation, and together exactly these partitions.
bool group_ledger_is_settled(const struct group_ledger *groups, uint64_t partitions);

// ---- The consumer protocol (KIP-848) ----

// There a partition passes from one member to the next by itself. A member that heartbeats holds
// what it was given until it says that it has not; nobody else may be given it before.
// `floor`: the newest epoch that anybody had when the heartbeat was sent, if it asked to join.
void group_ledger_heard(struct group_ledger *groups, int32_t client, int32_t epoch, int32_t floor,
                        uint64_t sent_ns);
void group_ledger_given(struct group_ledger *groups, int32_t client, uint64_t owned,
                        uint64_t now_ns, uint64_t session_ns);
// About to be said to the coordinator.
void group_ledger_keeps(struct group_ledger *groups, int32_t client, uint64_t owned);

// A heartbeat that said so was not answered: it may come late, and what the member got meanwhile
// counts as given up then, in Kafka as in ours.
void group_ledger_doubts_hold(struct group_ledger *groups, int32_t client, uint64_t owned);

void group_ledger_committing(struct group_ledger *groups, int32_t partition, int64_t offset);
void group_ledger_committed(struct group_ledger *groups, int32_t partition, int64_t offset,
                            int32_t epoch, uint64_t now_ns);
// Nobody knows what becomes of this commit: it may still be on its way, and count until the
// coordinator has gone on to a later epoch of its member.
void group_ledger_doubted(struct group_ledger *groups, int32_t partition, int64_t offset,
                          int32_t epoch, uint64_t now_ns);
// What a fetch must answer at least: ask before sending it.
int64_t group_ledger_offset(const struct group_ledger *groups, int32_t partition);
void group_ledger_fetched(struct group_ledger *groups, int32_t partition, int64_t offset,
                          int64_t floor);
// Acknowledged commits and assignments so far.
uint64_t group_ledger_commits(const struct group_ledger *groups);
uint64_t group_ledger_assignments(const struct group_ledger *groups);
