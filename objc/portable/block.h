/* Blocks, by the public block ABI. */
#ifndef PM_BLOCK_H
#define PM_BLOCK_H
#import <Metal/PortableMetal.h>

/* A block that outlives the caller's; NULL without memory. Every copy is released once. */
struct PortableMetalBlock *pm_block_copy(const struct PortableMetalBlock *block);
void pm_block_release(struct PortableMetalBlock *block);

#endif
