/* What the native tests ask of their twins. */
#ifndef TWINS_H
#define TWINS_H
#include <stddef.h>

/* Items and dispatches of crews that twins have run so far. */
size_t twin_run_count(void);
/* The most dispatches of crews that have run at the same time. */
size_t most_runs_at_once(void);

#endif
