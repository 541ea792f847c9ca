#include "twin_executor.h"
#include <string.h>
#include "crew.h"
#include "workspace.h"

static void run_items(void *context, size_t begin, size_t end)
{
    struct pm_twin_run *run = context;
    void *workspace = pm_workspace(run->plan.workspace);
    if (!workspace) {
        __atomic_store_n(&run->problem, "no memory to work in", __ATOMIC_RELAXED);
        return;
    }
    for (size_t i = begin; i < end; ++i) {
        run->twin->run(&run->plan, &run->call, i, workspace);
    }
}

static void run_member(const void *context, struct msl_crew_member *member)
{
    const struct pm_twin_run *run = context;
    run->twin->run_together(&run->plan, &run->call, member);
}

bool pm_plan_twin(struct pm_twin_run *run, struct pm_team *team, const struct msl_twin *twin, const uint32_t *constants,
                  const struct msl_dispatch *dispatch)
{
    *run = (struct pm_twin_run){.twin = twin, .call = {.dispatch = dispatch}};
    run->call.threads = (unsigned)pm_team_thread_count(team);
    memcpy(run->call.constants, constants, sizeof run->call.constants);
    return twin->plan(&run->plan, &run->call);
}

int pm_run_twin(struct pm_team *team, struct pm_twin_run *run)
{
    const struct msl_plan *plan = &run->plan;
    if (!run->twin->run_together) {
        return pm_team_run(team, plan->items, run_items, run);
    }
    const struct pm_crew_work work = {
        run_member, run, plan->items, plan->cost, plan->workspace, plan->shared,
    };
    return pm_crew_run(team, &work, &run->problem);
}

/* ---- Each by a thread of its own ---- */

/* What a meeting costs, and what a thread should do at most between two of them, in nanoseconds. Whoever does more reads
 * so much between them that the halves stay in the threads' caches where the whole would not. */
enum { MEETING_COST = 150, MOST_BETWEEN_MEETINGS = 20000 };

static bool gains_alone(const struct pm_twin_run *run, size_t threads, size_t abreast)
{
    const struct msl_plan *plan = &run->plan;
    if (!run->twin->run_together || plan->meetings == 0) {
        return false;
    }
    const size_t crew = plan->items < threads ? plan->items : threads;
    const uint64_t between = plan->cost / plan->meetings;
    if (crew <= abreast) {
        return between < MOST_BETWEEN_MEETINGS;
    }
    return between * (crew - abreast) < (uint64_t)MEETING_COST * abreast * crew;
}

bool pm_gain_abreast(const struct pm_team *team, const struct pm_twin_run *runs, size_t count)
{
    const size_t threads = pm_team_thread_count(team), abreast = count < threads ? count : threads;
    bool gains = threads > 1;
    for (size_t i = 0; i < count && gains; ++i) {
        gains = gains_alone(&runs[i], threads, abreast);
    }
    return gains;
}

struct abreast {
    const struct pm_twin_run *runs;
    size_t count;
    size_t own;                 /* bytes of a dispatch's workspace, before those that a crew would share */
};

static void run_some(const void *context, struct msl_crew_member *member)
{
    const struct abreast *all = context;
    char *const own = member->workspace;
    struct msl_crew_member alone = {.count = 1, .workspace = own, .shared = own + all->own};
    for (size_t i = member->index; i < all->count; i += member->count) {
        run_member(&all->runs[i], &alone);
    }
}

int pm_run_twins_abreast(struct pm_team *team, struct pm_twin_run *runs, size_t count)
{
    enum { CACHE_LINE = 64 };
    struct abreast all = {runs, count, 0};
    size_t shared = 0;
    uint64_t cost = 0;
    for (size_t i = 0; i < count; ++i) {
        const struct msl_plan *plan = &runs[i].plan;
        const size_t own = (plan->workspace + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
        all.own = own > all.own ? own : all.own;
        shared = plan->shared > shared ? plan->shared : shared;
        cost += plan->cost;
    }
    const struct pm_crew_work work = {run_some, &all, count, cost, all.own + shared, 0};
    return pm_crew_run(team, &work, &runs[0].problem);
}
