// CRC-32C (Castagnoli, RFC 3720) as record batches and snapshots use it. isa-l picks the
// instructions of the CPU.
#pragma once

#include "base/compiler.h"

// `crc` is 0 or the result for the bytes before these.
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
