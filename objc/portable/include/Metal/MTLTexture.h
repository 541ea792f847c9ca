#ifndef PORTABLE_METAL_MTLTEXTURE_H
#define PORTABLE_METAL_MTLTEXTURE_H
#import <Metal/MTLPixelFormat.h>
#import <Metal/MTLResource.h>
#import <Metal/MTLTypes.h>

typedef NS_ENUM(NSUInteger, MTLTextureType) {
    MTLTextureType2D = 2,
    MTLTextureType2DArray = 3
};

typedef NS_OPTIONS(NSUInteger, MTLTextureUsage) {
    MTLTextureUsageUnknown = 0x0000,
    MTLTextureUsageShaderRead = 0x0001,
    MTLTextureUsageShaderWrite = 0x0002,
    MTLTextureUsageRenderTarget = 0x0004,
    MTLTextureUsagePixelFormatView = 0x0010
};

@interface MTLTextureDescriptor : NSObject <NSCopying> {
    MTLTextureType _textureType;
    MTLPixelFormat _pixelFormat;
    NSUInteger _width;
    NSUInteger _height;
    NSUInteger _depth;
    NSUInteger _mipmapLevelCount;
    NSUInteger _sampleCount;
    NSUInteger _arrayLength;
    MTLStorageMode _storageMode;
    MTLTextureUsage _usage;
}
@property (nonatomic, assign) MTLTextureType textureType;
@property (nonatomic, assign) MTLPixelFormat pixelFormat;
@property (nonatomic, assign) NSUInteger width;
@property (nonatomic, assign) NSUInteger height;
@property (nonatomic, assign) NSUInteger depth;
@property (nonatomic, assign) NSUInteger mipmapLevelCount;
@property (nonatomic, assign) NSUInteger sampleCount;
@property (nonatomic, assign) NSUInteger arrayLength;
@property (nonatomic, assign) MTLStorageMode storageMode;
@property (nonatomic, assign) MTLTextureUsage usage;
@end

@protocol MTLTexture <MTLResource>
@property (nonatomic, readonly) id<MTLTexture> parentTexture;
@property (nonatomic, readonly) NSUInteger parentRelativeLevel;
@property (nonatomic, readonly) NSUInteger parentRelativeSlice;
@property (nonatomic, readonly) MTLTextureType textureType;
@property (nonatomic, readonly) MTLPixelFormat pixelFormat;
@property (nonatomic, readonly) NSUInteger width;
@property (nonatomic, readonly) NSUInteger height;
@property (nonatomic, readonly) NSUInteger depth;
@property (nonatomic, readonly) NSUInteger mipmapLevelCount;
@property (nonatomic, readonly) NSUInteger sampleCount;
@property (nonatomic, readonly) NSUInteger arrayLength;
@property (nonatomic, readonly) MTLTextureUsage usage;
- (void)getBytes:(void *)pixelBytes
     bytesPerRow:(NSUInteger)bytesPerRow
   bytesPerImage:(NSUInteger)bytesPerImage
      fromRegion:(MTLRegion)region
     mipmapLevel:(NSUInteger)level
           slice:(NSUInteger)slice;
- (void)replaceRegion:(MTLRegion)region
          mipmapLevel:(NSUInteger)level
                slice:(NSUInteger)slice
            withBytes:(const void *)pixelBytes
          bytesPerRow:(NSUInteger)bytesPerRow
        bytesPerImage:(NSUInteger)bytesPerImage;
- (id<MTLTexture>)newTextureViewWithPixelFormat:(MTLPixelFormat)pixelFormat
                                    textureType:(MTLTextureType)textureType
                                         levels:(NSRange)levelRange
                                         slices:(NSRange)sliceRange;
@end
#endif
