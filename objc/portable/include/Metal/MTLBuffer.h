#ifndef PORTABLE_METAL_MTLBUFFER_H
#define PORTABLE_METAL_MTLBUFFER_H
#import <Metal/MTLResource.h>

@protocol MTLBuffer <MTLResource>
@property (nonatomic, readonly) NSUInteger length;
/* What a pointer in a kernel has to be to point at the first byte. */
@property (nonatomic, readonly) uint64_t gpuAddress;
/* NULL for a buffer of MTLStorageModePrivate. */
- (void *)contents;
@end
#endif
