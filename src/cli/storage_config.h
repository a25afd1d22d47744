// What the storage commands share: the configuration that -c names.
#pragma once

#include "cli/cli.h"
#include "config/config.h"

// The finished configuration of -c FILE, or a standalone node's without it; NULL after a complaint.
// Returned owned.
struct config *storage_read_config(struct cli *cli);

// Splits "name=level" of --feature. False after a complaint.
bool storage_parse_feature(struct cli *cli, const char *text, struct slice *name, int16_t *level);
