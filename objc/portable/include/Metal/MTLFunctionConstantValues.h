#ifndef PORTABLE_METAL_MTLFUNCTIONCONSTANTVALUES_H
#define PORTABLE_METAL_MTLFUNCTIONCONSTANTVALUES_H
#import <Metal/MTLArgument.h>

@interface MTLFunctionConstantValues : NSObject <NSCopying> {
    struct pm_constant_value *_values;
    size_t _count;
}
- (void)setConstantValue:(const void *)value type:(MTLDataType)type atIndex:(NSUInteger)index;
- (void)reset;
@end
#endif
