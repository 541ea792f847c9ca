#include "derivation.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "twin.h"

enum { CACHE_LINE = 64 };

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

static const void *add(struct msl_derivation **list, uint64_t key, size_t size,
                       void (*fill)(void *to, const void *context), const void *context)
{
    const size_t whole = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct msl_derivation *made = malloc(sizeof *made);
    void *memory = made ? aligned_alloc(CACHE_LINE, whole) : NULL;
    if (!memory) {
        free(made);
        return NULL;
    }
    memset(memory, 0, whole);
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
