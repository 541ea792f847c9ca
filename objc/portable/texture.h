#ifndef PM_TEXTURE_H
#define PM_TEXTURE_H
#import "device.h"
#include "msl_program.h"

@interface PMTexture : PMDeviceObject <MTLTexture> {
    PMTexture *_parent;                 /* of a view: owns the texels */
    NSUInteger _parentSlice;
    MTLTextureType _textureType;
    MTLStorageMode _storageMode;
    MTLTextureUsage _usage;
    NSUInteger _allocatedSize;
    struct msl_texture _contents;
}
- (id)initWithDevice:(PMDevice *)device descriptor:(MTLTextureDescriptor *)descriptor;

/* What kernels see. */
- (const struct msl_texture *)contents;
@end

#endif
