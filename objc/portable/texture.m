#import "texture.h"
#include <string.h>
#import "violation.h"

enum { MAX_SIZE = 16384, MAX_SLICES = 2048 };

/* 0 for a number that is no format of ours. */
static size_t texel_size(NSUInteger pixelFormat)
{
    switch (pixelFormat) {
    case MTLPixelFormatR8Unorm:
        return 1;
    case MTLPixelFormatR16Unorm:
    case MTLPixelFormatR16Float:
    case MTLPixelFormatRG8Unorm:
        return 2;
    case MTLPixelFormatR32Float:
    case MTLPixelFormatRG16Unorm:
    case MTLPixelFormatRG16Float:
    case MTLPixelFormatRGBA8Unorm:
        return 4;
    case MTLPixelFormatRG32Float:
    case MTLPixelFormatRGBA16Unorm:
    case MTLPixelFormatRGBA16Float:
        return 8;
    case MTLPixelFormatRGBA32Float:
        return 16;
    default:
        return 0;
    }
}

static size_t row_size(const struct msl_texture *texture)
{
    return texture->width * texel_size(texture->pixel_format);
}

static size_t slice_size(const struct msl_texture *texture)
{
    return texture->height * row_size(texture);
}

static char *texel_at(const struct msl_texture *texture, MTLOrigin origin, NSUInteger slice)
{
    return (char *)texture->texels + slice * slice_size(texture) + origin.y * row_size(texture)
           + origin.x * texel_size(texture->pixel_format);
}

@implementation MTLTextureDescriptor
@synthesize textureType = _textureType;
@synthesize pixelFormat = _pixelFormat;
@synthesize width = _width;
@synthesize height = _height;
@synthesize depth = _depth;
@synthesize mipmapLevelCount = _mipmapLevelCount;
@synthesize sampleCount = _sampleCount;
@synthesize arrayLength = _arrayLength;
@synthesize storageMode = _storageMode;
@synthesize usage = _usage;

- (id)init
{
    _textureType = MTLTextureType2D;
    _pixelFormat = MTLPixelFormatRGBA8Unorm;
    _width = _height = _depth = 1;
    _mipmapLevelCount = _sampleCount = _arrayLength = 1;
    _storageMode = MTLStorageModeShared;
    _usage = MTLTextureUsageShaderRead;
    return self;
}

- (id)copyWithZone:(NSZone *)zone
{
    (void)zone;
    MTLTextureDescriptor *copy = [[MTLTextureDescriptor alloc] init];
    copy.textureType = _textureType;
    copy.pixelFormat = _pixelFormat;
    copy.width = _width;
    copy.height = _height;
    copy.depth = _depth;
    copy.mipmapLevelCount = _mipmapLevelCount;
    copy.sampleCount = _sampleCount;
    copy.arrayLength = _arrayLength;
    copy.storageMode = _storageMode;
    copy.usage = _usage;
    return copy;
}
@end

static BOOL check_type(const char *call, MTLTextureType type, NSUInteger slices)
{
    if (type != MTLTextureType2D && type != MTLTextureType2DArray) {
        pm_report_violation("%s: texture type %lu; 2D or 2DArray expected", call, type);
        return NO;
    }
    if (type == MTLTextureType2D && slices != 1) {
        pm_report_violation("%s: a 2D texture of %lu slices; 1 expected", call, slices);
        return NO;
    }
    return YES;
}

static BOOL check_descriptor(MTLTextureDescriptor *d)
{
    static const char call[] = "newTextureWithDescriptor:";
    if (!d) {
        pm_report_violation("%s the descriptor is nil", call);
        return NO;
    }
    if (!texel_size(d.pixelFormat)) {
        pm_report_violation("%s pixel format %lu; R, RG or RGBA of Unorm8, Unorm16, Float16 or Float32 expected", call,
                            d.pixelFormat);
        return NO;
    }
    if (d.width - 1 >= MAX_SIZE || d.height - 1 >= MAX_SIZE || d.arrayLength - 1 >= MAX_SLICES) {
        pm_report_violation("%s %lu x %lu texels, %lu slices; 1 to %d texels each way and 1 to %d slices expected",
                            call, d.width, d.height, d.arrayLength, MAX_SIZE, MAX_SLICES);
        return NO;
    }
    if (d.depth != 1 || d.mipmapLevelCount != 1 || d.sampleCount != 1) {
        pm_report_violation("%s depth %lu, %lu mipmap levels, %lu samples; 1 of each expected", call, d.depth,
                            d.mipmapLevelCount, d.sampleCount);
        return NO;
    }
    if (d.storageMode > MTLStorageModePrivate) {
        pm_report_violation("%s storage mode %lu; shared, managed or private expected", call, d.storageMode);
        return NO;
    }
    return check_type(call, d.textureType, d.arrayLength);
}

