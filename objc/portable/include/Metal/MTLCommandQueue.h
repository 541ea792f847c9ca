#ifndef PORTABLE_METAL_MTLCOMMANDQUEUE_H
#define PORTABLE_METAL_MTLCOMMANDQUEUE_H
#import <Metal/MTLCommandBuffer.h>

@protocol MTLCommandQueue <NSObject>
@property (nonatomic, copy) NSString *label;
@property (nonatomic, readonly) id<MTLDevice> device;
- (id<MTLCommandBuffer>)commandBuffer;
@end
#endif
