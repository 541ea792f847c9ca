/* The functions of the Objective-C runtime that Foundation is made of. */
#ifndef PORTABLE_OBJC_RUNTIME_H
#define PORTABLE_OBJC_RUNTIME_H
#include <objc/objc.h>

#ifdef __cplusplus
extern "C" {
#endif
Class object_getClass(id object);
Class object_setClass(id object, Class cls);
const char *class_getName(Class cls);
Class class_getSuperclass(Class cls);
size_t class_getInstanceSize(Class cls);
BOOL class_respondsToSelector(Class cls, SEL selector);
BOOL class_isMetaClass(Class cls);
const char *sel_getName(SEL selector);
#ifdef __cplusplus
}
#endif
#endif
