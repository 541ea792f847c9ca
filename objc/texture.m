/* Textures: the storage behind images, also for callers who bring their own. */
#import "shim.h"
#import "platform.h"

@implementation MCYTexture
- (void)dealloc
{
    [metal release];
    [device release];
    [super dealloc];
}
@end

enum { CHANNEL_FORMATS = 4 };

/* By component count (1, 2, 4) and channel format. */
static const MTLPixelFormat pixel_formats[3][CHANNEL_FORMATS] = {
    { MTLPixelFormatR8Unorm, MTLPixelFormatR16Unorm, MTLPixelFormatR16Float, MTLPixelFormatR32Float },
    { MTLPixelFormatRG8Unorm, MTLPixelFormatRG16Unorm, MTLPixelFormatRG16Float, MTLPixelFormatRG32Float },
    { MTLPixelFormatRGBA8Unorm, MTLPixelFormatRGBA16Unorm, MTLPixelFormatRGBA16Float, MTLPixelFormatRGBA32Float },
};

MTLPixelFormat mcy_pixel_format(uint32_t components, uint32_t channel_format)
{
    return pixel_formats[components / 2][channel_format - 1];
}

BOOL mcy_read_pixel_format(MTLPixelFormat format, uint32_t *components, uint32_t *channel_format)
{
    for (uint32_t i = 0; i < 3; ++i) {
        for (uint32_t j = 0; j < CHANNEL_FORMATS; ++j) {
            if (pixel_formats[i][j] == format) {
                *components = 1u << i;
                *channel_format = j + 1;
                return YES;
            }
        }
    }
    return NO;
}

id<MTLTexture> mcy_new_texture(MCYDevice *device, const mpsrnn_texture_descriptor *d)
{
    MTLTextureDescriptor *descriptor = [[MTLTextureDescriptor alloc] init];
    descriptor.textureType = (MTLTextureType)d->texture_type;
    descriptor.pixelFormat = (MTLPixelFormat)d->pixel_format;
    descriptor.width = d->width;
    descriptor.height = d->height;
    descriptor.arrayLength = d->slices;
    descriptor.usage = (MTLTextureUsage)d->usage;
    descriptor.storageMode = (MTLStorageMode)d->storage_mode;
    id<MTLTexture> texture = [device->metal newTextureWithDescriptor:descriptor];
    [descriptor release];
    return texture;
}

static mpsrnn_status check_descriptor(const mpsrnn_texture_descriptor *d, mpsrnn_error *error)
{
    uint32_t components, channel_format;
    if (!mcy_read_pixel_format(d->pixel_format, &components, &channel_format)) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "pixel format %u; R, RG or RGBA of unorm8, unorm16, float16 "
                        "or float32 expected", d->pixel_format);
    }
    if (d->width < 1 || d->width > MCY_MAX_SIDE || d->height < 1 || d->height > MCY_MAX_SIDE || d->slices < 1
        || d->slices > MCY_MAX_SLICES) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%u x %u texels, %u slices; 1 to %d expected on each side, "
                        "and 1 to %d slices", d->width, d->height, d->slices, MCY_MAX_SIDE, MCY_MAX_SLICES);
    }
    if (d->texture_type != MTLTextureType2DArray && (d->texture_type != MTLTextureType2D || d->slices != 1)) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "texture type %u of %u slices; 2D (2) of one or 2D array "
                        "(3) expected", d->texture_type, d->slices);
    }
    if (d->storage_mode != MTLStorageModeShared && d->storage_mode != MTLStorageModePrivate) {
        return mcy_fail(error, MPSRNN_STATUS_UNSUPPORTED, "storage mode %u; shared (0) or private (2) expected",
                        d->storage_mode);
    }
    return MPSRNN_STATUS_OK;
}

mpsrnn_status mcy_texture_create(mpsrnn_device handle, const mpsrnn_texture_descriptor *descriptor, mpsrnn_texture *out,
                                 mpsrnn_error *error)
{
    mpsrnn_status status = check_descriptor(descriptor, error);
    if (status != MPSRNN_STATUS_OK) {
        return status;
    }
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYDevice *device = (MCYDevice *)handle;
    mcy_take_violation();                       /* whatever happened before on this thread is not this call's */
    MCYTexture *texture = [[MCYTexture alloc] init];
    id<MTLTexture> metal = mcy_new_texture(device, descriptor);
    if (texture && metal) {
        texture->device = [device retain];
        texture->metal = metal;
        *out = (mpsrnn_texture)texture;
    } else {
        const char *violation = mcy_take_violation();
        [texture release];
        [metal release];
        status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no texture of %u x %u texels, %u slices: %s",
                          descriptor->width, descriptor->height, descriptor->slices,
                          violation ? violation : "out of memory");
    }
    [pool drain];
    return status;
}

void mcy_describe_texture(id<MTLTexture> texture, mpsrnn_texture_descriptor *descriptor)
{
    descriptor->texture_type = (uint32_t)[texture textureType];
    descriptor->pixel_format = (uint32_t)[texture pixelFormat];
    descriptor->width = (uint32_t)[texture width];
    descriptor->height = (uint32_t)[texture height];
    descriptor->slices = (uint32_t)[texture arrayLength];
    descriptor->usage = (uint32_t)[texture usage];
    descriptor->storage_mode = (uint32_t)[texture storageMode];
}

void mcy_texture_get_descriptor(mpsrnn_texture texture, mpsrnn_texture_descriptor *descriptor)
{
    mcy_describe_texture(((MCYTexture *)texture)->metal, descriptor);
}

void mcy_read_storage(id<MTLTexture> texture, mpsrnn_storage *storage)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    storage->slices = (uint32_t)[texture arrayLength];
    storage->first_slice = 0;
    while ([texture parentTexture]) {
        storage->first_slice += (uint32_t)[texture parentRelativeSlice];
        texture = [texture parentTexture];
    }
    storage->identity = (uint64_t)(uintptr_t)texture;
    storage->size = [texture allocatedSize];
    [pool drain];
}

void mcy_texture_get_storage(mpsrnn_texture texture, mpsrnn_storage *storage)
{
    mcy_read_storage(((MCYTexture *)texture)->metal, storage);
}
