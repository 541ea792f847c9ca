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
    [PM_VARIANT_X86_64_V4] = "x86-64-v4",
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

enum {
    XCR0_AVX = 1 << 1 | 1 << 2,                             /* with SSE */
    XCR0_AVX512 = XCR0_AVX | 1 << 5 | 1 << 6 | 1 << 7,
    LEAF7_V3 = 1 << 3 | 1 << 5 | 1 << 8,                    /* BMI1, AVX2, BMI2 */
    EXTENDED_LZCNT = 1 << 5,
};
/* AVX-512 F, DQ, CD, BW and VL. */
static const unsigned int LEAF7_V4 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;

/* Does the operating system save these registers? */
static bool system_keeps(unsigned int state)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return all_set(low, state);
}

/* The levels as the psABI defines them. Asked of the processor itself, since compilers differ in the names of
 * features. */
static enum pm_variant best_variant(void)
{
    unsigned int a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)
        || !all_set(c, bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B)
        || !all_set(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C | bit_MOVBE) || !system_keeps(XCR0_AVX)
        || !__get_cpuid(0x80000001, &a, &b, &c, &d) || !all_set(c, EXTENDED_LZCNT)
        || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !all_set(b, LEAF7_V3)) {
        return PM_VARIANT_BASELINE;
    }
    return all_set(b, LEAF7_V4) && system_keeps(XCR0_AVX512) ? PM_VARIANT_X86_64_V4 : PM_VARIANT_X86_64_V3;
}

#else

static enum pm_variant best_variant(void)
{
    return PM_VARIANT_BASELINE;
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
    *variant = best_variant();
    if (!isa) {
        return true;
    }
    for (enum pm_variant wanted = PM_VARIANT_BASELINE; wanted < PM_VARIANT_CHECKED; ++wanted) {
        if (strcmp(isa, names[wanted]) != 0) {
            continue;
        }
        if (wanted > *variant) {
            snprintf(message, size,
                     "MPSRNN_ISA is %s, but this processor or its operating system does not support it", isa);
            return false;
        }
        *variant = wanted;
        return true;
    }
    snprintf(message, size, "MPSRNN_ISA is '%s'; baseline, x86-64-v3 or x86-64-v4 expected", isa);
    return false;
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
        [PM_VARIANT_X86_64_V4] = library->x86_64_v3,
        [PM_VARIANT_CHECKED] = library->checked,
    };
    const struct msl_program *program = programs[variant];
    if (!program && variant != PM_VARIANT_CHECKED && !environment("MPSRNN_ISA")) {
        program = library->baseline;
    }
    if (!program) {
        snprintf(message, size, "the kernels of this package were built without the variant '%s'", names[variant]);
    }
    return program;
}

const struct msl_twin *pm_variant_twin(const char *kernel)
{
    char message[256];
    enum pm_variant variant;
    const char *kernels = environment("MPSRNN_KERNELS");
    if ((kernels && strcmp(kernels, "msl") == 0) || !pm_variant_choose(&variant, message, sizeof message)) {
        return NULL;
    }
    const struct msl_twin_table *table = msl_twin_tables;
    while (table->isa && strcmp(table->isa, names[variant]) != 0) {
        ++table;
    }
    const struct msl_twin *twin = table->twins;
    while (twin && twin->kernel && strcmp(twin->kernel, kernel) != 0) {
        ++twin;
    }
    return twin && twin->kernel ? twin : NULL;
}
