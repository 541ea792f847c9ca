/* A small Objective-C runtime for GCC's ABI (module version 8): what `gcc` and `clang -fobjc-runtime=gcc` emit.
 *
 * It has classes, metaclasses, categories, `super` and constant strings; it has no exceptions, no forwarding, no
 * +load and no +initialize. Every module is linked into one binary, whose static constructors register them all before
 * the first message is sent: so registration takes no lock, and what it builds is read-only afterwards. The tables
 * have fixed sizes because what goes into them is known when that binary is linked; one too small shows at once. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <objc/runtime.h>
#include "runtime_abi.h"

enum {
    MAX_SELECTORS = 2048,
    SELECTOR_HASH_SIZE = 2 * MAX_SELECTORS,
    CLASS_HASH_SIZE = 512,
    MAX_UNRESOLVED = 128,
};

/* The entry points the compilers call. */
void __objc_exec_class(struct module *module);
IMP objc_msg_lookup(id receiver, SEL selector);
IMP objc_msg_lookup_super(struct objc_super *super, SEL selector);
Class objc_lookup_class(const char *name);
Class objc_get_class(const char *name);

/* Modules with protocols refer to the class that their protocol objects have elsewhere. Here nothing asks a protocol
 * anything, so it has no class, and this name of one for the linker is enough. */
extern const char __objc_class_name_Protocol;
const char __objc_class_name_Protocol = 0;

/* ---- Registration ---- */

static const char *selector_names[MAX_SELECTORS];
static uint16_t selector_hash[SELECTOR_HASH_SIZE];      /* index + 1 into selector_names; 0: empty */
static size_t selector_count;
static Class classes[CLASS_HASH_SIZE];
static struct symbol_table *unresolved[MAX_UNRESOLVED];
static size_t unresolved_count;
static struct objc_selector unknown_selector = {"doesNotRecognizeSelector:", NULL};

/* Runs while the binary is loaded, when nobody listens yet: standard error is the only place to say it. */
static void report(const char *problem, const char *name)
{
    fprintf(stderr, "Objective-C runtime of the portable Metal: %s: %s\n", problem, name);
}

static size_t hash_string(const char *string)
{
    size_t hash = 5381;
    for (; *string; ++string) {
        hash = hash * 33 ^ (unsigned char)*string;
    }
    return hash;
}

/* The place of `name` in selector_names, the same for equal names: selectors are compared by it. */
static const void *intern(const char *name)
{
    for (size_t hash = hash_string(name);; ++hash) {
        uint16_t *entry = &selector_hash[hash % SELECTOR_HASH_SIZE];
        if (*entry == 0) {
            if (selector_count == MAX_SELECTORS) {
                report("MAX_SELECTORS is too small for", name);
                return &selector_names[0];
            }
            selector_names[selector_count++] = name;
            *entry = (uint16_t)selector_count;
        }
        if (strcmp(selector_names[*entry - 1], name) == 0) {
            return &selector_names[*entry - 1];
        }
    }
}

static void intern_methods(struct method_list *list)
{
    for (; list; list = list->next) {
        for (int i = 0; i < list->count; ++i) {
            list->methods[i].name = intern(list->methods[i].name);
        }
    }
}

/* The slot of the class `name`, or the empty slot where it belongs; NULL if there is neither. */
static Class *class_slot(const char *name)
{
    const size_t hash = hash_string(name);
    for (size_t i = 0; i < CLASS_HASH_SIZE; ++i) {
        Class *slot = &classes[(hash + i) % CLASS_HASH_SIZE];
        if (!*slot || strcmp((*slot)->name, name) == 0) {
            return slot;
        }
    }
    return NULL;
}

static Class find_class(const char *name)
{
    Class *slot = class_slot(name);
    return slot ? *slot : Nil;
}

static void add_class(Class cls)
{
    intern_methods(cls->methods);
    intern_methods(cls->class_pointer->methods);
    Class *slot = class_slot(cls->name);
    if (slot && !*slot) {
        *slot = cls;
    } else {
        report(slot ? "a second class of this name" : "CLASS_HASH_SIZE is too small for", cls->name);
    }
}

