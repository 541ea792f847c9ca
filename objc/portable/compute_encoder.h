#ifndef PM_COMPUTE_ENCODER_H
#define PM_COMPUTE_ENCODER_H
#import "command_buffer.h"
#import "pipeline.h"
#import "texture.h"

@interface PMComputeCommandEncoder : PMDeviceObject <MTLComputeCommandEncoder> {
    PMCommandBuffer *_commandBuffer;
    BOOL _ended;
    BOOL _isConcurrent;
    BOOL _overlaps;                     /* what comes next, with what is before it */
    /* What is bound. The command buffer retains it. */
    PMComputePipelineState *_pipeline;
    PMTexture *_textures[MSL_TEXTURE_COUNT];
    struct msl_dispatch _dispatch;
}
- (id)initWithCommandBuffer:(PMCommandBuffer *)commandBuffer device:(PMDevice *)device
                     concurrent:(BOOL)isConcurrent;
@end

#endif
