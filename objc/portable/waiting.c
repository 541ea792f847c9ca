#define _GNU_SOURCE
#include "waiting.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t pm_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

bool pm_spin_while_equal(const uint32_t *word, uint32_t value, uint64_t nanoseconds)
{
    /* Between two looks at the clock, which costs more than a look at the word. */
    enum { TURNS = 32 };
    uint64_t end = 0;
    do {
        for (int turn = 0; turn < TURNS; ++turn) {
            if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
                return true;
            }
            pm_pause();
        }
        end = end ? end : pm_now() + nanoseconds;
    } while (pm_now() < end);
    return false;
}

bool pm_sleep_while_equal(const uint32_t *word, uint32_t value, unsigned seconds)
{
    const struct timespec time = {seconds, 0};
    const long result = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, seconds ? &time : NULL, NULL, 0);
    return result == 0 || errno != ETIMEDOUT;
}

void pm_wake_one(const uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void pm_wake_all(const uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
