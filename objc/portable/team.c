#define _GNU_SOURCE
#include "team.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "processor.h"
#include "thread.h"
#include "waiting.h"

/* What two threads write to lies this far apart: processors fetch cache lines in pairs. */
enum { APART = 128 };

/* A thread of the team. Whoever has work for it puts a task into `place` of a thread that is free; the thread takes it
 * out by making itself busy, and until then the task can be taken back. So nobody ever waits for a thread that has not
 * come, say because the processor is busy with something else. */
struct worker {
    uintptr_t place;            /* atomic; a task's address or one of enum place */
    uint32_t calls;             /* atomic; it waits while this does not change */
    uint64_t looks_for;         /* nanoseconds, before it sleeps */
    pthread_t thread;
    bool is_kept_away;          /* its processors are to be `usable` when it has woken up */
    cpu_set_t usable;
};

enum place { IDLE, ASLEEP, BUSY, ENDING, PLACE_COUNT };

/* In pm_task.outstanding: its thread sleeps until the last one has left. */
static const uint32_t WAITED_FOR = UINT32_C(1) << 31;

struct pm_team {
    size_t thread_count;        /* atomic */
    size_t worker_count;        /* atomic; changed under the mutex */
    pthread_mutex_t mutex;
    struct worker *workers[PM_TEAM_MAX_THREADS - 1];
};

/* ---- The workers ---- */

