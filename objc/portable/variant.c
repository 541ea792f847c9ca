#include "variant.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const names[] = {
    [PM_VARIANT_BASELINE] = "baseline",
    [PM_VARIANT_X86_64_V3] = "x86-64-v3",
    [PM_VARIANT_CHECKED] = "checked",
};

const char *pm_variant_name(enum pm_variant variant)
{
    return names[variant];
}

#if defined(__x86_64__)

static bool all_set(unsigned int value, unsigned int bits)
{
    return (value & bits) == bits;
}

/* Does the operating system save the registers that AVX uses? */
static bool system_keeps_avx_state(void)
{
    enum { XCR0_SSE = 1 << 1, XCR0_AVX = 1 << 2 };
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return all_set(low, XCR0_SSE | XCR0_AVX);
}

/* The level as the psABI defines it. Asked of the processor itself, since compilers differ in the names of features. */
static bool processor_is_x86_64_v3(void)
{
    enum { LEAF7_BMI1 = 1 << 3, LEAF7_AVX2 = 1 << 5, LEAF7_BMI2 = 1 << 8, EXTENDED_LZCNT = 1 << 5 };
    unsigned int a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)
        || !all_set(c, bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B)
        || !all_set(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C | bit_MOVBE) || !system_keeps_avx_state()) {
        return false;
    }
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !all_set(b, LEAF7_BMI1 | LEAF7_AVX2 | LEAF7_BMI2)) {
        return false;
    }
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && all_set(c, EXTENDED_LZCNT);
}

#else

static bool processor_is_x86_64_v3(void)
{
    return false;
}

#endif

/* An empty variable is as good as none. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

bool pm_variant_choose(enum pm_variant *variant, char *message, size_t size)
{
    const char *validation = environment("MPSRNN_VALIDATION");
    if (validation && strcmp(validation, "1") == 0) {
        *variant = PM_VARIANT_CHECKED;
        return true;
    }
    if (validation && strcmp(validation, "0") != 0) {
        snprintf(message, size, "MPSRNN_VALIDATION is '%s'; 0 or 1 expected", validation);
        return false;
    }
    const char *isa = environment("MPSRNN_ISA");
    if (!isa) {
        *variant = processor_is_x86_64_v3() ? PM_VARIANT_X86_64_V3 : PM_VARIANT_BASELINE;
        return true;
    }
    if (strcmp(isa, names[PM_VARIANT_BASELINE]) == 0) {
        *variant = PM_VARIANT_BASELINE;
        return true;
    }
    if (strcmp(isa, names[PM_VARIANT_X86_64_V3]) != 0) {
        snprintf(message, size, "MPSRNN_ISA is '%s'; baseline or x86-64-v3 expected", isa);
        return false;
    }
    if (!processor_is_x86_64_v3()) {
        snprintf(message, size,
                 "MPSRNN_ISA is x86-64-v3, but this processor or its operating system does not support it");
        return false;
    }
    *variant = PM_VARIANT_X86_64_V3;
    return true;
}

const struct msl_program *pm_variant_program(const struct msl_library *library, char *message, size_t size)
{
    enum pm_variant variant;
    if (!pm_variant_choose(&variant, message, size)) {
        return NULL;
    }
    const struct msl_program *const programs[] = {
        [PM_VARIANT_BASELINE] = library->baseline,
        [PM_VARIANT_X86_64_V3] = library->x86_64_v3,
        [PM_VARIANT_CHECKED] = library->checked,
    };
    const struct msl_program *program = programs[variant];
    if (!program && variant == PM_VARIANT_X86_64_V3 && !environment("MPSRNN_ISA")) {
        program = library->baseline;
    }
    if (!program) {
        snprintf(message, size, "the kernels of this package were built without the variant '%s'", names[variant]);
    }
    return program;
}
