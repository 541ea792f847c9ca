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

/* Kernels are built with the package: the options are accepted and change nothing. */
@interface MTLCompileOptions : NSObject <NSCopying> {
    BOOL _fastMathEnabled;
}
@property (nonatomic, assign) BOOL fastMathEnabled;
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
