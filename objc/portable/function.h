#ifndef PM_FUNCTION_H
#define PM_FUNCTION_H
#import "device.h"
#include "msl_program.h"
#include "twin.h"

/* A kernel of the variant that was chosen when the function was made, with its constants filled in. */
@interface PMFunction : PMDeviceObject <MTLFunction> {
    const struct msl_program *_program;
    const struct msl_kernel *_kernel;
    unsigned char *_constants;
    const struct msl_twin *_twin;
    uint32_t _words[MSL_CONSTANT_COUNT];
}
- (id)initWithDevice:(PMDevice *)device
             program:(const struct msl_program *)program
              kernel:(const struct msl_kernel *)kernel
      constantValues:(MTLFunctionConstantValues *)constantValues
               error:(NSError **)error;
- (const struct msl_kernel *)kernel;
- (const void *)constants;
/* NULL if the kernel has none for this processor. */
- (const struct msl_twin *)twin;
/* The constants by index, each as 32 bits. */
- (const uint32_t *)constantWords;

/* NO for an argument whose [[function_constant]] is false. */
- (BOOL)hasArgument:(const struct msl_argument *)argument;
@end

#endif
