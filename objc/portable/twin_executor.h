/* Runs dispatches by the twins of their kernels. */
#ifndef PM_TWIN_EXECUTOR_H
#define PM_TWIN_EXECUTOR_H
#include "team.h"
#include "twin.h"

struct pm_twin_run {
    const struct msl_twin *twin;
    struct msl_plan plan;
    struct msl_twin_call call;
    const char *problem;        /* atomic; why it was not run */
};

/* False if the twin has no plan for this dispatch: then its kernel has to run. `constants` are MSL_CONSTANT_COUNT
 * words. */
bool pm_plan_twin(struct pm_twin_run *run, struct pm_team *team, const struct msl_twin *twin, const uint32_t *constants,
                  const struct msl_dispatch *dispatch);

/* As pm_execute. */
int pm_run_twin(struct pm_team *team, struct pm_twin_run *run);

/* Is it faster to give each of these dispatches a thread to itself than to run them one after the other? */
bool pm_gain_abreast(const struct pm_team *team, const struct pm_twin_run *runs, size_t count);

/* Does so. All of them are run by crews. */
int pm_run_twins_abreast(struct pm_team *team, struct pm_twin_run *runs, size_t count);

#endif
