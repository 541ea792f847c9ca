#include "executor.h"

struct execution {
    const struct msl_kernel *kernel;
    struct msl_dispatch *dispatch;
};

/* Threadgroups are numbered along x first, then y, then z. */
static void run_threadgroups(void *context, size_t begin, size_t end)
{
    const struct execution *execution = context;
    struct msl_dispatch *dispatch = execution->dispatch;
    const size_t width = dispatch->threadgroups[0], height = dispatch->threadgroups[1];
    for (size_t i = begin; i < end; ++i) {
        if (__atomic_load_n(&dispatch->violation, __ATOMIC_RELAXED)) {
            return;
        }
        const uint32_t threadgroup[3] = {
            (uint32_t)(i % width),
            (uint32_t)(i / width % height),
            (uint32_t)(i / width / height),
        };
        execution->kernel->run_threadgroup(dispatch, threadgroup);
    }
}

int pm_execute(struct pm_team *team, const struct msl_kernel *kernel, struct msl_dispatch *dispatch)
{
    const size_t count = (size_t)dispatch->threadgroups[0] * dispatch->threadgroups[1] * dispatch->threadgroups[2];
    struct execution execution = {kernel, dispatch};
    return pm_team_run(team, count, run_threadgroups, &execution);
}
