#ifndef PORTABLE_METAL_MTLCOMPUTECOMMANDENCODER_H
#define PORTABLE_METAL_MTLCOMPUTECOMMANDENCODER_H
#import <Metal/MTLBuffer.h>
#import <Metal/MTLComputePipeline.h>
#import <Metal/MTLTexture.h>
#import <Metal/MTLTypes.h>

typedef NS_OPTIONS(NSUInteger, MTLResourceUsage) {
    MTLResourceUsageRead = 1 << 0,
    MTLResourceUsageWrite = 1 << 1
};

typedef NS_OPTIONS(NSUInteger, MTLBarrierScope) {
    MTLBarrierScopeBuffers = 1 << 0,
    MTLBarrierScopeTextures = 1 << 1
};

@protocol MTLCommandEncoder <NSObject>
@property (nonatomic, readonly) id<MTLDevice> device;
@property (nonatomic, copy) NSString *label;
- (void)endEncoding;
@end

@protocol MTLComputeCommandEncoder <MTLCommandEncoder>
- (void)setComputePipelineState:(id<MTLComputePipelineState>)state;
- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index;
- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index;
/* `length` is a multiple of 16. */
- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index;
- (void)setTexture:(id<MTLTexture>)texture atIndex:(NSUInteger)index;
/* Lets the dispatches that follow reach `resource` through pointers that they find in buffers. */
- (void)useResource:(id<MTLResource>)resource usage:(MTLResourceUsage)usage;
- (void)dispatchThreadgroups:(MTLSize)threadgroupsPerGrid threadsPerThreadgroup:(MTLSize)threadsPerThreadgroup;
/* What is dispatched later sees what was written before. */
- (void)memoryBarrierWithScope:(MTLBarrierScope)scope;
@end
#endif
