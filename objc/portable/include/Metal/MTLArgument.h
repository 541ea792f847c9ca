#ifndef PORTABLE_METAL_MTLARGUMENT_H
#define PORTABLE_METAL_MTLARGUMENT_H
#import <Foundation/Foundation.h>

/* The types a function constant may have. */
typedef NS_ENUM(NSUInteger, MTLDataType) {
    MTLDataTypeNone = 0,
    MTLDataTypeFloat = 3,
    MTLDataTypeInt = 29,
    MTLDataTypeUInt = 33,
    MTLDataTypeBool = 53
};
#endif