static void prepend(struct method_list **methods, struct method_list *added)
{
    if (added) {
        intern_methods(added);
        added->next = *methods;
        *methods = added;
    }
}

/* Replaces the names of the superclass and of the metaclass' parents by the classes. No: some are not there yet. */
static bool resolve_class(Class cls)
{
    if (cls->info & CLASS_IS_RESOLVED) {
        return true;
    }
    const Class root = find_class("NSObject");
    const Class superclass = cls->superclass ? find_class((const char *)cls->superclass) : Nil;
    if (!root || (cls->superclass && !superclass)) {
        return false;
    }
    cls->superclass = superclass;
    cls->class_pointer->class_pointer = root->class_pointer;
    /* A class object answers the root's instance methods too. */
    cls->class_pointer->superclass = superclass ? superclass->class_pointer : cls;
    cls->info |= CLASS_IS_RESOLVED;
    return true;
}

static bool resolve_category(const struct category *category)
{
    const Class cls = find_class(category->class_name);
    if (!cls) {
        return false;
    }
    prepend(&cls->methods, category->instance_methods);
    prepend(&cls->class_pointer->methods, category->class_methods);
    return true;
}

static bool resolve_constants(struct constant_objects *constants)
{
    if (strcmp(constants->class_name, "Protocol") == 0) {
        return true;
    }
    const Class cls = find_class(constants->class_name);
    for (id *object = constants->objects; cls && *object; ++object) {
        (*object)->class_pointer = cls;
    }
    return cls != Nil;
}

/* Yes once nothing of the module waits for a class of a module that registers later. */
static bool resolve_module(struct symbol_table *symbols)
{
    void **definition = symbols->definitions;
    bool complete = true;
    for (int i = 0; i < symbols->class_count; ++i, ++definition) {
        complete &= resolve_class(*definition);
    }
    for (int i = 0; i < symbols->category_count; ++i, ++definition) {
        if (*definition && resolve_category(*definition)) {
            *definition = NULL;
        }
        complete &= *definition == NULL;
    }
    struct constant_objects **constants = *definition;
    for (; constants && *constants; ++constants) {
        complete &= resolve_constants(*constants);
    }
    return complete;
}

void __objc_exec_class(struct module *module)
{
    struct symbol_table *symbols = module->symbols;
    if (module->version != MODULE_VERSION) {
        report("not compiled for GCC's Objective-C ABI, version 8", module->name);
        return;
    }
    if (selector_count == 0) {
        unknown_selector.name = intern(unknown_selector.name);
    }
    for (struct objc_selector *selector = symbols->selectors; selector && selector->name; ++selector) {
        selector->name = intern(selector->name);
    }
    for (int i = 0; i < symbols->class_count; ++i) {
        add_class(symbols->definitions[i]);
    }
    if (unresolved_count == MAX_UNRESOLVED) {
        report("MAX_UNRESOLVED is too small for", module->name);
        return;
    }
    unresolved[unresolved_count++] = symbols;
    for (size_t i = unresolved_count; i-- > 0;) {
        if (resolve_module(unresolved[i])) {
            unresolved[i] = unresolved[--unresolved_count];
        }
    }
}

/* Messages to the Nil that an unknown class is do nothing. Compiled code asks at every message to a class, with a
 * constant of its module: what was found for it is remembered, the first of those that share a place. */
Class objc_lookup_class(const char *name)
{
    static struct {
        const char *name;
        Class cls;
    } found[256];
    const size_t place = (uintptr_t)name / 8 % (sizeof found / sizeof *found);
    const char *owner = __atomic_load_n(&found[place].name, __ATOMIC_RELAXED);
    Class cls = owner == name ? __atomic_load_n(&found[place].cls, __ATOMIC_RELAXED) : Nil;
    if (cls) {
        return cls;
    }
    cls = find_class(name);
    if (owner == name
        || (!owner && __atomic_compare_exchange_n(&found[place].name, &owner, name, false, __ATOMIC_RELAXED,
                                                  __ATOMIC_RELAXED))) {
        __atomic_store_n(&found[place].cls, cls, __ATOMIC_RELAXED);
    }
    return cls;
}

