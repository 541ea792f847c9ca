/* Textures, their views, and copies from and to the CPU. */
#import "cases.h"
#include <string.h>

static const struct {
    MTLPixelFormat format;
    NSUInteger size;
} formats[] = {
    {MTLPixelFormatR8Unorm, 1},      {MTLPixelFormatRG8Unorm, 2},    {MTLPixelFormatRGBA8Unorm, 4},
    {MTLPixelFormatR16Unorm, 2},     {MTLPixelFormatRG16Unorm, 4},   {MTLPixelFormatRGBA16Unorm, 8},
    {MTLPixelFormatR16Float, 2},     {MTLPixelFormatRG16Float, 4},   {MTLPixelFormatRGBA16Float, 8},
    {MTLPixelFormatR32Float, 4},     {MTLPixelFormatRG32Float, 8},   {MTLPixelFormatRGBA32Float, 16},
};

enum { FORMAT_COUNT = sizeof formats / sizeof formats[0] };

CASE(every_format_copies_in_and_out)
{
    enum { WIDTH = 5, HEIGHT = 3, SLICES = 2, PITCH = WIDTH * 16 + 16 };
    unsigned char in[HEIGHT * PITCH], out[HEIGHT * PITCH];
    for (size_t i = 0; i < sizeof in; ++i) {
        in[i] = (unsigned char)(i * 37 + 1);
    }
    const MTLRegion all = MTLRegionMake2D(0, 0, WIDTH, HEIGHT);
    for (int f = 0; f < FORMAT_COUNT; ++f) {
        id<MTLTexture> texture = make_texture(formats[f].format, WIDTH, HEIGHT, SLICES);
        CHECK_EQUAL(the_device().currentAllocatedSize, WIDTH * HEIGHT * SLICES * formats[f].size);
        CHECK_EQUAL(texture.allocatedSize, the_device().currentAllocatedSize);
        [texture replaceRegion:all mipmapLevel:0 slice:1 withBytes:in bytesPerRow:PITCH bytesPerImage:sizeof in];
        memset(out, 0, sizeof out);
        [texture getBytes:out bytesPerRow:PITCH bytesPerImage:0 fromRegion:all mipmapLevel:0 slice:1];
        for (int y = 0; y < HEIGHT; ++y) {
            CHECK(memcmp(out + y * PITCH, in + y * PITCH, WIDTH * formats[f].size) == 0);
            CHECK_EQUAL(out[y * PITCH + WIDTH * formats[f].size], 0);
        }
        [texture getBytes:out bytesPerRow:PITCH bytesPerImage:0 fromRegion:all mipmapLevel:0 slice:0];
        CHECK(out[0] == 0 && out[2 * PITCH] == 0);
        [texture release];
    }
}

CASE(textures_describe_themselves)
{
    id<MTLTexture> texture = make_texture(MTLPixelFormatRG16Float, 7, 4, 3);
    CHECK(texture.width == 7 && texture.height == 4 && texture.depth == 1 && texture.arrayLength == 3);
    CHECK(texture.mipmapLevelCount == 1 && texture.sampleCount == 1);
    CHECK_EQUAL(texture.pixelFormat, MTLPixelFormatRG16Float);
    CHECK_EQUAL(texture.textureType, MTLTextureType2DArray);
    CHECK_EQUAL(texture.usage, MTLTextureUsageShaderRead | MTLTextureUsageShaderWrite);
    CHECK_EQUAL(texture.storageMode, MTLStorageModeShared);
    CHECK(texture.device == the_device() && !texture.parentTexture);
    texture.label = @"image";
    CHECK_TEXT([texture.label UTF8String], "image");
    [texture release];
}

