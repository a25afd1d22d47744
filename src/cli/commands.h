// Every command, one row each, in the order of `taccola --help`. A row X(name) stands for
// `command_<name>` in a file of this folder.
#pragma once

#define CLI_COMMANDS(X)             \
    X(start)                        \
    X(topic_create)                 \
    X(topic_list)                   \
    X(topic_describe)               \
    X(topic_delete)                 \
    X(topic_add_partitions)         \
    X(topic_delete_records)         \
    X(produce)                      \
    X(consume)                      \
    X(group_list)                   \
    X(group_describe)               \
    X(group_members)                \
    X(group_explain)                \
    X(group_reset)                  \
    X(group_delete)                 \
    X(group_delete_offsets)         \
    X(transaction_list)             \
    X(transaction_describe)         \
    X(transaction_producers)        \
    X(transaction_abort)            \
    X(transaction_find_hanging)     \
    X(config_describe)              \
    X(config_set)                   \
    X(config_delete)                \
    X(cluster_describe)             \
    X(cluster_quorum)               \
    X(cluster_features)             \
    X(cluster_log_dirs)             \
    X(storage_format)               \
    X(storage_info)                 \
    X(storage_random_uuid)          \
    X(storage_version_mapping)      \
    X(storage_feature_dependencies) \
    X(dump_log)
