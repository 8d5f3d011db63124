// toml++ as we include it everywhere. It asserts of a value in an array that it does not begin with '}', then
// refuses it (3.3): where assertions count, a file with such a slip would end the program instead.
#pragma once

#define TOML_ASSERT(expr) static_assert(true)
#include <toml++/toml.h>