CASE(descriptors_begin_as_apples)
{
    MTLTextureDescriptor *descriptor = [[[MTLTextureDescriptor alloc] init] autorelease];
    CHECK(descriptor.textureType == MTLTextureType2D && descriptor.pixelFormat == MTLPixelFormatRGBA8Unorm);
    CHECK(descriptor.width == 1 && descriptor.height == 1 && descriptor.depth == 1 && descriptor.arrayLength == 1);
    CHECK(descriptor.mipmapLevelCount == 1 && descriptor.sampleCount == 1);
    CHECK(descriptor.usage == MTLTextureUsageShaderRead && descriptor.storageMode == MTLStorageModeShared);
    descriptor.width = 8;
    descriptor.usage = MTLTextureUsageShaderWrite;
    MTLTextureDescriptor *copy = [descriptor copy];
    descriptor.width = 9;
    CHECK(copy.width == 8 && copy.usage == MTLTextureUsageShaderWrite);
    [copy release];
}

CASE(regions_copy_a_part)
{
    id<MTLTexture> texture = make_texture(MTLPixelFormatR32Float, 4, 4, 1);
    const float in[] = {1, 2, 3, 4};
    float out[16];
    const MTLRegion part = MTLRegionMake2D(2, 1, 2, 2);
    [texture replaceRegion:part mipmapLevel:0 slice:0 withBytes:in bytesPerRow:8 bytesPerImage:16];
    [texture getBytes:out bytesPerRow:16 bytesPerImage:0 fromRegion:MTLRegionMake2D(0, 0, 4, 4) mipmapLevel:0 slice:0];
    for (int i = 0; i < 16; ++i) {
        CHECK_EQUAL(out[i], i == 6 ? 1 : i == 7 ? 2 : i == 10 ? 3 : i == 11 ? 4 : 0);
    }
    [texture getBytes:out bytesPerRow:4 bytesPerImage:0 fromRegion:MTLRegionMake2D(3, 2, 1, 1) mipmapLevel:0 slice:0];
    CHECK_EQUAL(out[0], 4);
    [texture release];
}

static void expect_copy_refused(id<MTLTexture> texture, MTLRegion region, NSUInteger level, NSUInteger slice,
                                void *bytes, NSUInteger pitch, NSUInteger image, const char *message)
{
    [texture getBytes:bytes bytesPerRow:pitch bytesPerImage:image fromRegion:region mipmapLevel:level slice:slice];
    CHECK_VIOLATION(message);
    [texture replaceRegion:region mipmapLevel:level slice:slice withBytes:bytes bytesPerRow:pitch bytesPerImage:image];
    CHECK_VIOLATION(message);
}

CASE(wrong_copies_are_refused)
{
    float bytes[16] = {0};
    id<MTLTexture> texture = make_texture(MTLPixelFormatR32Float, 4, 4, 2);
    const MTLRegion all = MTLRegionMake2D(0, 0, 4, 4);
    expect_copy_refused(texture, MTLRegionMake2D(1, 0, 4, 4), 0, 0, bytes, 16, 0, "a region of 4 x 4 x 1 at (1, 0, 0)");
    expect_copy_refused(texture, MTLRegionMake2D(0, 4, 1, 1), 0, 0, bytes, 16, 0, "the texture has 4 x 4 x 1 texels");
    expect_copy_refused(texture, MTLRegionMake2D(NSUIntegerMax, 0, 2, 1), 0, 0, bytes, 16, 0, "a region of 2 x 1");
    expect_copy_refused(texture, MTLRegionMake2D(0, 1, 1, NSUIntegerMax), 0, 0, bytes, 16, 0, "a region of 1 x ");
    const MTLRegion deep = {{0, 0, 1}, {1, 1, 1}};
    expect_copy_refused(texture, deep, 0, 0, bytes, 16, 0, "at (0, 0, 1)");
    expect_copy_refused(texture, all, 1, 0, bytes, 16, 0, "level 1, slice 0; the texture has 1 level and 2 slices");
    expect_copy_refused(texture, all, 0, 2, bytes, 16, 0, "level 0, slice 2");
    expect_copy_refused(texture, all, 0, 0, bytes, 12, 0, "12 bytes per row; a multiple of 4, at least 16, expected");
    expect_copy_refused(texture, all, 0, 0, bytes, 18, 0, "18 bytes per row");
    expect_copy_refused(texture, all, 0, 0, bytes, 16, 63, "63 bytes per image; 0 or at least 4 rows of 16 bytes");
    expect_copy_refused(texture, all, 0, 0, NULL, 16, 0, "the bytes are NULL");
    [texture release];

    MTLTextureDescriptor *descriptor = make_texture_descriptor(MTLPixelFormatR32Float, 4, 4, 1);
    descriptor.storageMode = MTLStorageModePrivate;
    texture = [the_device() newTextureWithDescriptor:descriptor];
    CHECK_EQUAL(texture.storageMode, MTLStorageModePrivate);
    expect_copy_refused(texture, all, 0, 0, bytes, 16, 0, "the texture is private; the CPU has no access");
    [texture release];
    [descriptor release];
}

