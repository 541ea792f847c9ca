/* The value classes of Foundation: strings, arrays, errors. */
#import <Foundation/Foundation.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#import "error.h"
#import "violation.h"

/* ---- NSString ---- */

@implementation NSString
+ (id)stringWithUTF8String:(const char *)bytes
{
    return [[[self alloc] initWithUTF8String:bytes] autorelease];
}

- (id)initWithUTF8String:(const char *)bytes
{
    const size_t count = bytes ? strlen(bytes) : 0;
    char *copy = bytes && count < UINT_MAX ? malloc(count + 1) : NULL;
    if (!copy) {
        if (!bytes) {
            pm_report_violation("-[NSString initWithUTF8String:]: NULL; a string expected");
        }
        [self release];
        return nil;
    }
    memcpy(copy, bytes, count + 1);
    _bytes = copy;
    _byteCount = (unsigned int)count;
    return self;
}

- (void)dealloc
{
    free((char *)_bytes);
    [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone
{
    (void)zone;
    return [self retain];
}

- (const char *)UTF8String
{
    return _bytes ? _bytes : "";
}

/* Counts UTF-16 units: one for each character, and a second one for those that take four bytes of UTF-8. */
- (NSUInteger)length
{
    NSUInteger length = 0;
    for (unsigned int i = 0; i < _byteCount; ++i) {
        const unsigned char byte = (unsigned char)_bytes[i];
        length += (byte & 0xC0) != 0x80;
        length += byte >= 0xF0;
    }
    return length;
}

- (BOOL)isEqualToString:(NSString *)string
{
    return string && strcmp([self UTF8String], [string UTF8String]) == 0;
}

- (BOOL)isEqual:(id)object
{
    return [object isKindOfClass:[NSString class]] && [self isEqualToString:object];
}

- (NSUInteger)hash
{
    NSUInteger hash = 5381;
    for (unsigned int i = 0; i < _byteCount; ++i) {
        hash = hash * 33 ^ (unsigned char)_bytes[i];
    }
    return hash;
}

- (NSString *)description
{
    return self;
}
@end

@implementation NSConstantString
- (id)retain
{
    return self;
}

- (void)release
{
}

- (id)autorelease
{
    return self;
}

- (NSUInteger)retainCount
{
    return NSUIntegerMax;
}
@end

/* ---- NSArray ---- */

@implementation NSArray
+ (id)arrayWithObjects:(const id *)objects count:(NSUInteger)count
{
    return [[[self alloc] initWithObjects:objects count:count] autorelease];
}

- (id)initWithObjects:(const id *)objects count:(NSUInteger)count
{
    _objects = calloc(count ? count : 1, sizeof *_objects);
    for (; _objects && _count < count && objects[_count]; ++_count) {
        _objects[_count] = [objects[_count] retain];
    }
    if (!_objects || _count < count) {
        if (_objects) {
            pm_report_violation("-[NSArray initWithObjects:count:]: object %lu of %lu is nil", _count, count);
        }
        [self release];
        return nil;
    }
    return self;
}

- (void)dealloc
{
    for (NSUInteger i = 0; i < _count; ++i) {
        [_objects[i] release];
    }
    free(_objects);
    [super dealloc];
}

- (NSUInteger)count
{
    return _count;
}

- (id)objectAtIndex:(NSUInteger)index
{
    if (index >= _count) {
        pm_report_violation("-[NSArray objectAtIndex:]: index %lu; the array has %lu objects", index, _count);
        return nil;
    }
    return _objects[index];
}
@end

/* ---- NSError ---- */

@implementation NSError
- (id)initWithDomain:(NSString *)domain code:(NSInteger)code text:(const char *)text
{
    _domain = [domain copy];
    _code = code;
    _localizedDescription = [[NSString alloc] initWithUTF8String:text];
    return self;
}

- (void)dealloc
{
    [_domain release];
    [_localizedDescription release];
    [super dealloc];
}

- (NSString *)domain
{
    return _domain;
}

- (NSInteger)code
{
    return _code;
}

- (NSString *)localizedDescription
{
    return _localizedDescription;
}

- (NSString *)description
{
    return _localizedDescription;
}
@end

NSError *pm_new_error(NSString *domain, NSUInteger code, const char *text)
{
    return [[NSError alloc] initWithDomain:domain code:(NSInteger)code text:text];
}

void pm_set_error(NSError **error, NSString *domain, NSUInteger code, const char *format, ...)
{
    if (!error) {
        return;
    }
    char text[PM_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    *error = [pm_new_error(domain, code, text) autorelease];
}
