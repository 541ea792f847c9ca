#ifndef PM_FUNCTION_CONSTANTS_H
#define PM_FUNCTION_CONSTANTS_H
#import <Metal/MTLFunctionConstantValues.h>

/* A constant as set: bool, float, int and uint all fit. */
struct pm_constant_value {
    NSUInteger index;
    MTLDataType type;
    unsigned char bytes[4];
};

/* "float", "int", ..; NULL for a type that a constant cannot have. */
const char *pm_data_type_name(NSUInteger type);
size_t pm_data_type_size(NSUInteger type);

@interface MTLFunctionConstantValues (Reading)
/* NULL if it was not set. */
- (const struct pm_constant_value *)valueAtIndex:(NSUInteger)index;
@end

#endif