/* What GCC calls where clang calls the other. */
Class objc_get_class(const char *name)
{
    return objc_lookup_class(name);
}

/* ---- Messages ---- */

/* The functions of a class and its superclasses, by selector index; made at the first message. */
struct dispatch_table {
    size_t count;
    IMP functions[];
};

static size_t selector_index(const void *name)
{
    return (size_t)((const char *const *)name - selector_names);
}

static struct dispatch_table *make_dispatch_table(Class cls)
{
    struct dispatch_table *table = calloc(1, sizeof *table + selector_count * sizeof table->functions[0]);
    if (!table) {
        return NULL;
    }
    table->count = selector_count;
    for (Class c = cls; c; c = c->superclass) {
        for (const struct method_list *list = c->methods; list; list = list->next) {
            for (int i = 0; i < list->count; ++i) {
                IMP *function = &table->functions[selector_index(list->methods[i].name)];
                *function = *function ? *function : list->methods[i].function;
            }
        }
    }
    struct dispatch_table *first = NULL;
    if (!__atomic_compare_exchange_n(&cls->dispatch_table, &first, table, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        free(table);
        table = first;
    }
    return table;
}

static IMP search_method(Class cls, const void *name)
{
    for (; cls; cls = cls->superclass) {
        for (const struct method_list *list = cls->methods; list; list = list->next) {
            for (int i = 0; i < list->count; ++i) {
                if (list->methods[i].name == name) {
                    return list->methods[i].function;
                }
            }
        }
    }
    return NULL;
}

/* Without memory for a table, messages are slower and no less right. */
static IMP find_slowly(Class cls, SEL selector)
{
    const struct dispatch_table *table = make_dispatch_table(cls);
    const size_t index = selector_index(selector->name);
    return table && index < table->count ? table->functions[index] : search_method(cls, selector->name);
}

static inline IMP find_method(Class cls, SEL selector)
{
    const struct dispatch_table *table = __atomic_load_n(&cls->dispatch_table, __ATOMIC_ACQUIRE);
    const size_t index = selector_index(selector->name);
    return table && index < table->count ? table->functions[index] : find_slowly(cls, selector);
}

static id answer_nil(id receiver, SEL selector, ...)
{
    (void)receiver;
    (void)selector;
    return nil;
}

/* The function for a message, never NULL: whoever does not know the selector says so and answers nil. */
static IMP lookup(id receiver, Class cls, SEL selector)
{
    IMP function = find_method(cls, selector);
    if (function) {
        return function;
    }
    IMP refuse = find_method(cls, &unknown_selector);
    if (refuse) {
        typedef void (*refusal)(id, SEL, SEL);
        ((refusal)(void (*)(void))refuse)(receiver, &unknown_selector, selector);
    }
    return answer_nil;
}

IMP objc_msg_lookup(id receiver, SEL selector)
{
    return receiver ? lookup(receiver, receiver->class_pointer, selector) : answer_nil;
}

IMP objc_msg_lookup_super(struct objc_super *super, SEL selector)
{
    return super->receiver ? lookup(super->receiver, super->super_class, selector) : answer_nil;
}

/* ---- Introspection ---- */

Class object_getClass(id object)
{
    return object ? object->class_pointer : Nil;
}

Class object_setClass(id object, Class cls)
{
    const Class previous = object->class_pointer;
    object->class_pointer = cls;
    return previous;
}

const char *class_getName(Class cls)
{
    return cls ? cls->name : "nil";
}

Class class_getSuperclass(Class cls)
{
    return cls ? cls->superclass : Nil;
}

size_t class_getInstanceSize(Class cls)
{
    return cls ? (size_t)cls->instance_size : 0;
}

BOOL class_respondsToSelector(Class cls, SEL selector)
{
    return cls && selector && find_method(cls, selector) != NULL;
}

BOOL class_isMetaClass(Class cls)
{
    return cls && (cls->info & CLASS_IS_META) != 0;
}

const char *sel_getName(SEL selector)
{
    return selector ? *(const char *const *)selector->name : "<null selector>";
}
