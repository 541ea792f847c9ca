/* What threads do while they wait: look again and again for a moment, then sleep until woken. */
#ifndef PM_WAITING_H
#define PM_WAITING_H
#include <stdbool.h>
#include <stdint.h>

/* How long it pays to look before sleeping: about what it costs to sleep and be woken up, or a little more. */
enum { PM_SPIN_NANOSECONDS = 50000 };

static inline void pm_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* A clock that never goes back, in nanoseconds. */
uint64_t pm_now(void);

/* Looks until *word differs from `value`: true, or `nanoseconds` have passed: false. */
bool pm_spin_while_equal(const uint32_t *word, uint32_t value, uint64_t nanoseconds);

/* Sleeps while *word equals `value`; may return early. With `seconds` other than 0: false when so many have passed. */
bool pm_sleep_while_equal(const uint32_t *word, uint32_t value, unsigned seconds);

/* Wakes one or all of those who sleep because of *word, which nobody needs to own any more. */
void pm_wake_one(const uint32_t *word);
void pm_wake_all(const uint32_t *word);

#endif
