/* Images over textures that exist: those of the caller's, and those of other images, of which they are views. */
#import "shim.h"
#import "platform.h"

/* Checks that slices of a texture can be an image; fills in what that looks like. */
static mpsrnn_status describe(const MCYTexture *texture, uint32_t first_slice, uint32_t images, uint32_t channels,
                              mpsrnn_image_descriptor *out, uint32_t *components, mpsrnn_error *error)
{
    id<MTLTexture> metal = texture->metal;
    const uint64_t slices = (uint64_t)images * mcy_slices(channels);
    if (channels < 1 || images < 1 || channels > 4 * MCY_MAX_SLICES || first_slice + slices > [metal arrayLength]) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%u images of %u channels from slice %u; at least one of "
                        "each expected, within the %u slices of the texture", images, channels, first_slice,
                        (uint32_t)[metal arrayLength]);
    }
    if (!mcy_read_pixel_format([metal pixelFormat], components, &out->channel_format)) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "pixel format %u; R, RG or RGBA of unorm8, unorm16, float16 "
                        "or float32 expected", (uint32_t)[metal pixelFormat]);
    }
    if (*components < 4 && *components < channels) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%u channels in texels of %u components", channels,
                        *components);
    }
    out->width = (uint32_t)[metal width];
    out->height = (uint32_t)[metal height];
    out->channels = channels;
    out->images = images;
    out->usage = (uint32_t)[metal usage];
    out->storage_mode = (uint32_t)[metal storageMode];
    return MPSRNN_STATUS_OK;
}

/* The slices of a texture, with a reference for the caller: the texture itself where they are all. */
static id<MTLTexture> new_slices(id<MTLTexture> texture, uint32_t first, uint32_t count)
{
    if (first == 0 && count == [texture arrayLength]) {
        return [texture retain];
    }
    return [texture newTextureViewWithPixelFormat:[texture pixelFormat]
                                      textureType:count > 1 ? MTLTextureType2DArray : MTLTextureType2D
                                           levels:NSMakeRange(0, 1)
                                           slices:NSMakeRange(first, count)];
}

mpsrnn_status mcy_image_create_over(mpsrnn_texture handle, uint32_t first_slice, uint32_t images, uint32_t channels,
                                    mpsrnn_image *out, mpsrnn_error *error)
{
    MCYTexture *texture = (MCYTexture *)handle;
    mpsrnn_image_descriptor descriptor;
    uint32_t components;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mpsrnn_status status = describe(texture, first_slice, images, channels, &descriptor, &components, error);
    if (status == MPSRNN_STATUS_OK) {
        mcy_take_violation();                   /* whatever happened before on this thread is not this call's */
        MCYImage *image = [[MCYImage alloc] init];
        if (image) {
            image->device = [texture->device retain];
            image->descriptor = descriptor;
            image->components = components;
            image->texture = new_slices(texture->metal, first_slice, images * mcy_slices(channels));
            image->array = image->texture ? mcy_new_array_view(image->texture) : nil;
        }
        if (image && image->array) {
            *out = (mpsrnn_image)image;
        } else {
            const char *violation = mcy_take_violation();
            [image release];
            status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no view of %u slices: %s",
                              images * mcy_slices(channels), violation ? violation : "out of memory");
        }
    }
    [pool drain];
    return status;
}

void mcy_image_get_texture_descriptor(mpsrnn_image image, mpsrnn_texture_descriptor *descriptor)
{
    mcy_describe_texture(((MCYImage *)image)->texture, descriptor);
}

void mcy_image_get_storage(mpsrnn_image image, mpsrnn_storage *storage)
{
    mcy_read_storage(((MCYImage *)image)->texture, storage);
}

mpsrnn_status mcy_image_copy_texture(mpsrnn_image handle, mpsrnn_texture *out, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYImage *image = (MCYImage *)handle;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    MCYTexture *texture = [[MCYTexture alloc] init];
    if (texture) {
        texture->device = [image->device retain];
        texture->metal = [image->texture retain];
        *out = (mpsrnn_texture)texture;
    } else {
        status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a handle");
    }
    [pool drain];
    return status;
}
