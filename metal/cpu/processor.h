// What no instruction set's name tells, asked of the processor itself: compilers differ in what they know.
#ifndef TWIN_PROCESSOR_H
#define TWIN_PROCESSOR_H
#if defined(__AVX512F__)
#include <cpuid.h>
#include <string.h>
#endif

namespace {
namespace twin {

#if defined(__AVX512F__)

// Asked once, for a hypervisor may take long to answer. `known`: 0 at first.
inline bool ask_once(int &known, bool (*ask)())
{
    enum { NO = 1, YES = 2 };
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (answer == 0) {
        answer = ask() ? YES : NO;
        __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer == YES;
}

// Whether it has AVX512_BF16.
inline bool multiplies_bfloat()
{
    static int known;
    return ask_once(known, [] {
        enum { LEAF = 7, SUBLEAF = 1, AVX512_BF16 = 1 << 5 };
        unsigned a, b, c, d;
        return __get_cpuid_count(LEAF, SUBLEAF, &a, &b, &c, &d) && (a & AVX512_BF16);
    });
}

// Whether half values become floats faster 256 bits at a time. So it is where units are only as wide, in AMD's family 19h
// (Zen 4).
inline bool converts_narrow()
{
    static int known;
    return ask_once(known, [] {
        enum { AMD_FAMILY = 0x19 };
        unsigned a, b, c, d, version;
        if (!__get_cpuid(0, &a, &b, &c, &d) || !__get_cpuid(1, &version, &a, &a, &a))
            return false;
        const unsigned vendor[] = {b, d, c};
        return memcmp(vendor, "AuthenticAMD", sizeof vendor) == 0
               && (version >> 8 & 0xf) + (version >> 20 & 0xff) == AMD_FAMILY;
    });
}

#else

inline bool multiplies_bfloat() { return false; }
inline bool converts_narrow() { return false; }

#endif

} // namespace twin
} // namespace
#endif
