/* Feature-channel images: the texture behind an image, and the way of its elements from and to the caller's memory. */
#import "shim.h"
#import "platform.h"
#include <stdlib.h>
#include <string.h>

@implementation MCYImage
- (void)dealloc
{
    [array release];
    [texture release];
    [device release];
    [super dealloc];
}
@end

/* Components of a texel of a new image: 1 or 2 for images of so many channels, else 4. */
static uint32_t component_count(uint32_t channels)
{
    return channels <= 2 ? channels : 4;
}

static uint32_t element_size(uint32_t channel_format)
{
    static const uint32_t sizes[] = { 0, 1, 2, 2, 4 };
    return sizes[channel_format];
}

static mpsrnn_status check_descriptor(const mpsrnn_image_descriptor *d, mpsrnn_error *error)
{
    if (d->width < 1 || d->width > MCY_MAX_SIDE || d->height < 1 || d->height > MCY_MAX_SIDE) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "image of %u x %u pixels; 1 to %d expected on each side",
                        d->width, d->height, MCY_MAX_SIDE);
    }
    if (d->channels < 1 || d->images < 1 || (uint64_t)d->images * mcy_slices(d->channels) > MCY_MAX_SLICES) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT,
                        "%u images of %u channels; at least one of each and at most %d texture slices "
                        "(images * ceil(channels / 4)) expected", d->images, d->channels, MCY_MAX_SLICES);
    }
    if (d->channel_format < 1 || d->channel_format > 4) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "channel format %u; 1 to 4 expected", d->channel_format);
    }
    if (d->storage_mode != MTLStorageModeShared && d->storage_mode != MTLStorageModePrivate) {
        return mcy_fail(error, MPSRNN_STATUS_UNSUPPORTED, "storage mode %u; shared (0) or private (2) expected",
                        d->storage_mode);
    }
    return MPSRNN_STATUS_OK;
}

static id<MTLTexture> new_texture(MCYDevice *device, const mpsrnn_image_descriptor *d)
{
    const uint32_t slices = d->images * mcy_slices(d->channels);
    const mpsrnn_texture_descriptor descriptor = {
        .texture_type = slices > 1 ? MTLTextureType2DArray : MTLTextureType2D,
        .pixel_format = (uint32_t)mcy_pixel_format(component_count(d->channels), d->channel_format),
        .width = d->width,
        .height = d->height,
        .slices = slices,
        .usage = d->usage,
        .storage_mode = d->storage_mode,
    };
    return mcy_new_texture(device, &descriptor);
}

id<MTLTexture> mcy_new_array_view(id<MTLTexture> texture)
{
    if ([texture textureType] == MTLTextureType2DArray) {
        return [texture retain];
    }
    return [texture newTextureViewWithPixelFormat:[texture pixelFormat]
                                      textureType:MTLTextureType2DArray
                                           levels:NSMakeRange(0, 1)
                                           slices:NSMakeRange(0, 1)];
}

mpsrnn_status mcy_image_create(MCYDevice *device, const mpsrnn_image_descriptor *descriptor, MCYImage **out,
                               mpsrnn_error *error)
{
    mpsrnn_status status = check_descriptor(descriptor, error);
    if (status != MPSRNN_STATUS_OK) {
        return status;
    }
    MCYImage *image = [[MCYImage alloc] init];
    if (image) {
        image->device = [device retain];
        image->descriptor = *descriptor;
        image->components = component_count(descriptor->channels);
        image->texture = new_texture(device, descriptor);
        image->array = image->texture ? mcy_new_array_view(image->texture) : nil;
    }
    if (!image || !image->array) {
        const char *violation = mcy_take_violation();
        [image release];
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no %u images of %u x %u pixels, %u channels: %s",
                        descriptor->images, descriptor->width, descriptor->height, descriptor->channels,
                        violation ? violation : "out of memory");
    }
    *out = image;
    return MPSRNN_STATUS_OK;
}

