#ifndef PORTABLE_METAL_MTLCOMPUTEPIPELINE_H
#define PORTABLE_METAL_MTLCOMPUTEPIPELINE_H
#import <Metal/MTLResource.h>

@protocol MTLComputePipelineState <NSObject>
@property (nonatomic, readonly) NSString *label;
@property (nonatomic, readonly) id<MTLDevice> device;
@property (nonatomic, readonly) NSUInteger maxTotalThreadsPerThreadgroup;
@property (nonatomic, readonly) NSUInteger threadExecutionWidth;
@property (nonatomic, readonly) NSUInteger staticThreadgroupMemoryLength;
@end
#endif
