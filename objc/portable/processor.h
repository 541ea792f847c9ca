/* On which processors a thread runs. Needs _GNU_SOURCE. */
#ifndef PM_PROCESSOR_H
#define PM_PROCESSOR_H
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

/* For a thread that is about to be woken up in order to help the calling one: the system would often let it wait for
 * the very processor that it is to relieve. So it wakes up on another; with what is stored in `usable` it can give
 * itself back the freedom of going where the calling thread may. False if there is no other processor. */
bool pm_processor_keep_away(pthread_t thread, cpu_set_t *usable);

#endif
