// How the transaction coordinator's markers reach the leaders of their partitions: those that this
// node leads by a message to the reactor that owns them.
#pragma once

#include "api/node.h"
#include "transaction/coordinator.h"

// One per reactor; the node is borrowed.
struct transaction_sender marker_sender(struct node *node);
