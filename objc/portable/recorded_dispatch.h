/* Dispatches as a command buffer keeps them until they run. */
#ifndef PM_RECORDED_DISPATCH_H
#define PM_RECORDED_DISPATCH_H
#include "team.h"
#include "twin.h"

struct pm_recorded_dispatch {
    struct pm_recorded_dispatch *next;
    const struct msl_kernel *kernel;
    const struct msl_twin *twin;            /* may be NULL */
    const uint32_t *constants;
    bool overlaps;                          /* the dispatch before it, which may still run */
    struct msl_dispatch dispatch;
    const char *problem;                    /* written by pm_run_recorded: why it could not be run */
};

/* Runs the first dispatch, and some of those behind it if these may overlap it and that is faster. `*next` is the first
 * that was not run. Returns 0, or an errno value if a thread could not be made: then nothing was done. */
int pm_run_recorded(struct pm_team *team, struct pm_recorded_dispatch *first, struct pm_recorded_dispatch **next);

#endif
