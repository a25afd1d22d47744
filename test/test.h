// What every unit test begins with: cmocka and the headers that it wants first. `assert` stays ours
// (base/assert.h).
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef assert
