#ifndef PORTABLE_METAL_MTLBUFFER_H
#define PORTABLE_METAL_MTLBUFFER_H
#import <Metal/MTLResource.h>

@protocol MTLBuffer <MTLResource>
@property (nonatomic, readonly) NSUInteger length;
/* NULL for a buffer of MTLStorageModePrivate. */
- (void *)contents;
@end
#endif
