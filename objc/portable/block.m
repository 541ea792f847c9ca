#import "block.h"
#include <stdlib.h>
#include <string.h>

struct PortableMetalBlock *pm_block_copy(const struct PortableMetalBlock *block)
{
    if (block->flags & PortableMetalBlockIsGlobal) {
        return (struct PortableMetalBlock *)block;
    }
    struct PortableMetalBlock *copy = malloc(block->descriptor->size);
    if (!copy) {
        return NULL;
    }
    memcpy(copy, block, block->descriptor->size);
    if (copy->flags & PortableMetalBlockHasCopyDispose) {
        copy->descriptor->copy(copy, block);
    }
    return copy;
}

void pm_block_release(struct PortableMetalBlock *block)
{
    if (block->flags & PortableMetalBlockIsGlobal) {
        return;
    }
    if (block->flags & PortableMetalBlockHasCopyDispose) {
        block->descriptor->dispose(block);
    }
    free(block);
}
