#import "library.h"
#include <stdlib.h>
#include <string.h>
#import "error.h"
#import "function.h"
#import "variant.h"
#import "violation.h"

NSString *const MTLLibraryErrorDomain = @"MTLLibraryErrorDomain";

@implementation MTLCompileOptions
@synthesize fastMathEnabled = _fastMathEnabled;
@synthesize languageVersion = _languageVersion;

- (id)init
{
    _fastMathEnabled = YES;
    _languageVersion = MTLLanguageVersion3_0;
    return self;
}

- (id)copyWithZone:(NSZone *)zone
{
    (void)zone;
    MTLCompileOptions *copy = [[MTLCompileOptions alloc] init];
    copy.fastMathEnabled = _fastMathEnabled;
    copy.languageVersion = _languageVersion;
    return copy;
}
@end

static const struct msl_library *find_library(const char *source)
{
    for (const struct msl_library *const *library = msl_libraries; source && *library; ++library) {
        if (strcmp((*library)->source, source) == 0) {
            return *library;
        }
    }
    return NULL;
}

static const struct msl_kernel *find_kernel(const struct msl_program *program, const char *name)
{
    for (size_t i = 0; name && i < program->kernel_count; ++i) {
        if (strcmp(program->kernels[i].name, name) == 0) {
            return &program->kernels[i];
        }
    }
    return NULL;
}

@implementation PMLibrary
- (id)initWithDevice:(PMDevice *)device source:(NSString *)source error:(NSError **)error
{
    self = [super initWithDevice:device];
    _library = find_library([source UTF8String]);
    if (self && !_library) {
        pm_set_error(error, MTLLibraryErrorDomain, MTLLibraryErrorCompileFailure,
                     "this Metal source of %lu characters is none that was built with the package: the portable "
                     "device has no compiler and runs those only",
                     [source length]);
        [self release];
        return nil;
    }
    return self;
}

- (NSArray *)functionNames
{
    const struct msl_program *program = _library->baseline;
    id *names = calloc(program->kernel_count + 1, sizeof *names);
    if (!names) {
        return nil;
    }
    for (size_t i = 0; i < program->kernel_count; ++i) {
        names[i] = [NSString stringWithUTF8String:program->kernels[i].name];
    }
    NSArray *array = [NSArray arrayWithObjects:names count:program->kernel_count];
    free(names);
    return array;
}

- (id<MTLFunction>)newFunctionWithName:(NSString *)functionName
{
    NSError *error = nil;
    id<MTLFunction> function = [self newFunctionWithName:functionName constantValues:nil error:&error];
    if (!function) {
        pm_report_violation("newFunctionWithName: %s", [[error localizedDescription] UTF8String]);
    }
    return function;
}

- (id<MTLFunction>)newFunctionWithName:(NSString *)name
                        constantValues:(MTLFunctionConstantValues *)constantValues
                                 error:(NSError **)error
{
    char problem[PM_MESSAGE_SIZE];
    const struct msl_program *program = pm_variant_program(_library, problem, sizeof problem);
    if (!program) {
        pm_set_error(error, MTLLibraryErrorDomain, MTLLibraryErrorUnsupported, "%s", problem);
        return nil;
    }
    const struct msl_kernel *kernel = find_kernel(program, [name UTF8String]);
    if (!kernel) {
        pm_set_error(error, MTLLibraryErrorDomain, MTLLibraryErrorFunctionNotFound, "the library has no kernel '%s'",
                     name ? [name UTF8String] : "(nil)");
        return nil;
    }
    return [[PMFunction alloc] initWithDevice:_device program:program kernel:kernel constantValues:constantValues
                                        error:error];
}
@end
