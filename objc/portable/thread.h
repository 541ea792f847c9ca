/* Starts the threads of this library. */
#ifndef PM_THREAD_H
#define PM_THREAD_H
#include <pthread.h>

/* Runs `function(argument)` on a thread that takes no signals, so that they interrupt the threads that expect them,
 * and computes in the default floating-point mode, so that results do not depend on who made the thread.
 * Returns 0 or an errno value. */
int pm_thread_start(pthread_t *thread, void (*function)(void *), void *argument);

#endif
