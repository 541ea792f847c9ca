#include "serial.h"
#include <pthread.h>
#include <stdlib.h>
#include "thread.h"

struct pm_serial {
    pthread_mutex_t mutex;      /* guards what follows */
    pthread_cond_t changed;
    struct pm_job *first;
    struct pm_job **last;
    bool has_thread;
    bool ending;
    pthread_t thread;
};

static __thread struct pm_serial *current;

static void free_serial(struct pm_serial *serial)
{
    pthread_cond_destroy(&serial->changed);
    pthread_mutex_destroy(&serial->mutex);
    free(serial);
}

/* The next job, or NULL when the serial ends. */
static struct pm_job *wait_for_job(struct pm_serial *serial)
{
    pthread_mutex_lock(&serial->mutex);
    while (!serial->first && !serial->ending) {
        pm_thread_wait(&serial->changed, &serial->mutex);
    }
    struct pm_job *job = serial->first;
    if (job) {
        serial->first = job->next;
        if (!serial->first) {
            serial->last = &serial->first;
        }
    }
    pthread_mutex_unlock(&serial->mutex);
    return job;
}

static void run_jobs(void *argument)
{
    struct pm_serial *serial = argument;
    current = serial;
    struct pm_job *job = wait_for_job(serial);
    while (job) {
        job->run(job);
        /* The job may have destroyed the serial: then nobody joins this thread, and it cleans up itself. */
        if (!current) {
            free_serial(serial);
            return;
        }
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
    if (pm_serial_is_current(serial)) {
        pthread_detach(serial->thread);
        current = NULL;
        return;
    }
    pthread_mutex_lock(&serial->mutex);
    serial->ending = true;
    const bool has_thread = serial->has_thread;
    pthread_cond_signal(&serial->changed);
    pthread_mutex_unlock(&serial->mutex);
    if (has_thread) {
        pthread_join(serial->thread, NULL);
    }
    free_serial(serial);
}

int pm_serial_submit(struct pm_serial *serial, struct pm_job *job)
{
    pthread_mutex_lock(&serial->mutex);
    const int error = serial->has_thread ? 0 : pm_thread_start(&serial->thread, run_jobs, serial);
    if (!error) {
        serial->has_thread = true;
        job->next = NULL;
        *serial->last = job;
        serial->last = &job->next;
        pthread_cond_signal(&serial->changed);
    }
    pthread_mutex_unlock(&serial->mutex);
    return error;
}

bool pm_serial_is_current(const struct pm_serial *serial)
{
    return current == serial;
}
