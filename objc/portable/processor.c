#define _GNU_SOURCE
#include "processor.h"

bool pm_processor_keep_away(pthread_t thread, cpu_set_t *usable)
{
    const int here = sched_getcpu();
    /* Fails where the machine has more processors than a cpu_set_t has bits; then the system's choice has to do. */
    if (here < 0 || sched_getaffinity(0, sizeof *usable, usable) != 0) {
        return false;
    }
    cpu_set_t others = *usable;
    CPU_CLR(here, &others);
    return CPU_COUNT(&others) > 0 && pthread_setaffinity_np(thread, sizeof others, &others) == 0;
}