static void expect_no_texture(MTLTextureDescriptor *descriptor, const char *message)
{
    CHECK(![the_device() newTextureWithDescriptor:descriptor]);
    CHECK_VIOLATION(message);
    [descriptor release];
}

#define EXPECT_NO_TEXTURE_WITH(property, value, message)                                                               \
    do {                                                                                                               \
        MTLTextureDescriptor *descriptor = make_texture_descriptor(MTLPixelFormatR8Unorm, 2, 2, 1);                    \
        descriptor.property = (value);                                                                                 \
        expect_no_texture(descriptor, message);                                                                        \
    } while (0)

CASE(impossible_textures_are_nil)
{
    expect_no_texture(nil, "the descriptor is nil");
    EXPECT_NO_TEXTURE_WITH(pixelFormat, MTLPixelFormatInvalid, "pixel format 0; R, RG or RGBA of");
    EXPECT_NO_TEXTURE_WITH(pixelFormat, 80, "pixel format 80");
    EXPECT_NO_TEXTURE_WITH(width, 0, "0 x 2 texels");
    EXPECT_NO_TEXTURE_WITH(height, 0, "2 x 0 texels");
    EXPECT_NO_TEXTURE_WITH(arrayLength, 0, "0 slices");
    EXPECT_NO_TEXTURE_WITH(width, 16385, "1 to 16384 texels each way and 1 to 2048 slices expected");
    EXPECT_NO_TEXTURE_WITH(height, NSUIntegerMax, "2 x 18446744073709551615 texels");
    EXPECT_NO_TEXTURE_WITH(arrayLength, 2049, "2049 slices");
    EXPECT_NO_TEXTURE_WITH(depth, 2, "depth 2, 1 mipmap levels, 1 samples; 1 of each expected");
    EXPECT_NO_TEXTURE_WITH(mipmapLevelCount, 2, "2 mipmap levels");
    EXPECT_NO_TEXTURE_WITH(sampleCount, 4, "4 samples");
    EXPECT_NO_TEXTURE_WITH(storageMode, MTLStorageModeMemoryless, "storage mode 3; shared, managed or private");
    EXPECT_NO_TEXTURE_WITH(textureType, 7, "texture type 7; 2D or 2DArray expected");
    MTLTextureDescriptor *flat = make_texture_descriptor(MTLPixelFormatR8Unorm, 2, 2, 3);
    flat.textureType = MTLTextureType2D;
    expect_no_texture(flat, "a 2D texture of 3 slices; 1 expected");
    /* 8 TiB. */
    expect_no_texture(make_texture_descriptor(MTLPixelFormatRGBA32Float, 16384, 16384, 2048), "no memory for");
    CHECK_EQUAL(the_device().currentAllocatedSize, 0);
    id<MTLTexture> widest = make_texture(MTLPixelFormatR8Unorm, 16384, 1, 2048);
    CHECK(widest != nil);
    [widest release];
}

