/* Copies of bytes that live until all of them are freed. */
#ifndef PM_COPIES_H
#define PM_COPIES_H
#include <stddef.h>

struct pm_copies;

/* Adds a copy, as aligned as malloc's memory, to a list that begins as NULL. NULL without memory. */
void *pm_copies_add(struct pm_copies **list, const void *bytes, size_t length);

void pm_copies_free(struct pm_copies **list);

#endif
