#include "team.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include "thread.h"

/* Ranges a thread takes from a piece of work, if all are equally fast: more balance better, fewer cost less. */
enum { RANGES_PER_THREAD = 16 };

/* Turns of an empty loop before a thread goes to sleep: some 20 microseconds, longer than the gap between two
 * dispatches of a command buffer and about what it costs to wake up. */
enum { SPIN_TURNS = 1000 };

/* A piece of work; lies on the stack of the thread that waits for it. */
struct task {
    struct task *next;
    pm_team_function function;
    void *context;
    size_t count;
    size_t range;               /* items taken at once */
    size_t taken;               /* atomic; may exceed count */
    size_t helpers_wanted;      /* workers that may still join; guarded by the team's mutex */
    size_t helpers;             /* workers inside; atomic, changed under the mutex */
};

struct pm_team {
    size_t thread_count;        /* atomic */
    size_t announcements;       /* atomic; changes whenever a sleeping or spinning worker should look again */
    pthread_mutex_t mutex;      /* guards what follows */
    pthread_cond_t announced;
    pthread_cond_t helper_left;
    struct task *tasks;         /* under way, newest first */
    size_t sleeping;
    bool ending;
    size_t worker_count;
    pthread_t workers[PM_TEAM_MAX_THREADS - 1];
};

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* Waits a moment for *value to differ from `old`. */
static void spin_while_equal(const size_t *value, size_t old)
{
    for (int turn = 0; turn < SPIN_TURNS && __atomic_load_n(value, __ATOMIC_ACQUIRE) == old; ++turn) {
        pause_briefly();
    }
}

static void take_part(struct task *task)
{
    for (;;) {
        const size_t begin = __atomic_fetch_add(&task->taken, task->range, __ATOMIC_RELAXED);
        if (begin >= task->count) {
            return;
        }
        const size_t left = task->count - begin;
        task->function(task->context, begin, begin + (left < task->range ? left : task->range));
    }
}

static bool is_open(const struct task *task)
{
    return task->helpers_wanted > 0 && __atomic_load_n(&task->taken, __ATOMIC_RELAXED) < task->count;
}

static struct task *find_open_task(const struct pm_team *team)
{
    struct task *task = team->tasks;
    while (task && !is_open(task)) {
        task = task->next;
    }
    return task;
}

/* Called and returns with the mutex locked. */
static void help(struct pm_team *team, struct task *task)
{
    --task->helpers_wanted;
    __atomic_fetch_add(&task->helpers, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&team->mutex);
    take_part(task);
    pthread_mutex_lock(&team->mutex);
    /* After the last helper's decrement the task may vanish as soon as the mutex is free. */
    if (__atomic_sub_fetch(&task->helpers, 1, __ATOMIC_RELEASE) == 0) {
        pthread_cond_broadcast(&team->helper_left);
    }
}

/* Called and returns with the mutex locked. */
static void wait_for_announcement(struct pm_team *team)
{
    const size_t seen = __atomic_load_n(&team->announcements, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&team->mutex);
    spin_while_equal(&team->announcements, seen);
    pthread_mutex_lock(&team->mutex);
    while (__atomic_load_n(&team->announcements, __ATOMIC_RELAXED) == seen) {
        ++team->sleeping;
        pm_thread_wait(&team->announced, &team->mutex);
        --team->sleeping;
    }
}

static void work(void *argument)
{
    struct pm_team *team = argument;
    pthread_mutex_lock(&team->mutex);
    while (!team->ending) {
        struct task *task = find_open_task(team);
        if (task) {
            help(team, task);
        } else {
            wait_for_announcement(team);
        }
    }
    pthread_mutex_unlock(&team->mutex);
}

struct pm_team *pm_team_create(size_t thread_count)
{
    struct pm_team *team = calloc(1, sizeof *team);
    if (team) {
        pthread_mutex_init(&team->mutex, NULL);
        pthread_cond_init(&team->announced, NULL);
        pthread_cond_init(&team->helper_left, NULL);
        pm_team_set_thread_count(team, thread_count);
    }
    return team;
}

void pm_team_destroy(struct pm_team *team)
{
    pthread_mutex_lock(&team->mutex);
    team->ending = true;
    __atomic_fetch_add(&team->announcements, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&team->announced);
    pthread_mutex_unlock(&team->mutex);
    for (size_t i = 0; i < team->worker_count; ++i) {
        pthread_join(team->workers[i], NULL);
    }
    pthread_cond_destroy(&team->helper_left);
    pthread_cond_destroy(&team->announced);
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

static int make_workers(struct pm_team *team, size_t wanted)
{
    int error = 0;
    while (!error && team->worker_count < wanted) {
        error = pm_thread_start(&team->workers[team->worker_count], work, team);
        team->worker_count += !error;
    }
    return error;
}

static int announce(struct pm_team *team, struct task *task)
{
    pthread_mutex_lock(&team->mutex);
    const int error = make_workers(team, task->helpers_wanted);
    if (!error) {
        task->next = team->tasks;
        team->tasks = task;
        __atomic_fetch_add(&team->announcements, 1, __ATOMIC_RELEASE);
        for (size_t i = 0; i < task->helpers_wanted && i < team->sleeping; ++i) {
            pthread_cond_signal(&team->announced);
        }
    }
    pthread_mutex_unlock(&team->mutex);
    return error;
}

/* Returns when no worker uses the task any more, nor can find it. */
static void withdraw(struct pm_team *team, struct task *task)
{
    pthread_mutex_lock(&team->mutex);
    struct task **link = &team->tasks;
    while (*link != task) {
        link = &(*link)->next;
    }
    *link = task->next;
    size_t helpers = __atomic_load_n(&task->helpers, __ATOMIC_ACQUIRE);
    if (helpers > 0) {
        pthread_mutex_unlock(&team->mutex);
        for (int turn = 0; turn < SPIN_TURNS && __atomic_load_n(&task->helpers, __ATOMIC_ACQUIRE) > 0; ++turn) {
            pause_briefly();
        }
        pthread_mutex_lock(&team->mutex);
        while (__atomic_load_n(&task->helpers, __ATOMIC_ACQUIRE) > 0) {
            pthread_cond_wait(&team->helper_left, &team->mutex);
        }
    }
    pthread_mutex_unlock(&team->mutex);
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
    const size_t range = count / (threads * RANGES_PER_THREAD);
    struct task task = {
        .function = function,
        .context = context,
        .count = count,
        .range = range > 0 ? range : 1,
        .helpers_wanted = threads - 1,
    };
    const int error = announce(team, &task);
    if (error) {
        return error;
    }
    take_part(&task);
    withdraw(team, &task);
    return 0;
}
