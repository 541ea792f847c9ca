/* Runs one dispatch by the twin of its kernel. */
#ifndef PM_TWIN_EXECUTOR_H
#define PM_TWIN_EXECUTOR_H
#include "team.h"
#include "twin.h"

/* As pm_execute. False if the twin has no plan for this dispatch: then its kernel has to run. `constants` are
 * MSL_CONSTANT_COUNT words. */
bool pm_execute_twin(struct pm_team *team, const struct msl_twin *twin, const uint32_t *constants,
                     struct msl_dispatch *dispatch, int *error, const char **problem);

#endif
