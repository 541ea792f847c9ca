/* The part of Foundation that the shim and the Metal classes use, for systems without Apple's.
 *
 * Manual retain and release. Instance variables stand in the interfaces and nothing is synthesised unasked: that is
 * the Objective-C which GCC and every clang share. Nothing here raises: where Apple's classes throw an exception, ours
 * do nothing, return nil or zero, and leave a message for PortableMetalTakeViolation(). */
#ifndef PORTABLE_FOUNDATION_H
#define PORTABLE_FOUNDATION_H
#include <limits.h>
#include <objc/objc.h>
#include <objc/runtime.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef long NSInteger;
typedef unsigned long NSUInteger;
typedef double CFTimeInterval;
#define NSUIntegerMax ULONG_MAX
#define NSIntegerMax LONG_MAX

typedef struct _NSRange {
    NSUInteger location;
    NSUInteger length;
} NSRange;

static inline NSRange NSMakeRange(NSUInteger location, NSUInteger length)
{
    NSRange range = {location, length};
    return range;
}

#define NS_ENUM(type, name) type name; enum
#define NS_OPTIONS(type, name) type name; enum

@class NSString;
typedef struct _NSZone NSZone;

@protocol NSObject
- (BOOL)isEqual:(id)object;
- (NSUInteger)hash;
- (Class)class;
- (Class)superclass;
- (BOOL)isKindOfClass:(Class)cls;
- (BOOL)respondsToSelector:(SEL)selector;
- (id)retain;
- (void)release;
- (id)autorelease;
- (NSUInteger)retainCount;
- (NSString *)description;
@end

@protocol NSCopying
- (id)copyWithZone:(NSZone *)zone;
@end

__attribute__((objc_root_class))
@interface NSObject <NSObject> {
    Class isa;
}
+ (id)alloc;
+ (id)new;
+ (Class)class;
+ (Class)superclass;
- (id)init;
- (void)dealloc;
- (id)copy;
- (void)doesNotRecognizeSelector:(SEL)selector;
@end

/* An object autoreleased on a thread that has no pool is leaked, as on Apple's systems. */
@interface NSAutoreleasePool : NSObject {
    size_t _mark;
    size_t _depth;
}
- (void)drain;
@end

/* Immutable. The layout is the one compilers give to @"..." constants. */
@interface NSString : NSObject <NSCopying> {
    const char *_bytes;
    unsigned int _byteCount;
}
+ (id)stringWithUTF8String:(const char *)bytes;
- (id)initWithUTF8String:(const char *)bytes;
- (const char *)UTF8String;
- (NSUInteger)length;
- (BOOL)isEqualToString:(NSString *)string;
@end

/* The class of @"..." (-fconstant-string-class=NSConstantString); never deallocated. */
@interface NSConstantString : NSString
@end

@interface NSArray : NSObject {
    id *_objects;
    NSUInteger _count;
}
+ (id)arrayWithObjects:(const id *)objects count:(NSUInteger)count;
- (id)initWithObjects:(const id *)objects count:(NSUInteger)count;
- (NSUInteger)count;
- (id)objectAtIndex:(NSUInteger)index;
@end

@interface NSError : NSObject {
    NSString *_domain;
    NSInteger _code;
    NSString *_localizedDescription;
}
- (NSString *)domain;
- (NSInteger)code;
- (NSString *)localizedDescription;
@end
#endif
