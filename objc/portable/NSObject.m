/* NSObject and NSAutoreleasePool: reference counts, and what compilers call for synthesised properties. */
#import <Foundation/Foundation.h>
#import <Metal/PortableMetal.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#import "violation.h"

/* Lies in front of every object, because compilers fix the layout of string constants: nothing fits between `isa` and
 * their bytes. The padding keeps objects as aligned as malloc's memory. */
struct object_header {
    NSUInteger references;
    NSUInteger padding;
};

static NSUInteger live_objects;

static struct object_header *header_of(id object)
{
    return (struct object_header *)(void *)object - 1;
}

NSUInteger PortableMetalLiveObjects(void)
{
    return __atomic_load_n(&live_objects, __ATOMIC_ACQUIRE);
}

/* The objects that wait for a pool of this thread to drain: one stack, in which a pool is a mark. */
static __thread struct {
    id *objects;
    size_t count, capacity;
    size_t depth;                       /* pools alive */
} pool_stack;

@implementation NSObject
+ (id)alloc
{
    const Class cls = (Class)self;
    struct object_header *header = calloc(1, sizeof *header + class_getInstanceSize(cls));
    if (!header) {
        return nil;
    }
    header->references = 1;
    id object = (id)(void *)(header + 1);
    object_setClass(object, cls);
    __atomic_fetch_add(&live_objects, 1, __ATOMIC_RELAXED);
    return object;
}

+ (id)new
{
    return [[self alloc] init];
}

+ (Class)class
{
    return (Class)self;
}

+ (Class)superclass
{
    return class_getSuperclass((Class)self);
}

- (id)init
{
    return self;
}

- (void)dealloc
{
    free(header_of(self));
    __atomic_fetch_sub(&live_objects, 1, __ATOMIC_RELEASE);
}

- (id)retain
{
    __atomic_fetch_add(&header_of(self)->references, 1, __ATOMIC_RELAXED);
    return self;
}

- (void)release
{
    if (__atomic_fetch_sub(&header_of(self)->references, 1, __ATOMIC_ACQ_REL) == 1) {
        [self dealloc];
    }
}

- (id)autorelease
{
    if (pool_stack.depth == 0) {
        return self;
    }
    if (pool_stack.count == pool_stack.capacity) {
        const size_t capacity = pool_stack.capacity ? 2 * pool_stack.capacity : 64;
        id *objects = realloc(pool_stack.objects, capacity * sizeof *objects);
        if (!objects) {
            return self;                /* leaked: the caller may still use it, so it cannot be released now */
        }
        pool_stack.objects = objects;
        pool_stack.capacity = capacity;
    }
    pool_stack.objects[pool_stack.count++] = self;
    return self;
}

- (NSUInteger)retainCount
{
    return __atomic_load_n(&header_of(self)->references, __ATOMIC_RELAXED);
}

- (id)copy
{
    return [(id<NSCopying>)self copyWithZone:NULL];
}

- (Class)class
{
    return object_getClass(self);
}

- (Class)superclass
{
    return class_getSuperclass(object_getClass(self));
}

- (BOOL)isKindOfClass:(Class)cls
{
    Class own = object_getClass(self);
    while (own && own != cls) {
        own = class_getSuperclass(own);
    }
    return own != Nil;
}

- (BOOL)respondsToSelector:(SEL)selector
{
    return class_respondsToSelector(object_getClass(self), selector);
}

- (void)doesNotRecognizeSelector:(SEL)selector
{
    const Class cls = object_getClass(self);
    pm_report_violation("%c[%s %s]: there is no such method", class_isMetaClass(cls) ? '+' : '-', class_getName(cls),
                        sel_getName(selector));
}

- (BOOL)isEqual:(id)object
{
    return self == object;
}

- (NSUInteger)hash
{
    return (uintptr_t)self / sizeof(struct object_header);
}

- (NSString *)description
{
    char text[PM_MESSAGE_SIZE];
    snprintf(text, sizeof text, "<%s: %p>", class_getName(object_getClass(self)), (void *)self);
    return [NSString stringWithUTF8String:text];
}
@end

@implementation NSAutoreleasePool
- (id)init
{
    _mark = pool_stack.count;
    _depth = pool_stack.depth++;
    return self;
}

/* Pools inside this one end with it. */
- (void)drain
{
    while (pool_stack.count > _mark) {
        [pool_stack.objects[--pool_stack.count] release];
    }
    if (pool_stack.depth > _depth) {
        pool_stack.depth = _depth;
    }
    if (pool_stack.depth == 0) {
        free(pool_stack.objects);
        pool_stack.objects = NULL;
        pool_stack.capacity = 0;
    }
    [self dealloc];
}

- (void)release
{
    [self drain];
}
@end

/* ---- What compilers call for @synthesize of an object ---- */

id objc_getProperty(id object, SEL selector, ptrdiff_t offset, BOOL isAtomic);
void objc_setProperty(id object, SEL selector, ptrdiff_t offset, id value, BOOL isAtomic, BOOL shouldCopy);

static pthread_mutex_t property_lock = PTHREAD_MUTEX_INITIALIZER;

id objc_getProperty(id object, SEL selector, ptrdiff_t offset, BOOL isAtomic)
{
    (void)selector;
    id *variable = (id *)(void *)((char *)(void *)object + offset);
    if (!isAtomic) {
        return *variable;
    }
    pthread_mutex_lock(&property_lock);
    id value = [*variable retain];
    pthread_mutex_unlock(&property_lock);
    return [value autorelease];
}

void objc_setProperty(id object, SEL selector, ptrdiff_t offset, id value, BOOL isAtomic, BOOL shouldCopy)
{
    (void)selector;
    id *variable = (id *)(void *)((char *)(void *)object + offset);
    id replacement = shouldCopy ? [value copy] : [value retain];
    if (isAtomic) {
        pthread_mutex_lock(&property_lock);
    }
    id previous = *variable;
    *variable = replacement;
    if (isAtomic) {
        pthread_mutex_unlock(&property_lock);
    }
    [previous release];
}
