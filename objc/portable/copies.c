#include "copies.h"
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16 };

/* One behind the other: a sequence of matrices has hundreds of them. The address sanitizer sees what reaches beyond one
 * only where it has memory of its own. */
#if defined(__SANITIZE_ADDRESS__)
enum { BLOCK_SIZE = 0 };
#else
enum { BLOCK_SIZE = 4000 };
#endif

struct pm_copies {
    struct pm_copies *next;
    size_t used, size;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct pm_copies *add_block(struct pm_copies **list, size_t length)
{
    const size_t size = length < BLOCK_SIZE ? BLOCK_SIZE : length;
    struct pm_copies *block = malloc(sizeof *block + size);
    if (block) {
        block->next = *list;
        block->used = 0;
        block->size = size;
        *list = block;
    }
    return block;
}

void *pm_copies_add(struct pm_copies **list, const void *bytes, size_t length)
{
    struct pm_copies *block = *list;
    if (!block || block->size < block->used + length) {
        block = add_block(list, length);
    }
    if (!block) {
        return NULL;
    }
    void *to = block->bytes + block->used;
    block->used += (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return memcpy(to, bytes, length);
}

void pm_copies_free(struct pm_copies **list)
{
    while (*list) {
        struct pm_copies *next = (*list)->next;
        free(*list);
        *list = next;
    }
}
