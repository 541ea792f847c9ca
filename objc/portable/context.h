/* Execution contexts that a thread switches between by itself: registers and a stack. */
#ifndef PM_CONTEXT_H
#define PM_CONTEXT_H
#include <stddef.h>

/* To a sanitizer each context is a thread. What several of them use here, never two at once, it shall not watch. */
#define PM_UNINSTRUMENTED __attribute__((no_sanitize_address, no_sanitize_thread))

#if !defined(__x86_64__) && !defined(__aarch64__)
#define PM_CONTEXT_OF_SYSTEM 1
#endif

#if PM_CONTEXT_OF_SYSTEM
#include <ucontext.h>
struct pm_context {
    ucontext_t registers;
};
#else
struct pm_context {
    void *stack_pointer;        /* what else has to be kept lies on the stack */
};
#endif

/* A context that calls `entry`, which must not return, when it is first switched to. */
void pm_context_make(struct pm_context *context, void *stack, size_t size, void (*entry)(void));

/* Goes on in `to`, and returns when somebody switches back to `from`. The floating-point mode stays as it is. */
void pm_context_switch(struct pm_context *from, struct pm_context *to);

#endif
