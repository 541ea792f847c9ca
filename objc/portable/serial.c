#include "serial.h"
#include <pthread.h>
#include <stdlib.h>
#include "thread.h"

struct pm_serial {
    pthread_mutex_t mutex;      /* guards what follows */
    pthread_cond_t changed;
    struct pm_job *first;
    struct pm_job **last;
    bool is_running;            /* a job, on whatever thread */
    bool has_thread;
    bool ending;
    pthread_t thread;
};

/* A job that the thread is inside of; the innermost first. */
struct run {
    struct run *outer;
    struct pm_serial *serial;
    struct pm_job *job;
    bool is_last;               /* it has destroyed the serial */
};

static __thread struct run *innermost;

static struct run *find_run(const struct pm_serial *serial)
{
    struct run *run = innermost;
    while (run && run->serial != serial) {
        run = run->outer;
    }
    return run;
}

static void free_serial(struct pm_serial *serial)
{
    pthread_cond_destroy(&serial->changed);
    pthread_mutex_destroy(&serial->mutex);
    free(serial);
}

static void end_thread(struct pm_serial *serial)
{
    pthread_mutex_lock(&serial->mutex);
    serial->ending = true;
    const bool has_thread = serial->has_thread;
    pthread_cond_signal(&serial->changed);
    pthread_mutex_unlock(&serial->mutex);
    if (has_thread) {
        pthread_join(serial->thread, NULL);
    }
}

/* With the mutex locked: takes the first job in order to run it. */
static struct pm_job *take_job(struct pm_serial *serial)
{
    struct pm_job *job = serial->first;
    serial->first = job->next;
    if (!serial->first) {
        serial->last = &serial->first;
    }
    serial->is_running = true;
    return job;
}

static void run_job(void *argument)
{
    struct run *run = argument;
    innermost = run;
    run->job->run(run->job);
    innermost = run->outer;
}

/* The next job, or NULL when the serial ends. */
static struct pm_job *wait_for_job(struct pm_serial *serial)
{
    pthread_mutex_lock(&serial->mutex);
    while (!serial->ending && (!serial->first || serial->is_running)) {
        pm_thread_wait(&serial->changed, &serial->mutex);
    }
    struct pm_job *job = serial->first ? take_job(serial) : NULL;
    pthread_mutex_unlock(&serial->mutex);
    return job;
}

static void end_job(struct pm_serial *serial)
{
    pthread_mutex_lock(&serial->mutex);
    serial->is_running = false;
    if (serial->first) {
        pthread_cond_signal(&serial->changed);
    }
    pthread_mutex_unlock(&serial->mutex);
}

static void run_jobs(void *argument)
{
    struct pm_serial *serial = argument;
    struct pm_job *job = wait_for_job(serial);
    while (job) {
        struct run run = {NULL, serial, job, false};
        run_job(&run);
        if (run.is_last) {
            /* Nobody joins this thread, and it cleans up itself. */
            pthread_detach(serial->thread);
            free_serial(serial);
            return;
        }
        end_job(serial);
        job = wait_for_job(serial);
    }
}

struct pm_serial *pm_serial_create(void)
{
    struct pm_serial *serial = calloc(1, sizeof *serial);
    if (serial) {
        pthread_mutex_init(&serial->mutex, NULL);
        pthread_cond_init(&serial->changed, NULL);
        serial->last = &serial->first;
    }
    return serial;
}

void pm_serial_destroy(struct pm_serial *serial)
{
    struct run *run = find_run(serial);
    if (run) {
        run->is_last = true;
        return;
    }
    end_thread(serial);
    free_serial(serial);
}

int pm_serial_submit(struct pm_serial *serial, struct pm_job *job, bool will_run)
{
    pthread_mutex_lock(&serial->mutex);
    const bool needs_thread = !will_run || serial->first || serial->is_running;
    int error = 0;
    if (needs_thread && !serial->has_thread) {
        error = pm_thread_start(&serial->thread, run_jobs, serial);
        serial->has_thread = !error;
    }
    if (!error) {
        job->next = NULL;
        *serial->last = job;
        serial->last = &job->next;
        if (needs_thread) {
            pthread_cond_signal(&serial->changed);
        }
    }
    pthread_mutex_unlock(&serial->mutex);
    return error;
}

bool pm_serial_run(struct pm_serial *serial, struct pm_job *job)
{
    pthread_mutex_lock(&serial->mutex);
    const bool is_next = serial->first == job && !serial->is_running;
    if (is_next) {
        take_job(serial);
    }
    pthread_mutex_unlock(&serial->mutex);
    if (!is_next) {
        return false;
    }
    struct run run = {innermost, serial, job, false};
    pm_thread_borrow(run_job, &run);
    if (run.is_last) {
        end_thread(serial);
        free_serial(serial);
    } else {
        end_job(serial);
    }
    return true;
}

bool pm_serial_is_current(const struct pm_serial *serial)
{
    return find_run(serial) != NULL;
}
