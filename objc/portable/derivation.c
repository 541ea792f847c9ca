#include "derivation.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "twin.h"

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

struct msl_derivation {
    struct msl_derivation *next;
    uint64_t key;
    void *memory;
};

/* Deriving is rare and every waiter needs the result, so that one lock is enough. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static const void *find(const struct msl_derivation *derivation, uint64_t key)
{
    while (derivation && derivation->key != key) {
        derivation = derivation->next;
    }
    return derivation ? derivation->memory : NULL;
}

/* What is read again and again, as a whole, should need few entries of the processor's table of pages. */
static void *allocate(size_t size)
{
    const size_t unit = size < 2 * HUGE_PAGE ? CACHE_LINE : HUGE_PAGE;
    const size_t whole = (size + unit - 1) / unit * unit;
    void *memory = aligned_alloc(unit, whole);
#if defined(MADV_HUGEPAGE)
    if (memory && unit == HUGE_PAGE) {
        madvise(memory, whole, MADV_HUGEPAGE);
    }
#endif
    return memory ? memset(memory, 0, whole) : NULL;
}

static const void *add(struct msl_derivation **list, uint64_t key, size_t size,
                       void (*fill)(void *to, const void *context), const void *context)
{
    struct msl_derivation *made = malloc(sizeof *made);
    void *memory = made ? allocate(size) : NULL;
    if (!memory) {
        free(made);
        return NULL;
    }
    fill(memory, context);
    *made = (struct msl_derivation){*list, key, memory};
    *list = made;
    return memory;
}

const void *msl_derived(const struct msl_buffer *buffer, uint64_t key, size_t size,
                        void (*fill)(void *to, const void *context), const void *context)
{
    if (!buffer->derivations) {
        return NULL;
    }
    pthread_mutex_lock(&mutex);
    const void *memory = find(*buffer->derivations, key);
    if (!memory) {
        memory = add(buffer->derivations, key, size, fill, context);
    }
    pthread_mutex_unlock(&mutex);
    return memory;
}

void pm_free_derivations(struct msl_derivation *first)
{
    while (first) {
        struct msl_derivation *next = first->next;
        free(first->memory);
        free(first);
        first = next;
    }
}