static bool move(struct worker *worker, uintptr_t from, uintptr_t to)
{
    return __atomic_compare_exchange_n(&worker->place, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Called by a worker that was woken up. */
static void move_freely(struct worker *worker)
{
    if (worker->is_kept_away) {
        sched_setaffinity(0, sizeof worker->usable, &worker->usable);
        worker->is_kept_away = false;
    }
}

/* How long a worker looks for work after it has slept: longer, if it had better not have slept, since work comes at
 * such short intervals. */
static uint64_t time_to_look(uint64_t idle)
{
    enum { SHORT_INTERVAL = 8 * PM_SPIN_NANOSECONDS };
    return idle < SHORT_INTERVAL ? SHORT_INTERVAL : PM_SPIN_NANOSECONDS;
}

/* The next task, with the worker busy; NULL when the team ends. */
static struct pm_task *wait_for_task(struct worker *worker)
{
    uint64_t asleep_since = 0;
    for (;;) {
        const uint32_t calls = __atomic_load_n(&worker->calls, __ATOMIC_ACQUIRE);
        const uintptr_t place = __atomic_load_n(&worker->place, __ATOMIC_ACQUIRE);
        if (place == ENDING) {
            return NULL;
        }
        if (place >= PLACE_COUNT && move(worker, place, BUSY)) {
            if (asleep_since > 0) {
                worker->looks_for = time_to_look(pm_now() - asleep_since);
                move_freely(worker);
            }
            return (struct pm_task *)place;
        }
        if (place == ASLEEP || place == BUSY) {
            pm_thread_sleep(&worker->calls, calls);
        } else if (place == IDLE && !pm_spin_while_equal(&worker->calls, calls, worker->looks_for)) {
            asleep_since = pm_now();
            move(worker, IDLE, ASLEEP);
        }
    }
}

static void leave(struct pm_task *task)
{
    /* The task may vanish with the decrement; waking up somebody who is not there any more does no harm. */
    if (__atomic_sub_fetch(&task->outstanding, 1, __ATOMIC_RELEASE) == WAITED_FOR) {
        pm_wake_one(&task->outstanding);
    }
}

static void work(void *argument)
{
    struct worker *worker = argument;
    struct pm_task *task = wait_for_task(worker);
    while (task) {
        task->enter(task);
        /* In this order, so that the task's thread finds this one idle when it has more to do. */
        __atomic_store_n(&worker->place, IDLE, __ATOMIC_RELEASE);
        leave(task);
        task = wait_for_task(worker);
    }
}

static int add_worker(struct pm_team *team, size_t index)
{
    void *memory;
    if (posix_memalign(&memory, APART, (sizeof(struct worker) + APART - 1) / APART * APART) != 0) {
        return ENOMEM;
    }
    struct worker *worker = memset(memory, 0, sizeof *worker);
    worker->looks_for = PM_SPIN_NANOSECONDS;
    const int error = pm_thread_start(&worker->thread, work, worker);
    if (error) {
        free(worker);
        return error;
    }
    team->workers[index] = worker;
    __atomic_store_n(&team->worker_count, index + 1, __ATOMIC_RELEASE);
    return 0;
}

static void end_worker(struct worker *worker)
{
    __atomic_store_n(&worker->place, ENDING, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&worker->calls, 1, __ATOMIC_RELEASE);
    pm_wake_one(&worker->calls);
    pthread_join(worker->thread, NULL);
    free(worker);
}

/* ---- The team ---- */

struct pm_team *pm_team_create(size_t thread_count)
{
    struct pm_team *team = calloc(1, sizeof *team);
    if (team) {
        pthread_mutex_init(&team->mutex, NULL);
        pm_team_set_thread_count(team, thread_count);
    }
    return team;
}

void pm_team_destroy(struct pm_team *team)
{
    for (size_t i = 0; i < team->worker_count; ++i) {
        end_worker(team->workers[i]);
    }
    pthread_mutex_destroy(&team->mutex);
    free(team);
}

void pm_team_set_thread_count(struct pm_team *team, size_t thread_count)
{
    __atomic_store_n(&team->thread_count, thread_count, __ATOMIC_RELAXED);
}

size_t pm_team_thread_count(const struct pm_team *team)
{
    return __atomic_load_n(&team->thread_count, __ATOMIC_RELAXED);
}

int pm_team_hire(struct pm_team *team, size_t count)
{
    if (__atomic_load_n(&team->worker_count, __ATOMIC_ACQUIRE) >= count) {
        return 0;
    }
    int error = 0;
    pthread_mutex_lock(&team->mutex);
    while (!error && team->worker_count < count) {
        error = add_worker(team, team->worker_count);
    }
    pthread_mutex_unlock(&team->mutex);
    return error;
}

/* Puts the task into the place of a worker that is idle or asleep. False if it is not any more. */
static bool call_worker(struct worker *worker, struct pm_task *task, uintptr_t place)
{
    const uintptr_t called = (uintptr_t)task;
    if (!move(worker, place, place == IDLE ? called : BUSY)) {
        return false;
    }
    if (place == ASLEEP) {
        worker->is_kept_away = pm_processor_keep_away(worker->thread, &worker->usable);
        __atomic_store_n(&worker->place, called, __ATOMIC_RELEASE);
    }
    __atomic_fetch_add(&worker->calls, 1, __ATOMIC_RELEASE);
    if (place == ASLEEP) {
        pm_wake_one(&worker->calls);
    }
    return true;
}

/* Calls up to `most` workers whose place is `place`. */
static size_t call_from(struct pm_team *team, struct pm_task *task, size_t most, uintptr_t place)
{
    const size_t count = __atomic_load_n(&team->worker_count, __ATOMIC_ACQUIRE);
    size_t called = 0;
    for (size_t i = 0; i < count && called < most; ++i) {
        struct worker *worker = team->workers[i];
        if (__atomic_load_n(&worker->place, __ATOMIC_RELAXED) != place) {
            continue;
        }
        /* First, for the worker may have come and gone before we go on. */
        __atomic_fetch_add(&task->outstanding, 1, __ATOMIC_RELAXED);
        const bool is_called = call_worker(worker, task, place);
        called += is_called;
        if (!is_called) {
            __atomic_fetch_sub(&task->outstanding, 1, __ATOMIC_RELAXED);
        }
    }
    return called;
}

size_t pm_team_call(struct pm_team *team, struct pm_task *task, size_t most, bool wakes)
{
    const size_t called = call_from(team, task, most, IDLE);
    return wakes && called < most ? called + call_from(team, task, most - called, ASLEEP) : called;
}

void pm_team_call_off(struct pm_team *team, struct pm_task *task)
{
    const size_t count = __atomic_load_n(&team->worker_count, __ATOMIC_ACQUIRE);
    for (size_t i = 0; i < count && __atomic_load_n(&task->outstanding, __ATOMIC_RELAXED) > 0; ++i) {
        struct worker *worker = team->workers[i];
        if (__atomic_load_n(&worker->place, __ATOMIC_RELAXED) == (uintptr_t)task
            && move(worker, (uintptr_t)task, IDLE)) {
            __atomic_fetch_sub(&task->outstanding, 1, __ATOMIC_RELAXED);
        }
    }
}

/* Sleeping soon is not only kind to others: the one it waits for may be waiting for this very processor. */
static void wait_for_leavers(struct pm_task *task)
{
    uint32_t left = __atomic_load_n(&task->outstanding, __ATOMIC_ACQUIRE);
    while (left > 0 && pm_spin_while_equal(&task->outstanding, left, PM_SPIN_NANOSECONDS)) {
        left = __atomic_load_n(&task->outstanding, __ATOMIC_ACQUIRE);
    }
    if (left == 0) {
        return;
    }
    left = __atomic_or_fetch(&task->outstanding, WAITED_FOR, __ATOMIC_ACQUIRE);
    while (left != WAITED_FOR) {
        pm_sleep_while_equal(&task->outstanding, left, 0);
        left = __atomic_load_n(&task->outstanding, __ATOMIC_ACQUIRE);
    }
}

void pm_team_dismiss(struct pm_team *team, struct pm_task *task)
{
    if (__atomic_load_n(&task->outstanding, __ATOMIC_ACQUIRE) > 0) {
        pm_team_call_off(team, task);
        wait_for_leavers(task);
    }
}

/* ---- Sharing out items ---- */

/* Ranges a thread takes from a piece of work, if all are equally fast: more balance better, fewer cost less. */
enum { RANGES_PER_THREAD = 16 };

struct shared_work {
    struct pm_task task;
    pm_team_function function;
    void *context;
    size_t count;
    size_t range;               /* items taken at once */
    size_t taken;               /* atomic; may exceed count */
};

/* False when there is none left. */
static bool take_range(struct shared_work *work)
{
    const size_t begin = __atomic_fetch_add(&work->taken, work->range, __ATOMIC_RELAXED);
    if (begin >= work->count) {
        return false;
    }
    const size_t left = work->count - begin;
    work->function(work->context, begin, begin + (left < work->range ? left : work->range));
    return true;
}

static void take_ranges(struct pm_task *task)
{
    while (take_range((struct shared_work *)task)) {
    }
}

int pm_team_run(struct pm_team *team, size_t count, pm_team_function function, void *context)
{
    size_t threads = pm_team_thread_count(team);
    threads = threads < count ? threads : count;
    if (threads <= 1) {
        if (count > 0) {
            function(context, 0, count);
        }
        return 0;
    }
    const int error = pm_team_hire(team, threads - 1);
    if (error) {
        return error;
    }
    const size_t range = count / (threads * RANGES_PER_THREAD);
    struct shared_work work = {
        .task.enter = take_ranges,
        .function = function,
        .context = context,
        .count = count,
        .range = range > 0 ? range : 1,
    };
    size_t missing = threads - 1;
    do {
        /* Again and again: those who are busy elsewhere may be free by now. */
        missing -= missing > 0 ? pm_team_call(team, &work.task, missing, true) : 0;
    } while (take_range(&work));
    pm_team_dismiss(team, &work.task);
    return 0;
}
