/* The threads of a threadgroup that wait for each other at barriers: fibers, all of them on one thread of the system.
 *
 * A fiber has a stack of PM_FIBER_STACK_SIZE bytes of address space, a guard page included, of which memory is what was
 * touched. A thread keeps the fibers that it made until pm_thread_rest(). */
#ifndef PM_FIBER_H
#define PM_FIBER_H
#include <stddef.h>
#include <stdint.h>

/* clang has other names for the sanitizers than gcc. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

/* Sanitizers make frames larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { PM_FIBER_STACK_SIZE = 512 << 10 };
#else
enum { PM_FIBER_STACK_SIZE = 128 << 10 };
#endif

enum pm_fiber_result {
    PM_FIBER_DONE,
    PM_FIBER_NO_MEMORY,         /* nothing ran */
    PM_FIBER_DIVERGED           /* at a barrier some threads waited that others did not come to; all were abandoned */
};

/* Calls run(context, i) for i = 0 ... count - 1, each on a fiber of its own, if `count` is more than 1. In it
 * msl_threadgroup_barrier() returns once all have called it. */
enum pm_fiber_result pm_fiber_run(size_t count, void (*run)(void *context, uint32_t index), void *context);

#endif
