/* The thread team, its crews and the serial queue under a race detector: many threads share what the API lets them
 * share. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "crew.h"
#include "executor.h"
#include "serial.h"

enum { ROUNDS = 200, SERIALS = 3, GROUPS = 50 };

static struct pm_team *team;
static int wrong_values;

struct step {
    struct pm_job job;
    struct pm_serial *serial;
    uint32_t visits[GROUPS];        /* plain memory: the team must order the threads' writes and our reads */
    int *steps_done;                /* plain memory too: the serial orders its jobs */
    int *steps_right;
    int *serials_ended;
    int last;
};

static void visit(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    ((uint32_t *)dispatch->buffers[0].contents)[threadgroup[0]] += 1;
}

static const struct msl_kernel kernel = {.name = "visit", .run_threadgroup = visit};

/* Members pass their values around: each takes what its neighbour had before the meeting. While the others are still to
 * come, it may look at what it has written itself. */
static void relay(const void *context, struct msl_crew_member *member)
{
    uint32_t *now = member->shared, *next = now + GROUPS;
    const uint32_t *steps = context;
    for (uint32_t i = member->index; i < GROUPS; i += member->count) {
        now[i] = i;
    }
    for (uint32_t step = 0; step < *steps; ++step) {
        const uint32_t own = msl_arrive(member) ? now[member->index] : UINT32_MAX;
        if (!msl_leave(member)) {
            return;
        }
        __atomic_fetch_add(&wrong_values, own != UINT32_MAX && own != now[member->index], __ATOMIC_RELAXED);
        for (uint32_t i = member->index; i < GROUPS; i += member->count) {
            next[i] = now[(i + 1) % GROUPS];
        }
        uint32_t *previous = now;
        now = next;
        next = previous;
    }
    if (!msl_meet(member) || member->index > 0) {
        return;
    }
    for (uint32_t i = 0; i < GROUPS; ++i) {
        __atomic_fetch_add(&wrong_values, now[i] != (i + *steps) % GROUPS, __ATOMIC_RELAXED);
    }
}

static bool run_crew(uint32_t steps)
{
    const struct pm_crew_work work = {relay, &steps, 1 + steps % 4, 0, 64, 2 * GROUPS * sizeof(uint32_t)};
    const char *problem = NULL;
    return pm_crew_run(team, &work, &problem) == 0 && !problem;
}

static void run_step(struct pm_job *job)
{
    struct step *step = (struct step *)job;
    struct msl_dispatch dispatch = {.threadgroups = {GROUPS, 1, 1}};
    dispatch.buffers[0].contents = step->visits;
    const char *problem;
    int right = pm_execute(team, &kernel, &dispatch, &problem) == 0 && pm_serial_is_current(step->serial);
    for (int i = 0; i < GROUPS; ++i) {
        right &= step->visits[i] == 1;
    }
    right &= run_crew(*step->steps_done % 7);
    *step->steps_right += right;
    ++*step->steps_done;
    if (step->last) {
        pm_serial_destroy(step->serial);        /* from its own thread */
        __atomic_fetch_add(step->serials_ended, 1, __ATOMIC_RELEASE);
    }
    free(step);
}

static void *change_thread_count(void *argument)
{
    for (size_t i = 0; i < 300; ++i) {
        pm_team_set_thread_count(team, 1 + i % 4);
        usleep(100);
    }
    return argument;
}

int main(void)
{
    static int done[SERIALS], right[SERIALS], ended;
    team = pm_team_create(4);
    pthread_t changer;
    pthread_create(&changer, NULL, change_thread_count, NULL);
    struct pm_serial *serials[SERIALS];
    for (int s = 0; s < SERIALS; ++s) {
        serials[s] = pm_serial_create();
    }
    for (int i = 0; i < ROUNDS; ++i) {
        for (int s = 0; s < SERIALS; ++s) {
            struct step *step = calloc(1, sizeof *step);
            step->job.run = run_step;
            step->serial = serials[s];
            step->steps_done = &done[s];
            step->steps_right = &right[s];
            step->serials_ended = &ended;
            step->last = s > 0 && i == ROUNDS - 1;
            /* Every third step is for this thread to run, if those before it have run by then. */
            const bool will_run = i % 3 == 0 && !step->last;
            if (pm_serial_submit(serials[s], &step->job, will_run) != 0) {
                return 2;
            }
            if (will_run) {
                pm_serial_run(serials[s], &step->job);
            }
        }
    }
    pthread_join(changer, NULL);
    while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < SERIALS - 1) {
        usleep(1000);
    }
    /* Ends the thread of the first serial when its jobs are done. */
    pm_serial_destroy(serials[0]);
    pm_team_destroy(team);
    if (wrong_values > 0) {
        return 1;
    }
    for (int s = 0; s < SERIALS; ++s) {
        printf("serial %d: %d of %d steps right\n", s, right[s], done[s]);
        if (done[s] != ROUNDS || right[s] != ROUNDS) {
            return 1;
        }
    }
    return 0;
}
