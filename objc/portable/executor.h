/* Runs one dispatch of a kernel. */
#ifndef PM_EXECUTOR_H
#define PM_EXECUTOR_H
#include "msl_program.h"
#include "team.h"

/* Runs the threadgroups of `dispatch`, spread over `team`, and returns when all have ended. A kernel that reports a
 * violation ends the dispatch early. The number of threadgroups must fit a size_t. Returns 0, or an errno value if a
 * thread could not be made: then nothing ran. */
int pm_execute(struct pm_team *team, const struct msl_kernel *kernel, struct msl_dispatch *dispatch);

#endif
