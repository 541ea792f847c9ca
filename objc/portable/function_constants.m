#import "function_constants.h"
#include <stdlib.h>
#include <string.h>
#import "violation.h"

const char *pm_data_type_name(NSUInteger type)
{
    switch (type) {
    case MTLDataTypeFloat:
        return "float";
    case MTLDataTypeInt:
        return "int";
    case MTLDataTypeUInt:
        return "uint";
    case MTLDataTypeBool:
        return "bool";
    default:
        return NULL;
    }
}

size_t pm_data_type_size(NSUInteger type)
{
    return type == MTLDataTypeBool ? 1 : 4;
}

@implementation MTLFunctionConstantValues
- (void)dealloc
{
    free(_values);
    [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone
{
    (void)zone;
    MTLFunctionConstantValues *copy = [[MTLFunctionConstantValues alloc] init];
    for (size_t i = 0; i < _count; ++i) {
        [copy setConstantValue:_values[i].bytes type:_values[i].type atIndex:_values[i].index];
    }
    return copy;
}

- (struct pm_constant_value *)findIndex:(NSUInteger)index
{
    for (size_t i = 0; i < _count; ++i) {
        if (_values[i].index == index) {
            return &_values[i];
        }
    }
    return NULL;
}

- (const struct pm_constant_value *)valueAtIndex:(NSUInteger)index
{
    return [self findIndex:index];
}

- (struct pm_constant_value *)addIndex:(NSUInteger)index
{
    struct pm_constant_value *values = realloc(_values, (_count + 1) * sizeof *values);
    if (!values) {
        return NULL;
    }
    _values = values;
    values[_count].index = index;
    return &values[_count++];
}

- (void)setConstantValue:(const void *)value type:(MTLDataType)type atIndex:(NSUInteger)index
{
    if (!value || !pm_data_type_name(type)) {
        pm_report_violation("setConstantValue: %s (type %lu, index %lu); a bool, float, int or uint expected",
                            value ? "not a type of ours" : "the value is NULL", type, index);
        return;
    }
    struct pm_constant_value *entry = [self findIndex:index];
    entry = entry ? entry : [self addIndex:index];
    if (!entry) {
        pm_report_violation("setConstantValue:type:atIndex: no memory for the value of index %lu", index);
        return;
    }
    entry->type = type;
    memcpy(entry->bytes, value, pm_data_type_size(type));
}

- (void)reset
{
    _count = 0;
}
@end
