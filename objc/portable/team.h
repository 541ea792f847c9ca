/* The threads of a device: whoever has work calls them, takes part, and returns when all of it is done. */
#ifndef PM_TEAM_H
#define PM_TEAM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PM_TEAM_MAX_THREADS = 256 };

struct pm_team;

/* NULL without memory. Makes no thread yet. */
struct pm_team *pm_team_create(size_t thread_count);

/* No work may be under way. Ends the threads and waits for them. */
void pm_team_destroy(struct pm_team *team);

/* 1 to PM_TEAM_MAX_THREADS, the calling thread included; from any thread, for the work that begins afterwards. */
void pm_team_set_thread_count(struct pm_team *team, size_t thread_count);
size_t pm_team_thread_count(const struct pm_team *team);

/* ---- Calling threads: what ways to share work are made of ---- */

/* A piece of work; embedded in what it is about, on the stack of the thread that waits for it. */
struct pm_task {
    void (*enter)(struct pm_task *task);    /* run by each thread that comes */
    uint32_t outstanding;                   /* atomic; the team's own: threads that were called and have not left */
};

/* Makes threads until the team has `count` besides the caller. Returns 0, or an errno value if one could not be
 * made. */
int pm_team_hire(struct pm_team *team, size_t count);

/* Calls up to `most` threads that have nothing to do; those that sleep only if `wakes`. Returns how many. */
size_t pm_team_call(struct pm_team *team, struct pm_task *task, size_t most, bool wakes);

/* Calls off those that have not come yet, without waiting for them. */
void pm_team_call_off(struct pm_team *team, struct pm_task *task);

/* Calls off likewise, and waits for the others to leave the task. */
void pm_team_dismiss(struct pm_team *team, struct pm_task *task);

/* ---- Sharing out items ---- */

/* Does the items [begin, end) of a piece of work. */
typedef void (*pm_team_function)(void *context, size_t begin, size_t end);

/* Calls `function` for ranges that together are [0, count), each item once, on the calling thread and others of the
 * team; from any number of threads at once. Returns 0, or an errno value if a thread could not be made: then nothing
 * was done. */
int pm_team_run(struct pm_team *team, size_t count, pm_team_function function, void *context);

#endif
