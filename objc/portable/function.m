#import "function.h"
#include <stdlib.h>
#include <string.h>
#import "error.h"
#import "function_constants.h"
#include "variant.h"

/* Writes the value of one constant of a program into `constants`. NO, and an error, if it was not set as declared. */
static BOOL fill_constant(unsigned char *constants, const struct msl_constant *constant,
                          const struct pm_constant_value *value, const char *kernel, NSError **error)
{
    if (!value) {
        pm_set_error(error, MTLLibraryErrorDomain, MTLLibraryErrorCompileFailure,
                     "kernel '%s': function constant '%s' (index %u, %s) has no value", kernel, constant->name,
                     constant->index, pm_data_type_name(constant->type));
        return NO;
    }
    if (value->type != constant->type) {
        pm_set_error(error, MTLLibraryErrorDomain, MTLLibraryErrorCompileFailure,
                     "kernel '%s': function constant '%s' (index %u) is a %s; its value was set as a %s", kernel,
                     constant->name, constant->index, pm_data_type_name(constant->type),
                     pm_data_type_name(value->type));
        return NO;
    }
    if (constant->type == MTLDataTypeBool) {
        constants[constant->offset] = value->bytes[0] != 0;
    } else {
        memcpy(constants + constant->offset, value->bytes, pm_data_type_size(constant->type));
    }
    return YES;
}

@implementation PMFunction
- (id)initWithDevice:(PMDevice *)device
             program:(const struct msl_program *)program
              kernel:(const struct msl_kernel *)kernel
      constantValues:(MTLFunctionConstantValues *)constantValues
               error:(NSError **)error
{
    self = [super initWithDevice:device];
    if (!self) {
        return nil;
    }
    _program = program;
    _kernel = kernel;
    _twin = pm_variant_twin(kernel->name);
    _constants = calloc(1, program->constants_size ? program->constants_size : 1);
    BOOL filled = _constants != NULL;
    if (!filled) {
        pm_set_error(error, MTLLibraryErrorDomain, MTLLibraryErrorInternal, "kernel '%s': no memory for its constants",
                     kernel->name);
    }
    for (size_t i = 0; filled && i < program->constant_count; ++i) {
        const struct msl_constant *constant = &program->constants[i];
        const struct pm_constant_value *value = [constantValues valueAtIndex:constant->index];
        filled = fill_constant(_constants, constant, value, kernel->name, error);
        if (filled && constant->index < MSL_CONSTANT_COUNT) {
            const BOOL isBool = constant->type == MTLDataTypeBool;
            memcpy(&_words[constant->index], _constants + constant->offset, isBool ? 1 : sizeof *_words);
        }
    }
    if (!filled) {
        [self release];
        return nil;
    }
    return self;
}

- (void)dealloc
{
    free(_constants);
    [super dealloc];
}

- (NSString *)name
{
    return [NSString stringWithUTF8String:_kernel->name];
}

- (const struct msl_kernel *)kernel
{
    return _kernel;
}

- (const void *)constants
{
    return _constants;
}

- (const struct msl_twin *)twin
{
    return _twin;
}

- (const uint32_t *)constantWords
{
    return _words;
}

- (BOOL)hasArgument:(const struct msl_argument *)argument
{
    for (size_t i = 0; i < _program->constant_count; ++i) {
        const struct msl_constant *constant = &_program->constants[i];
        if (constant->index == argument->constant) {
            return _constants[constant->offset] != 0;
        }
    }
    return YES;
}
@end
