/* The types Objective-C itself needs, for GCC's runtime ABI. */
#ifndef PORTABLE_OBJC_H
#define PORTABLE_OBJC_H
#include <stddef.h>

typedef struct objc_class *Class;
typedef struct objc_object {
    Class class_pointer;
} *id;
typedef const struct objc_selector *SEL;
typedef id (*IMP)(id, SEL, ...);
typedef unsigned char BOOL;

#define YES ((BOOL)1)
#define NO ((BOOL)0)
#define nil ((id)0)
#define Nil ((Class)0)

#ifdef __OBJC__
@class Protocol;
#else
typedef struct objc_object Protocol;
#endif
#endif
