#define _GNU_SOURCE
#include "fiber.h"
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "context.h"
#include "msl_program.h"
#include "thread.h"
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

/* Each guard page splits the process' memory map, of which the system allows some 65000 pieces. */
enum { MAX_GUARDED = 16384 };

/* So that the tops of the stacks, all alike, do not share one set of the processor's cache. */
enum { COLORS = 32, COLOR_SIZE = 128 };

struct fiber {
    struct pm_context context;
    char *stack;
    size_t stack_size;
    void *shadow;               /* what a sanitizer knows it by */
    unsigned int registration;  /* with valgrind */
};

/* What the threads do in a round, that is from one barrier to the next. */
enum step { STEP_WAITED, STEP_ENDED };

/* The fibers of one thread of the system. They run one after another, in the order of their index. */
struct crew {
    struct fiber host;          /* the thread itself */
    struct fiber *fibers;
    char *mapping;
    size_t capacity, guarded;

    /* The threadgroup that runs. */
    void (*run)(void *context, uint32_t index);
    void *context;
    size_t count, index;        /* of the fiber that runs */
    size_t round;
    enum step step;             /* what the first thread did in this round, and the others have to do */
    bool diverged;
    char barriers[2];           /* a race detector's names for the even and the odd rounds' */
};

static __thread struct crew *own;
static __thread struct crew *running;
static size_t guarded_stacks;   /* atomic */

/* ---- Sanitizers ---- */

#if defined(__SANITIZE_THREAD__)
#define RELEASE(address) __tsan_release(address)
#define ACQUIRE(address) __tsan_acquire(address)
#else
#define RELEASE(address) ((void)(address))
#define ACQUIRE(address) ((void)(address))
#endif

static void make_shadow(struct fiber *fiber)
{
#if defined(__SANITIZE_THREAD__)
    fiber->shadow = __tsan_create_fiber(0);
#endif
#if defined(VALGRIND_STACK_REGISTER)
    fiber->registration = VALGRIND_STACK_REGISTER(fiber->stack, fiber->stack + fiber->stack_size);
#endif
    (void)fiber;
}

PM_UNINSTRUMENTED static void destroy_shadow(struct fiber *fiber)
{
#if defined(__SANITIZE_THREAD__)
    /* There and back: what an abandoned fiber did comes before what follows. */
    void *self = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->shadow, 0);
    __tsan_switch_to_fiber(self, 0);
    __tsan_destroy_fiber(fiber->shadow);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(fiber->stack, fiber->stack_size);
#endif
#if defined(VALGRIND_STACK_REGISTER)
    VALGRIND_STACK_DEREGISTER(fiber->registration);
#endif
    (void)fiber;
}

/* `keeps` is NO if what `from` has on its stack will not be needed again. */
PM_UNINSTRUMENTED static void switch_fiber(struct fiber *from, struct fiber *to, bool keeps)
{
    (void)keeps;
#if defined(__SANITIZE_ADDRESS__)
    void *fake_stack = NULL;
    __sanitizer_start_switch_fiber(keeps ? &fake_stack : NULL, to->stack, to->stack_size);
#endif
#if defined(__SANITIZE_THREAD__)
    /* Without order between the two: the barriers alone make one. */
    __tsan_switch_to_fiber(to->shadow, __tsan_switch_to_fiber_no_sync);
#endif
    pm_context_switch(&from->context, &to->context);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#endif
}

/* ---- Threads of a threadgroup ---- */

PM_UNINSTRUMENTED static void leave_diverged(struct crew *crew)
{
    crew->diverged = true;
    switch_fiber(&crew->fibers[crew->index], &crew->host, false);
}

/* What the first thread does in a round, all do; else they have come apart. */
PM_UNINSTRUMENTED static void take_step(struct crew *crew, enum step step)
{
    if (crew->index == 0) {
        crew->step = step;
    } else if (crew->step != step) {
        leave_diverged(crew);
    }
}

PM_UNINSTRUMENTED void msl_threadgroup_barrier(void)
{
    struct crew *crew = running;
    if (!crew) {
        return;                 /* a threadgroup of one thread */
    }
    char *barrier = &crew->barriers[crew->round % 2];
    take_step(crew, STEP_WAITED);
    RELEASE(barrier);
    struct fiber *self = &crew->fibers[crew->index];
    if (++crew->index == crew->count) {
        crew->index = 0;
        ++crew->round;
    }
    switch_fiber(self, &crew->fibers[crew->index], true);
    ACQUIRE(barrier);
}