CASE(views_share_storage)
{
    enum { SIZE = 2 };
    id<MTLTexture> texture = make_texture(MTLPixelFormatR8Unorm, SIZE, SIZE, 4);
    id<MTLTexture> pair = [texture newTextureViewWithPixelFormat:MTLPixelFormatR8Unorm
                                                     textureType:MTLTextureType2DArray
                                                          levels:NSMakeRange(0, 1)
                                                          slices:NSMakeRange(1, 2)];
    id<MTLTexture> plane = [pair newTextureViewWithPixelFormat:MTLPixelFormatR8Unorm
                                                   textureType:MTLTextureType2D
                                                        levels:NSMakeRange(0, 1)
                                                        slices:NSMakeRange(1, 1)];
    CHECK(pair.arrayLength == 2 && plane.arrayLength == 1);
    CHECK(pair.textureType == MTLTextureType2DArray && plane.textureType == MTLTextureType2D);
    CHECK(pair.parentTexture == texture && plane.parentTexture == pair);
    CHECK(pair.parentRelativeSlice == 1 && plane.parentRelativeSlice == 1 && plane.parentRelativeLevel == 0);
    CHECK_EQUAL(the_device().currentAllocatedSize, SIZE * SIZE * 4);
    CHECK_EQUAL(plane.allocatedSize, SIZE * SIZE * 4);
    CHECK_EQUAL(plane.usage, texture.usage);
    const unsigned char in[] = {1, 2, 3, 4};
    unsigned char out[4] = {0};
    const MTLRegion all = MTLRegionMake2D(0, 0, SIZE, SIZE);
    [plane replaceRegion:all mipmapLevel:0 slice:0 withBytes:in bytesPerRow:SIZE bytesPerImage:0];
    [texture getBytes:out bytesPerRow:SIZE bytesPerImage:0 fromRegion:all mipmapLevel:0 slice:2];
    CHECK(memcmp(in, out, sizeof in) == 0);
    [texture release];
    [pair release];
    CHECK_EQUAL(the_device().currentAllocatedSize, SIZE * SIZE * 4);
    [plane getBytes:out bytesPerRow:SIZE bytesPerImage:0 fromRegion:all mipmapLevel:0 slice:0];
    CHECK_EQUAL(out[3], 4);
    [plane release];
    CHECK_EQUAL(the_device().currentAllocatedSize, 0);
}

static void expect_no_view(id<MTLTexture> texture, MTLPixelFormat format, MTLTextureType type, NSRange levels,
                           NSRange slices, const char *message)
{
    CHECK(![texture newTextureViewWithPixelFormat:format textureType:type levels:levels slices:slices]);
    CHECK_VIOLATION(message);
}

CASE(impossible_views_are_nil)
{
    const MTLPixelFormat format = MTLPixelFormatRGBA16Float;
    id<MTLTexture> texture = make_texture(format, 2, 2, 4);
    const NSRange one = NSMakeRange(0, 1), all = NSMakeRange(0, 4);
    const MTLTextureType array = MTLTextureType2DArray;
    expect_no_view(texture, MTLPixelFormatRG32Float, array, one, all, "pixel format 105; that of the texture, 115");
    expect_no_view(texture, format, array, NSMakeRange(1, 1), all, "1 levels from 1; the texture has 1 level");
    expect_no_view(texture, format, array, NSMakeRange(0, 2), all, "2 levels from 0");
    expect_no_view(texture, format, array, one, NSMakeRange(4, 1), "1 slices from 4; the texture has 4 slices");
    expect_no_view(texture, format, array, one, NSMakeRange(0, 0), "0 slices from 0");
    expect_no_view(texture, format, array, one, NSMakeRange(3, NSUIntegerMax), "slices from 3");
    expect_no_view(texture, format, MTLTextureType2D, one, all, "a 2D texture of 4 slices; 1 expected");
    expect_no_view(texture, format, 4, one, all, "texture type 4");
    [texture release];
}
