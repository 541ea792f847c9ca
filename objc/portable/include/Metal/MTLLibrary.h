#ifndef PORTABLE_METAL_MTLLIBRARY_H
#define PORTABLE_METAL_MTLLIBRARY_H
#import <Metal/MTLFunctionConstantValues.h>
#import <Metal/MTLResource.h>

extern NSString *const MTLLibraryErrorDomain;

typedef NS_ENUM(NSUInteger, MTLLibraryError) {
    MTLLibraryErrorUnsupported = 1,
    MTLLibraryErrorInternal = 2,
    MTLLibraryErrorCompileFailure = 3,
    MTLLibraryErrorCompileWarning = 4,
    MTLLibraryErrorFunctionNotFound = 5,
    MTLLibraryErrorFileNotFound = 6
};

typedef NS_ENUM(NSUInteger, MTLLanguageVersion) {
    MTLLanguageVersion2_0 = 2 << 16,
    MTLLanguageVersion2_1 = (2 << 16) + 1,
    MTLLanguageVersion2_2 = (2 << 16) + 2,
    MTLLanguageVersion2_3 = (2 << 16) + 3,
    MTLLanguageVersion2_4 = (2 << 16) + 4,
    MTLLanguageVersion3_0 = 3 << 16
};

/* Kernels are built with the package: the options are accepted and change nothing. */
@interface MTLCompileOptions : NSObject <NSCopying> {
    BOOL _fastMathEnabled;
    MTLLanguageVersion _languageVersion;
}
@property (nonatomic, assign) BOOL fastMathEnabled;
@property (nonatomic, assign) MTLLanguageVersion languageVersion;
@end

@protocol MTLFunction <NSObject>
@property (nonatomic, copy) NSString *label;
@property (nonatomic, readonly) id<MTLDevice> device;
@property (nonatomic, readonly) NSString *name;
@end

@protocol MTLLibrary <NSObject>
@property (nonatomic, copy) NSString *label;
@property (nonatomic, readonly) id<MTLDevice> device;
@property (nonatomic, readonly) NSArray *functionNames;
- (id<MTLFunction>)newFunctionWithName:(NSString *)functionName;
- (id<MTLFunction>)newFunctionWithName:(NSString *)name
                        constantValues:(MTLFunctionConstantValues *)constantValues
                                 error:(NSError **)error;
@end
#endif
