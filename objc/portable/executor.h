/* Runs one dispatch of a kernel. */
#ifndef PM_EXECUTOR_H
#define PM_EXECUTOR_H
#include "msl_program.h"
#include "team.h"

/* Bytes of memory that each threadgroup of `dispatch` has. */
size_t pm_threadgroup_memory(const struct msl_kernel *kernel, const struct msl_dispatch *dispatch);

/* Runs the threadgroups of `dispatch`, spread over `team`, and returns when all have ended. A kernel that reports a
 * violation ends the dispatch early; so does what cannot be run, and `*problem`, NULL otherwise, says why. The number
 * of threadgroups must fit a size_t. Returns 0, or an errno value if a thread could not be made: then nothing ran. */
int pm_execute(struct pm_team *team, const struct msl_kernel *kernel, struct msl_dispatch *dispatch,
               const char **problem);

#endif
