/* The thread team and the serial queue under a race detector: many threads share what the API lets them share. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "executor.h"
#include "serial.h"

enum { ROUNDS = 200, SERIALS = 3, GROUPS = 50 };

static struct pm_team *team;

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
            if (pm_serial_submit(serials[s], &step->job, false) != 0) {
                return 2;
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
    for (int s = 0; s < SERIALS; ++s) {
        printf("serial %d: %d of %d steps right\n", s, right[s], done[s]);
        if (done[s] != ROUNDS || right[s] != ROUNDS) {
            return 1;
        }
    }
    return 0;
}
