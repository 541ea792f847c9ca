#include "twin_executor.h"
#include <string.h>
#include "crew.h"
#include "workspace.h"

struct execution {
    const struct msl_twin *twin;
    struct msl_plan plan;
    struct msl_twin_call call;
    const char *problem;        /* atomic */
};

static void run_items(void *context, size_t begin, size_t end)
{
    struct execution *execution = context;
    void *workspace = pm_workspace(execution->plan.workspace);
    if (!workspace) {
        __atomic_store_n(&execution->problem, "no memory to work in", __ATOMIC_RELAXED);
        return;
    }
    for (size_t i = begin; i < end; ++i) {
        execution->twin->run(&execution->plan, &execution->call, i, workspace);
    }
}

static void run_member(const void *context, struct msl_crew_member *member)
{
    const struct execution *execution = context;
    execution->twin->run_together(&execution->plan, &execution->call, member);
}

bool pm_execute_twin(struct pm_team *team, const struct msl_twin *twin, const uint32_t *constants,
                     struct msl_dispatch *dispatch, int *error, const char **problem)
{
    struct execution execution = {.twin = twin, .call = {.dispatch = dispatch}};
    execution.call.threads = (unsigned)pm_team_thread_count(team);
    memcpy(execution.call.constants, constants, sizeof execution.call.constants);
    if (!twin->plan(&execution.plan, &execution.call)) {
        return false;
    }
    if (twin->run_together) {
        const struct msl_plan *plan = &execution.plan;
        const struct pm_crew_work work = {
            run_member, &execution, plan->items, plan->cost, plan->workspace, plan->shared,
        };
        *error = pm_crew_run(team, &work, &execution.problem);
    } else {
        *error = pm_team_run(team, execution.plan.items, run_items, &execution);
    }
    *problem = execution.problem;
    return true;
}
