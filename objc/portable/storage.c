#define _GNU_SOURCE
#include "storage.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ALIGNMENT = 64,
    /* Shorter ones the C library recycles well enough. */
    SHORTEST_BLOCK = 32 << 10,
    /* From here on pages may be huge: fewer faults, and fewer misses in the processor's table of pages. */
    HUGE_PAGE = 2 << 20,
    /* A block may be so much longer than what it is taken for: an eighth. */
    SLACK = 8,
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { KEEPS_BLOCKS = 0 };
#else
enum { KEEPS_BLOCKS = 1 };
#endif

/* Pages of their own, mapped for one storage after the other. The list lies outside them: they are not touched. */
struct block {
    void *memory;
    size_t size;
};

struct pm_storage {
    pthread_mutex_t mutex;      /* guards what follows; only ever tried, as a child may have inherited it locked */
    struct block blocks[PM_STORAGE_KEPT_BLOCKS];        /* oldest first */
    size_t count, bytes;
};

static bool is_block(size_t length)
{
    return KEEPS_BLOCKS && length >= SHORTEST_BLOCK;
}

static size_t whole_pages(size_t length)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (length + page - 1) / page * page;
}

struct pm_storage *pm_storage_create(void)
{
    struct pm_storage *storage = calloc(1, sizeof *storage);
    if (storage) {
        pthread_mutex_init(&storage->mutex, NULL);
    }
    return storage;
}

static void drop(struct pm_storage *storage, size_t index)
{
    storage->bytes -= storage->blocks[index].size;
    --storage->count;
    memmove(&storage->blocks[index], &storage->blocks[index + 1],
            (storage->count - index) * sizeof storage->blocks[0]);
}

static void unmap_oldest(struct pm_storage *storage)
{
    const struct block oldest = storage->blocks[0];
    drop(storage, 0);
    munmap(oldest.memory, oldest.size);
}

void pm_storage_destroy(struct pm_storage *storage)
{
    while (storage->count > 0) {
        unmap_oldest(storage);
    }
    pthread_mutex_destroy(&storage->mutex);
    free(storage);
}

/* A mapping from a multiple of HUGE_PAGE on, so that huge pages fit. */
static void *map_aligned(size_t size)
{
    char *mapped = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return MAP_FAILED;
    }
    const size_t before = (HUGE_PAGE - (uintptr_t)mapped % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0) {
        munmap(mapped, before);
    }
    if (before < HUGE_PAGE) {
        munmap(mapped + before + size, HUGE_PAGE - before);
    }
    madvise(mapped + before, size, MADV_HUGEPAGE);
    return mapped + before;
}

static void *map(size_t size)
{
    return size >= HUGE_PAGE ? map_aligned(size)
                             : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* The newest kept block that fits; NULL memory if none does. Called with the mutex locked. */
static struct block find_kept(struct pm_storage *storage, size_t size)
{
    for (size_t i = storage->count; i-- > 0;) {
        const struct block block = storage->blocks[i];
        if (block.size >= size && block.size - size <= size / SLACK) {
            drop(storage, i);
            return block;
        }
    }
    return (struct block){NULL, 0};
}

/* New pages, for which all that is kept is given up if need be. */
static void *map_or_make_room(struct pm_storage *storage, size_t size)
{
    void *memory = map(size);
    if (memory == MAP_FAILED && pthread_mutex_trylock(&storage->mutex) == 0) {
        while (storage->count > 0) {
            unmap_oldest(storage);
        }
        pthread_mutex_unlock(&storage->mutex);
        memory = map(size);
    }
    return memory == MAP_FAILED ? NULL : memory;
}

static void *take_block(struct pm_storage *storage, size_t length, bool is_cleared)
{
    const size_t size = whole_pages(length);
    struct block block = {NULL, 0};
    if (pthread_mutex_trylock(&storage->mutex) == 0) {
        block = find_kept(storage, size);
        pthread_mutex_unlock(&storage->mutex);
    }
    if (!block.memory) {
        return map_or_make_room(storage, size);         /* zeros */
    }
    if (block.size > size) {
        munmap((char *)block.memory + size, block.size - size);
    }
    return is_cleared ? memset(block.memory, 0, length) : block.memory;
}

void *pm_storage_take(struct pm_storage *storage, size_t length, bool is_cleared)
{
    if (is_block(length)) {
        return take_block(storage, length, is_cleared);
    }
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, length) != 0) {
        return NULL;
    }
    return is_cleared ? memset(memory, 0, length) : memory;
}

void pm_storage_give(struct pm_storage *storage, void *memory, size_t length)
{
    if (!is_block(length)) {
        free(memory);
        return;
    }
    const struct block block = {memory, whole_pages(length)};
    if (block.size > PM_STORAGE_KEPT_BYTES || pthread_mutex_trylock(&storage->mutex) != 0) {
        munmap(block.memory, block.size);
        return;
    }
    while (storage->count == PM_STORAGE_KEPT_BLOCKS || storage->bytes > PM_STORAGE_KEPT_BYTES - block.size) {
        unmap_oldest(storage);
    }
    storage->blocks[storage->count++] = block;
    storage->bytes += block.size;
    pthread_mutex_unlock(&storage->mutex);
}
