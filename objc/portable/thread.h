/* Starts the threads of this library, and borrows others. */
#ifndef PM_THREAD_H
#define PM_THREAD_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Runs `function(argument)` on a thread that takes no signals, so that they interrupt the threads that expect them,
 * and computes in the default floating-point mode, so that results do not depend on who made the thread.
 * Returns 0 or an errno value. */
int pm_thread_start(pthread_t *thread, void (*function)(void *), void *argument);

/* Runs `function(argument)` on the calling thread, which is not one of ours, in the floating-point mode of those that
 * are; what is kept for its next work is given back at once. */
void pm_thread_borrow(void (*function)(void *), void *argument);

/* Has the calling thread a stack as large as kernels may need? */
bool pm_thread_can_be_borrowed(void);

/* Has `release` called, once, when this thread rests: it gives back what the thread keeps for its next work. */
void pm_thread_when_resting(void (*release)(void));

/* Called by pm_thread_wait() and pm_thread_sleep(), and at the end of a thread that pm_thread_start() started. */
void pm_thread_rest(void);

/* pthread_cond_wait(), in which a thread that waits for a second rests. May return before it is woken up. */
void pm_thread_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

/* pm_sleep_while_equal(), in which a thread that sleeps for a second rests. May return early. */
void pm_thread_sleep(const uint32_t *word, uint32_t value);

#endif
