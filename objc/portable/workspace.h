/* Memory of a thread for what it computes in passing. */
#ifndef PM_WORKSPACE_H
#define PM_WORKSPACE_H
#include <stddef.h>

/* At least `size` bytes on a cache line's boundary, the calling thread's until its next call; kept for that, and freed
 * when the thread ends. Its contents are whatever was left there. NULL without memory. */
void *pm_workspace(size_t size);

#endif
