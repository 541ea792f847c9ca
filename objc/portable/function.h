#ifndef PM_FUNCTION_H
#define PM_FUNCTION_H
#import "device.h"
#include "msl_program.h"

/* A kernel of the variant that was chosen when the function was made, with its constants filled in. */
@interface PMFunction : PMDeviceObject <MTLFunction> {
    const struct msl_program *_program;
    const struct msl_kernel *_kernel;
    unsigned char *_constants;
}
- (id)initWithDevice:(PMDevice *)device
             program:(const struct msl_program *)program
              kernel:(const struct msl_kernel *)kernel
      constantValues:(MTLFunctionConstantValues *)constantValues
               error:(NSError **)error;
- (const struct msl_kernel *)kernel;
- (const void *)constants;

/* NO for an argument whose [[function_constant]] is false. */
- (BOOL)hasArgument:(const struct msl_argument *)argument;
@end

#endif
