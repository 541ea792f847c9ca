/* Memory of buffers and textures. Fresh pages cost the system more than most kernels take to fill them, so large blocks
 * that are given back are kept for the next who wants as much. */
#ifndef PM_STORAGE_H
#define PM_STORAGE_H
#include <stdbool.h>
#include <stddef.h>

/* What has been given back: at most so much, the newest. */
enum { PM_STORAGE_KEPT_BYTES = 64 << 20, PM_STORAGE_KEPT_BLOCKS = 64 };

struct pm_storage;

/* NULL without memory. */
struct pm_storage *pm_storage_create(void);
/* Everything has been given back. */
void pm_storage_destroy(struct pm_storage *storage);

/* Memory aligned to 64 bytes, NULL if there is none; `is_cleared` asks for zeros. Short memory is not a byte longer,
 * and a build with a memory checker keeps none, so that this sees every overrun. From any thread, and in a child of
 * the process as well. */
void *pm_storage_take(struct pm_storage *storage, size_t length, bool is_cleared);
void pm_storage_give(struct pm_storage *storage, void *memory, size_t length);

#endif
