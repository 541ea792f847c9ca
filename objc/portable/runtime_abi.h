/* What compilers emit for Objective-C by GCC's ABI, module version 8. */
#ifndef PM_RUNTIME_ABI_H
#define PM_RUNTIME_ABI_H
#include <objc/objc.h>

struct objc_selector {
    const void *name;           /* a string; once registered, its place in `selector_names` */
    const char *types;
};

struct method {
    const void *name;           /* as in objc_selector */
    const char *types;
    IMP function;
};

struct method_list {
    struct method_list *next;
    int count;
    struct method methods[];
};

/* info: bit 1 marks a metaclass; the compilers leave the higher bits to the runtime. */
enum { CLASS_IS_META = 0x2, CLASS_IS_RESOLVED = 0x8 };

struct objc_class {
    Class class_pointer;        /* the metaclass */
    Class superclass;           /* a string until the class is resolved */
    const char *name;
    long version;
    unsigned long info;
    long instance_size;
    const void *ivars;
    struct method_list *methods;
    struct dispatch_table *dispatch_table;
    Class subclasses, siblings;
    const void *protocols;
    const void *gc_object_type;
};

struct category {
    const char *name;
    const char *class_name;
    struct method_list *instance_methods;
    struct method_list *class_methods;
    const void *protocols;
};

struct constant_objects {
    const char *class_name;
    id objects[];               /* NULL at the end */
};

struct symbol_table {
    unsigned long selector_count;
    struct objc_selector *selectors;    /* name NULL at the end */
    unsigned short class_count;
    unsigned short category_count;
    void *definitions[];                /* classes, categories, then one list of constant_objects, which may be NULL */
};

struct module {
    unsigned long version;
    unsigned long size;
    const char *name;
    struct symbol_table *symbols;
};

enum { MODULE_VERSION = 8 };

struct objc_super {
    id receiver;
    Class super_class;
};

#endif
