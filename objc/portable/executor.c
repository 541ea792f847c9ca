#include "executor.h"
#include <stdlib.h>
#include <string.h>
#include "fiber.h"

struct execution {
    const struct msl_kernel *kernel;
    struct msl_dispatch *dispatch;
    const char *problem;        /* atomic; the first one */
};

/* One threadgroup whose threads work together. */
struct threadgroup {
    const struct msl_kernel *kernel;
    const struct msl_dispatch *dispatch;
    uint32_t position[3];
    void *memory;
};

/* Uninitialised memory, as far as kernels know: reads of it shall be seen in the results, as NaN. */
enum { UNINITIALISED = 0xFF, MEMORY_ALIGNMENT = 64 };

static void fail(struct execution *execution, const char *problem)
{
    const char *none = NULL;
    __atomic_compare_exchange_n(&execution->problem, &none, problem, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static int has_ended(const struct execution *execution)
{
    return __atomic_load_n(&execution->dispatch->violation, __ATOMIC_RELAXED)
           || __atomic_load_n(&execution->problem, __ATOMIC_RELAXED);
}

/* Threadgroups are numbered along x first, then y, then z. */
static void find_position(const struct msl_dispatch *dispatch, size_t index, uint32_t position[3])
{
    const size_t width = dispatch->threadgroups[0], height = dispatch->threadgroups[1];
    position[0] = (uint32_t)(index % width);
    position[1] = (uint32_t)(index / width % height);
    position[2] = (uint32_t)(index / width / height);
}

static void run_threadgroups(void *context, size_t begin, size_t end)
{
    const struct execution *execution = context;
    for (size_t i = begin; i < end && !has_ended(execution); ++i) {
        uint32_t position[3];
        find_position(execution->dispatch, i, position);
        execution->kernel->run_threadgroup(execution->dispatch, position);
    }
}

static void run_thread(void *context, uint32_t index)
{
    const struct threadgroup *group = context;
    group->kernel->run_thread(group->dispatch, group->position, index, group->memory);
}

static void run_together(struct execution *execution, struct threadgroup *group)
{
    const uint32_t *size = execution->dispatch->threads_per_threadgroup;
    switch (pm_fiber_run((size_t)size[0] * size[1] * size[2], run_thread, group)) {
    case PM_FIBER_DONE:
        return;
    case PM_FIBER_NO_MEMORY:
        fail(execution, "no memory for the stacks of a threadgroup's threads");
        return;
    case PM_FIBER_DIVERGED:
        fail(execution, "threadgroup_barrier: some threads of a threadgroup came to it and others ended");
    }
}

/* The memory is allocated to the byte, so that a memory checker sees every overrun. */
static void run_cooperative_threadgroups(void *context, size_t begin, size_t end)
{
    struct execution *execution = context;
    struct threadgroup group = {.kernel = execution->kernel, .dispatch = execution->dispatch};
    const size_t size = pm_threadgroup_memory(execution->kernel, execution->dispatch);
    if (size > 0 && posix_memalign(&group.memory, MEMORY_ALIGNMENT, size) != 0) {
        fail(execution, "no memory for a threadgroup");
        return;
    }
    for (size_t i = begin; i < end && !has_ended(execution); ++i) {
        if (size > 0) {
            memset(group.memory, UNINITIALISED, size);
        }
        find_position(execution->dispatch, i, group.position);
        run_together(execution, &group);
    }
    free(group.memory);
}

size_t pm_threadgroup_memory(const struct msl_kernel *kernel, const struct msl_dispatch *dispatch)
{
    size_t size = kernel->memory_size;
    for (int i = 0; i < MSL_THREADGROUP_COUNT; ++i) {
        size += dispatch->threadgroup_lengths[i];
    }
    return size;
}

int pm_execute(struct pm_team *team, const struct msl_kernel *kernel, struct msl_dispatch *dispatch,
               const char **problem)
{
    const size_t count = (size_t)dispatch->threadgroups[0] * dispatch->threadgroups[1] * dispatch->threadgroups[2];
    struct execution execution = {kernel, dispatch, NULL};
    const int error = pm_team_run(team, count, kernel->run_thread ? run_cooperative_threadgroups : run_threadgroups,
                                  &execution);
    *problem = execution.problem;
    return error;
}