mpsrnn_status mcy_image_handle_create(mpsrnn_device device, const mpsrnn_image_descriptor *descriptor,
                                      mpsrnn_image *out, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYImage *image = nil;
    mpsrnn_status status = mcy_image_create((MCYDevice *)device, descriptor, &image, error);
    if (status == MPSRNN_STATUS_OK) {
        *out = (mpsrnn_image)image;
    }
    [pool drain];
    return status;
}

void mcy_image_get_descriptor(mpsrnn_image image, mpsrnn_image_descriptor *descriptor)
{
    *descriptor = ((MCYImage *)image)->descriptor;
}

static BOOL exceeds(uint32_t first, uint32_t count, uint32_t limit)
{
    return count < 1 || count > limit || first > limit - count;
}

static mpsrnn_status check_region(const mpsrnn_image_descriptor *d, const mpsrnn_image_region *r, mpsrnn_error *error)
{
    if (d->storage_mode == MTLStorageModePrivate) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the CPU cannot reach an image of private storage");
    }
    if (exceeds(r->x, r->width, d->width) || exceeds(r->y, r->height, d->height)
        || exceeds(r->first_image, r->images, d->images) || exceeds(r->first_channel, r->channels, d->channels)
        || r->first_channel % 4 != 0) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT,
                        "region x %u+%u, y %u+%u, images %u+%u, channels %u+%u does not fit %u x %u pixels, %u images, "
                        "%u channels, or does not start at a multiple of 4 channels", r->x, r->width, r->y, r->height,
                        r->first_image, r->images, r->first_channel, r->channels, d->width, d->height, d->images,
                        d->channels);
    }
    return MPSRNN_STATUS_OK;
}

static inline __attribute__((always_inline)) void copy_runs_of(size_t size, char *to, size_t to_step, const char *from,
                                                               size_t from_step, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        memcpy(to + i * to_step, from + i * from_step, size);
    }
}

/* `count` runs of `size` bytes, each side with its own step. A size that the compiler knows is one move. */
static void copy_runs(char *to, size_t to_step, const char *from, size_t from_step, size_t count, size_t size)
{
    if (to_step == size && from_step == size) {
        memcpy(to, from, count * size);
        return;
    }
    switch (size) {
    case 1:
        copy_runs_of(1, to, to_step, from, from_step, count);
        break;
    case 2:
        copy_runs_of(2, to, to_step, from, from_step, count);
        break;
    case 4:
        copy_runs_of(4, to, to_step, from, from_step, count);
        break;
    case 8:
        copy_runs_of(8, to, to_step, from, from_step, count);
        break;
    case 16:
        copy_runs_of(16, to, to_step, from, from_step, count);
        break;
    default:
        copy_runs_of(size, to, to_step, from, from_step, count);
    }
}

/* Some rows of one slice, and the channels of the region that lie there. */
typedef struct {
    uint32_t image, slice, y, height;
    uint32_t channel, channels;                 /* counted from the first of the region */
} band;

/* Moves a band between staged texels and the caller's memory. */
static void move_band(char *texels, char *user, const MCYImage *whole, const mpsrnn_image_region *r, const band *b,
                      BOOL writes)
{
    const size_t element = element_size(whole->descriptor.channel_format);
    const size_t texel = element * whole->components;
    /* Channels of a pixel follow each other, or planes of one channel do: one run, or one for every channel. */
    const uint32_t runs = r->layout == 0 ? 1 : b->channels;
    const size_t run = element * (b->channels / runs);
    const size_t channel_step = r->layout == 0 ? element : r->bytes_per_row * r->height;
    for (uint32_t i = 0; i < runs; ++i) {
        char *rows = user + b->image * r->bytes_per_image + (b->channel + i) * channel_step + b->y * r->bytes_per_row;
        char *component = texels + i * element;
        for (uint32_t y = 0; y < b->height; ++y) {
            char *row = rows + y * r->bytes_per_row;
            char *texel_row = component + (size_t)y * r->width * texel;
            if (writes) {
                copy_runs(texel_row, texel, row, r->bytes_per_column, r->width, run);
            } else {
                copy_runs(row, r->bytes_per_column, texel_row, texel, r->width, run);
            }
        }
    }
}

