// Compiles a loop for several instruction sets; the processor picks one when the program starts.
#pragma once

#include <string_view>

// A macro because the attribute's list of instruction sets must be repeated word for word at every loop,
// and because compilers without it (clang 14 knows no levels such as x86-64-v4) still have to build the
// loop once, for the set that the whole program is built for. Sanitizers' own start-up code does not
// bear functions that are resolved before it has run. DESCENT_WITHOUT_AVX512 shows what a lesser processor
// does.
//
// An OpenMP region inside such a function is compiled once only, for the oldest set: open the region
// outside (cpu/parallel.h) and call the loop from it.
//
// DESCENT_AVX512 compiles a loop for that set alone, where others would be large and never called.
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DESCENT_CLONES
#define DESCENT_AVX512
#elif defined(DESCENT_WITHOUT_AVX512)
#define DESCENT_CLONES [[gnu::target_clones("arch=x86-64-v3", "default")]]
#define DESCENT_AVX512
#else
#define DESCENT_CLONES [[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#define DESCENT_AVX512 [[gnu::target("arch=x86-64-v4")]]
#endif

namespace descent {

#if defined(DESCENT_WITHOUT_AVX512)
inline constexpr bool may_use_avx512 = false;
#else
inline constexpr bool may_use_avx512 = true;  // where the processor has it
#endif

// What tells the loops of a build apart from the usual ones: times of one say nothing of the other.
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::string_view loops_of_build = ", loops for one instruction set";
#elif defined(DESCENT_WITHOUT_AVX512)
inline constexpr std::string_view loops_of_build = ", loops without AVX-512";
#elif !defined(__OPTIMIZE__)
inline constexpr std::string_view loops_of_build = ", loops as they are written";
#else
inline constexpr std::string_view loops_of_build;
#endif

}  // namespace descent
