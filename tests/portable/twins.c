/* Twins of two kernels of programs.c, written by hand: one of items, one of a crew. */
#include "twins.h"
#include <string.h>
#include "twin.h"

static size_t runs, running, most_running;

size_t twin_run_count(void)
{
    return __atomic_load_n(&runs, __ATOMIC_RELAXED);
}

size_t most_runs_at_once(void)
{
    return __atomic_load_n(&most_running, __ATOMIC_RELAXED);
}

static void note_start(void)
{
    const size_t now = __atomic_add_fetch(&running, 1, __ATOMIC_RELAXED);
    size_t most = most_runs_at_once();
    while (now > most
           && !__atomic_compare_exchange_n(&most_running, &most, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static bool plan_square(struct msl_plan *plan, const struct msl_twin_call *call)
{
    plan->items = call->dispatch->threadgroups[0];
    return true;
}

static void square_item(const struct msl_plan *plan, const struct msl_twin_call *call, size_t item, void *workspace)
{
    (void)plan;
    memset(workspace, 0, 1);
    ((uint32_t *)call->dispatch->buffers[0].contents)[item] = (uint32_t)(item * item);
    __atomic_fetch_add(&runs, 1, __ATOMIC_RELAXED);
}

/* None for more steps than it likes. */
static bool plan_relax(struct msl_plan *plan, const struct msl_twin_call *call)
{
    enum { MOST_STEPS = 1000, MOST_MEMBERS = 5 };
    plan->items = MOST_MEMBERS;
    plan->shared = call->dispatch->buffers[0].length;
    plan->meetings = *(const uint32_t *)call->dispatch->buffers[1].contents;
    return plan->meetings <= MOST_STEPS;
}

/* Each member does its share of the values; a step reads what the others did in the one before it. */
static void relax(const struct msl_plan *plan, const struct msl_twin_call *call, struct msl_crew_member *member)
{
    const uint32_t steps = *(const uint32_t *)call->dispatch->buffers[1].contents;
    const uint32_t count = (uint32_t)(plan->shared / sizeof(uint32_t));
    uint32_t *now = call->dispatch->buffers[0].contents, *next = member->shared;
    const bool is_first = member->index == 0;
    if (is_first) {
        note_start();
    }
    for (uint32_t step = 0; step < steps; ++step) {
        for (uint32_t i = count * member->index / member->count; i < count * (member->index + 1) / member->count; ++i) {
            next[i] = now[i] + now[(i + 1) % count];
        }
        if (!msl_meet(member)) {
            return;
        }
        uint32_t *previous = now;
        now = next;
        next = previous;
    }
    if (is_first) {
        __atomic_fetch_sub(&running, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&runs, 1, __ATOMIC_RELAXED);
        memmove(call->dispatch->buffers[0].contents, now, plan->shared);
    }
}

static const struct msl_twin twins[] = {
    {"square", plan_square, square_item, NULL},
    {"relax", plan_relax, NULL, relax},
    {NULL, NULL, NULL, NULL},
};

const struct msl_twin_table msl_twin_tables[] = {
    {"baseline", twins}, {"x86-64-v3", twins}, {"x86-64-v4", twins}, {NULL, NULL},
};