static void move_staged(MCYImage *image, char *texels, char *user, const mpsrnn_image_region *r, const band *b,
                        BOOL writes)
{
    const mpsrnn_image_descriptor *d = &image->descriptor;
    const size_t row_bytes = (size_t)r->width * element_size(d->channel_format) * image->components;
    const size_t bytes = row_bytes * b->height;
    const NSUInteger index = (r->first_image + b->image) * mcy_slices(d->channels) + b->slice;
    const MTLRegion region = MTLRegionMake2D(r->x, r->y + b->y, r->width, b->height);
    /* A partly written slice keeps its other channels, padding is zero. */
    const BOOL is_partial = b->channels < 4 && r->first_channel + b->channel + b->channels < d->channels;
    if (!writes || is_partial) {
        [image->texture getBytes:texels bytesPerRow:row_bytes bytesPerImage:bytes fromRegion:region mipmapLevel:0
                           slice:index];
    } else if (b->channels < image->components) {
        memset(texels, 0, bytes);
    }
    move_band(texels, user, image, r, b, writes);
    if (writes) {
        [image->texture replaceRegion:region mipmapLevel:0 slice:index withBytes:texels bytesPerRow:row_bytes
                        bytesPerImage:bytes];
    }
}

/* Texels that are staged at once: they stay in the innermost cache, and the caller's rows in the next. */
enum { STAGED_BYTES = 16 << 10 };

/* Both directions, one pass over the caller's memory: band by band and slice by slice through a small staging area, so
 * that the layout of a texture stays Metal's business. */
static mpsrnn_status move_region(MCYImage *image, char *user, const mpsrnn_image_region *r, BOOL writes,
                                 mpsrnn_error *error)
{
    mpsrnn_status status = check_region(&image->descriptor, r, error);
    if (status != MPSRNN_STATUS_OK) {
        return status;
    }
    mcy_take_violation();                       /* whatever happened before on this thread is not this call's */
    const size_t row_bytes = (size_t)r->width * element_size(image->descriptor.channel_format) * image->components;
    const uint32_t fitting = row_bytes < STAGED_BYTES ? (uint32_t)(STAGED_BYTES / row_bytes) : 1;
    const uint32_t height = fitting < r->height ? fitting : r->height;
    char *texels = malloc(row_bytes * height);
    if (!texels) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory to stage %zu bytes", row_bytes * height);
    }
    for (uint32_t n = 0; n < r->images; ++n) {
        for (uint32_t y = 0; y < r->height; y += height) {
            for (uint32_t channel = 0; channel < r->channels; channel += 4) {
                const band b = {
                    .image = n,
                    .slice = (r->first_channel + channel) / 4,
                    .y = y,
                    .height = r->height - y < height ? r->height - y : height,
                    .channel = channel,
                    .channels = r->channels - channel < 4 ? r->channels - channel : 4,
                };
                move_staged(image, texels, user, r, &b, writes);
            }
        }
    }
    free(texels);
    const char *violation = mcy_take_violation();
    return violation ? mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s", violation) : MPSRNN_STATUS_OK;
}

mpsrnn_status mcy_image_write(mpsrnn_image image, const void *bytes, const mpsrnn_image_region *region,
                              mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mpsrnn_status status = move_region((MCYImage *)image, (char *)bytes, region, YES, error);
    [pool drain];
    return status;
}

mpsrnn_status mcy_image_read(mpsrnn_image image, void *bytes, const mpsrnn_image_region *region, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mpsrnn_status status = move_region((MCYImage *)image, bytes, region, NO, error);
    [pool drain];
    return status;
}
