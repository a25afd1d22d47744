// Every command, one row each, in the order of `taccola --help`. A row X(name) stands for
// `command_<name>` in a file of this folder.
#pragma once

#define CLI_COMMANDS(X) X(start)