@implementation PMTexture
- (id)initWithDevice:(PMDevice *)device descriptor:(MTLTextureDescriptor *)descriptor
{
    self = [super initWithDevice:device];
    if (!self || !check_descriptor(descriptor)) {
        [self release];
        return nil;
    }
    /* At most 2^14 x 2^14 x 2^11 texels of 2^4 bytes: no overflow. */
    const NSUInteger size = descriptor.width * descriptor.height * descriptor.arrayLength
                            * texel_size(descriptor.pixelFormat);
    /* Metal does not say what is in a new texture. What the CPU can read shall still be the same in every run. */
    _contents.texels = [device allocateStorage:size isCleared:descriptor.storageMode != MTLStorageModePrivate];
    if (!_contents.texels) {
        pm_report_violation("newTextureWithDescriptor: no memory for %lu bytes", size);
        [self release];
        return nil;
    }
    _allocatedSize = size;
    _contents.width = (uint32_t)descriptor.width;
    _contents.height = (uint32_t)descriptor.height;
    _contents.slices = (uint32_t)descriptor.arrayLength;
    _contents.pixel_format = (uint32_t)descriptor.pixelFormat;
    _textureType = descriptor.textureType;
    _storageMode = descriptor.storageMode;
    _usage = descriptor.usage;
    return self;
}

- (id)initWithParent:(PMTexture *)parent type:(MTLTextureType)type slices:(NSRange)slices
{
    self = [super initWithDevice:parent->_device];
    if (!self) {
        return nil;
    }
    _parent = [parent retain];
    _parentSlice = slices.location;
    _textureType = type;
    _storageMode = parent->_storageMode;
    _usage = parent->_usage;
    _contents = parent->_contents;
    _contents.slices = (uint32_t)slices.length;
    _contents.texels = texel_at(&_contents, MTLOriginMake(0, 0, 0), slices.location);
    return self;
}

- (void)dealloc
{
    if (_contents.texels && !_parent) {
        [_device freeStorage:_contents.texels length:_allocatedSize];
    }
    [_parent release];
    [super dealloc];
}

- (const struct msl_texture *)contents
{
    return &_contents;
}

- (id<MTLTexture>)parentTexture
{
    return _parent;
}

- (NSUInteger)parentRelativeLevel
{
    return 0;
}

- (NSUInteger)parentRelativeSlice
{
    return _parentSlice;
}

- (MTLTextureType)textureType
{
    return _textureType;
}

- (MTLPixelFormat)pixelFormat
{
    return _contents.pixel_format;
}

- (NSUInteger)width
{
    return _contents.width;
}

- (NSUInteger)height
{
    return _contents.height;
}

- (NSUInteger)depth
{
    return 1;
}

- (NSUInteger)mipmapLevelCount
{
    return 1;
}

- (NSUInteger)sampleCount
{
    return 1;
}

- (NSUInteger)arrayLength
{
    return _contents.slices;
}

- (MTLTextureUsage)usage
{
    return _usage;
}

- (MTLStorageMode)storageMode
{
    return _storageMode;
}

- (NSUInteger)allocatedSize
{
    return _parent ? [_parent allocatedSize] : _allocatedSize;
}