/* What a fiber does all its life. */
PM_UNINSTRUMENTED static void live(void)
{
    struct crew *crew = running;
#if defined(__SANITIZE_ADDRESS__)
    const void *stack;
    size_t size;
    __sanitizer_finish_switch_fiber(NULL, &stack, &size);
    if (crew->index == 0) {
        crew->host.stack = (char *)(uintptr_t)stack;
        crew->host.stack_size = size;
    }
#endif
    for (;;) {
        ACQUIRE(crew);
        crew->run(crew->context, (uint32_t)crew->index);
        RELEASE(crew);
        take_step(crew, STEP_ENDED);
        struct fiber *self = &crew->fibers[crew->index++];
        switch_fiber(self, crew->index < crew->count ? &crew->fibers[crew->index] : &crew->host, false);
    }
}

/* ---- The crew ---- */

static void dismiss(struct crew *crew)
{
    for (size_t i = 0; i < crew->capacity; ++i) {
        destroy_shadow(&crew->fibers[i]);
    }
    munmap(crew->mapping, crew->capacity * PM_FIBER_STACK_SIZE);
    __atomic_fetch_sub(&guarded_stacks, crew->guarded, __ATOMIC_RELAXED);
    free(crew->fibers);
    free(crew);
}

static void dismiss_own(void)
{
    if (own) {
        dismiss(own);
        own = NULL;
    }
}

static void make_fiber(struct crew *crew, size_t index, size_t page)
{
    struct fiber *fiber = &crew->fibers[index];
    char *slot = crew->mapping + index * PM_FIBER_STACK_SIZE;
    if (__atomic_fetch_add(&guarded_stacks, 1, __ATOMIC_RELAXED) < MAX_GUARDED
        && mprotect(slot, page, PROT_NONE) == 0) {
        ++crew->guarded;
    } else {
        __atomic_fetch_sub(&guarded_stacks, 1, __ATOMIC_RELAXED);
    }
    fiber->stack = slot + page;
    fiber->stack_size = PM_FIBER_STACK_SIZE - page - index % COLORS * COLOR_SIZE;
    pm_context_make(&fiber->context, fiber->stack, fiber->stack_size, live);
    make_shadow(fiber);
}

/* This thread's fibers, at least `count` of them; NULL without memory. */
static struct crew *muster(size_t count)
{
    if (own && own->capacity >= count) {
        return own;
    }
    dismiss_own();
    struct crew *crew = calloc(1, sizeof *crew);
    struct fiber *fibers = calloc(count, sizeof *fibers);
    void *mapping = mmap(NULL, count * PM_FIBER_STACK_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (!crew || !fibers || mapping == MAP_FAILED) {
        if (mapping != MAP_FAILED) {
            munmap(mapping, count * PM_FIBER_STACK_SIZE);
        }
        free(fibers);
        free(crew);
        return NULL;
    }
    crew->fibers = fibers;
    crew->mapping = mapping;
    crew->capacity = count;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < count; ++i) {
        make_fiber(crew, i, page);
    }
    own = crew;
    pm_thread_when_resting(dismiss_own);
    return crew;
}

PM_UNINSTRUMENTED enum pm_fiber_result pm_fiber_run(size_t count, void (*run)(void *context, uint32_t index),
                                                    void *context)
{
    if (count == 1) {
        run(context, 0);
        return PM_FIBER_DONE;
    }
    struct crew *crew = muster(count);
    if (!crew) {
        return PM_FIBER_NO_MEMORY;
    }
    crew->run = run;
    crew->context = context;
    crew->count = count;
    crew->index = 0;
    running = crew;
#if defined(__SANITIZE_THREAD__)
    crew->host.shadow = __tsan_get_current_fiber();
#endif
    RELEASE(crew);
    switch_fiber(&crew->host, &crew->fibers[0], true);
    ACQUIRE(crew);
    running = NULL;
    if (crew->diverged) {
        dismiss_own();          /* with the others amidst their work */
        return PM_FIBER_DIVERGED;
    }
    return PM_FIBER_DONE;
}
