/* Runs jobs one after another, in the order they come; what is behind a command queue. A thread of its own does so, or
 * whoever waits for a job that is next. */
#ifndef PM_SERIAL_H
#define PM_SERIAL_H
#include <stdbool.h>

struct pm_serial;

/* Embedded in what the job is about; `run` may free it. */
struct pm_job {
    struct pm_job *next;
    void (*run)(struct pm_job *job);
};

/* NULL without memory. Makes no thread yet. */
struct pm_serial *pm_serial_create(void);

/* No job may be waiting. Inside a job of the serial it takes effect when that job returns. */
void pm_serial_destroy(struct pm_serial *serial);

/* With `will_run`, the caller goes on to pm_serial_run(), and the thread is left alone if nothing is before the job.
 * Returns 0, or an errno value if the thread could not be made: then the job will not run. */
int pm_serial_submit(struct pm_serial *serial, struct pm_job *job, bool will_run);

/* Runs a submitted job on the calling thread, if it is the next one and none is running. False: it is not, because it
 * has run or the serial's thread will run it. */
bool pm_serial_run(struct pm_serial *serial, struct pm_job *job);

/* Is the caller inside a job of this serial? */
bool pm_serial_is_current(const struct pm_serial *serial);

#endif