/* May the CPU copy `region` from or to memory laid out like that? */
- (BOOL)checkCopy:(const char *)call
           region:(MTLRegion)region
            level:(NSUInteger)level
            slice:(NSUInteger)slice
            bytes:(const void *)bytes
      bytesPerRow:(NSUInteger)bytesPerRow
    bytesPerImage:(NSUInteger)bytesPerImage
{
    const MTLOrigin origin = region.origin;
    const MTLSize size = region.size;
    const size_t texel = texel_size(_contents.pixel_format);
    if (_storageMode == MTLStorageModePrivate) {
        pm_report_violation("%s: the texture is private; the CPU has no access", call);
    } else if (!bytes) {
        pm_report_violation("%s: the bytes are NULL", call);
    } else if (level != 0 || slice >= _contents.slices) {
        pm_report_violation("%s: level %lu, slice %lu; the texture has 1 level and %u slices", call, level, slice,
                            _contents.slices);
    } else if (origin.x > _contents.width || size.width > _contents.width - origin.x || origin.y > _contents.height
               || size.height > _contents.height - origin.y || origin.z != 0 || size.depth != 1) {
        pm_report_violation("%s: a region of %lu x %lu x %lu at (%lu, %lu, %lu); the texture has %u x %u x 1 texels",
                            call, size.width, size.height, size.depth, origin.x, origin.y, origin.z, _contents.width,
                            _contents.height);
    } else if (bytesPerRow < size.width * texel || bytesPerRow % texel != 0) {
        pm_report_violation("%s: %lu bytes per row; a multiple of %zu, at least %zu, expected", call, bytesPerRow,
                            texel, size.width * texel);
    } else if (bytesPerImage != 0 && bytesPerImage / bytesPerRow < size.height) {
        pm_report_violation("%s: %lu bytes per image; 0 or at least %lu rows of %lu bytes expected", call,
                            bytesPerImage, size.height, bytesPerRow);
    } else {
        return YES;
    }
    return NO;
}

- (void)getBytes:(void *)pixelBytes
     bytesPerRow:(NSUInteger)bytesPerRow
   bytesPerImage:(NSUInteger)bytesPerImage
      fromRegion:(MTLRegion)region
     mipmapLevel:(NSUInteger)level
           slice:(NSUInteger)slice
{
    if (![self checkCopy:"getBytes" region:region level:level slice:slice bytes:pixelBytes bytesPerRow:bytesPerRow
           bytesPerImage:bytesPerImage]) {
        return;
    }
    const size_t pitch = row_size(&_contents), bytes = region.size.width * texel_size(_contents.pixel_format);
    const char *texels = texel_at(&_contents, region.origin, slice);
    for (NSUInteger y = 0; y < region.size.height; ++y) {
        memcpy((char *)pixelBytes + y * bytesPerRow, texels + y * pitch, bytes);
    }
}

- (void)replaceRegion:(MTLRegion)region
          mipmapLevel:(NSUInteger)level
                slice:(NSUInteger)slice
            withBytes:(const void *)pixelBytes
          bytesPerRow:(NSUInteger)bytesPerRow
        bytesPerImage:(NSUInteger)bytesPerImage
{
    if (![self checkCopy:"replaceRegion" region:region level:level slice:slice bytes:pixelBytes bytesPerRow:bytesPerRow
           bytesPerImage:bytesPerImage]) {
        return;
    }
    const size_t pitch = row_size(&_contents), bytes = region.size.width * texel_size(_contents.pixel_format);
    char *texels = texel_at(&_contents, region.origin, slice);
    for (NSUInteger y = 0; y < region.size.height; ++y) {
        memcpy(texels + y * pitch, (const char *)pixelBytes + y * bytesPerRow, bytes);
    }
}

- (id<MTLTexture>)newTextureViewWithPixelFormat:(MTLPixelFormat)pixelFormat
                                    textureType:(MTLTextureType)textureType
                                         levels:(NSRange)levelRange
                                         slices:(NSRange)sliceRange
{
    static const char call[] = "newTextureView";
    if (pixelFormat != _contents.pixel_format) {
        pm_report_violation("%s: pixel format %lu; that of the texture, %u, expected", call, pixelFormat,
                            _contents.pixel_format);
        return nil;
    }
    if (levelRange.location != 0 || levelRange.length != 1) {
        pm_report_violation("%s: %lu levels from %lu; the texture has 1 level", call, levelRange.length,
                            levelRange.location);
        return nil;
    }
    if (sliceRange.length == 0 || sliceRange.location >= _contents.slices
        || sliceRange.length > _contents.slices - sliceRange.location) {
        pm_report_violation("%s: %lu slices from %lu; the texture has %u slices", call, sliceRange.length,
                            sliceRange.location, _contents.slices);
        return nil;
    }
    if (!check_type(call, textureType, sliceRange.length)) {
        return nil;
    }
    return [[PMTexture alloc] initWithParent:self type:textureType slices:sliceRange];
}
@end
