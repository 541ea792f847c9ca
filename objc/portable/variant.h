/* Which build of the kernels runs, and which twins: the environment decides, else the processor. */
#ifndef PM_VARIANT_H
#define PM_VARIANT_H
#include <stdbool.h>
#include <stddef.h>
#include "msl_program.h"
#include "twin.h"

/* The last level has no kernels of its own, only twins. */
enum pm_variant { PM_VARIANT_BASELINE, PM_VARIANT_X86_64_V3, PM_VARIANT_X86_64_V4, PM_VARIANT_CHECKED };

/* The name, as in the environment variable MPSRNN_ISA. */
const char *pm_variant_name(enum pm_variant variant);

/* The variant to use now. If the environment asks for one that does not exist or cannot run on this processor: false,
 * and the reason in `message`. */
bool pm_variant_choose(enum pm_variant *variant, char *message, size_t size);

/* The program of `library` to use now, by pm_variant_choose. NULL, and the reason in `message`, if there is none. */
const struct msl_program *pm_variant_program(const struct msl_library *library, char *message, size_t size);

/* The twin of a kernel; NULL if there is none, or the environment wants none (MPSRNN_KERNELS=msl). */
const struct msl_twin *pm_variant_twin(const char *kernel);

#endif
