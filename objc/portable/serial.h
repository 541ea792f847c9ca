/* A thread that runs jobs one after another, in the order they come; what is behind a command queue. */
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

/* No job may be waiting. On the serial's own thread, inside a job, it takes effect when that job returns. */
void pm_serial_destroy(struct pm_serial *serial);

/* Returns 0, or an errno value if the thread could not be made: then the job will not run. */
int pm_serial_submit(struct pm_serial *serial, struct pm_job *job);

/* Is the caller a job of this serial? */
bool pm_serial_is_current(const struct pm_serial *serial);

#endif
