/* What the native tests ask of their twins. */
#ifndef TWINS_H
#define TWINS_H
#include <stddef.h>

/* Items and dispatches of crews that twins have run so far. */
size_t twin_run_count(void);

#endif
