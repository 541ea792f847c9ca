#ifndef PORTABLE_METAL_MTLDEVICE_H
#define PORTABLE_METAL_MTLDEVICE_H
#import <Metal/MTLBuffer.h>
#import <Metal/MTLCommandQueue.h>
#import <Metal/MTLComputePipeline.h>
#import <Metal/MTLLibrary.h>
#import <Metal/MTLTexture.h>

struct PortableMetalBlock;

@protocol MTLDevice <NSObject>
@property (nonatomic, readonly) NSString *name;
@property (nonatomic, readonly) uint64_t registryID;
@property (nonatomic, readonly) BOOL hasUnifiedMemory;
@property (nonatomic, readonly) MTLSize maxThreadsPerThreadgroup;
@property (nonatomic, readonly) NSUInteger maxThreadgroupMemoryLength;
@property (nonatomic, readonly) NSUInteger maxBufferLength;
@property (nonatomic, readonly) NSUInteger currentAllocatedSize;
- (id<MTLCommandQueue>)newCommandQueue;
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options;
- (id<MTLBuffer>)newBufferWithBytes:(const void *)pointer
                             length:(NSUInteger)length
                            options:(MTLResourceOptions)options;
/* Of memory that stays the caller's, aligned to 16 bytes at least (Apple's devices want whole pages). The deallocator,
 * a block of (void *pointer, NSUInteger length) that may be NULL, is called when the buffer goes; not if there is
 * none. */
- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void *)pointer
                                   length:(NSUInteger)length
                                  options:(MTLResourceOptions)options
                              deallocator:(struct PortableMetalBlock *)deallocator;
- (id<MTLTexture>)newTextureWithDescriptor:(MTLTextureDescriptor *)descriptor;
- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source
                               options:(MTLCompileOptions *)options
                                 error:(NSError **)error;
- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)computeFunction
                                                             error:(NSError **)error;
@end

/* The one device of this process, retained for the caller. A forked child gets a device of its own.
 * nil, and a message for PortableMetalTakeViolation(), if the environment forbids to make it. */
extern id<MTLDevice> MTLCreateSystemDefaultDevice(void);

/* All devices of this process, that is one; retained for the caller. */
extern NSArray *MTLCopyAllDevices(void);
#endif
