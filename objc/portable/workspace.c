#include "workspace.h"
#include <pthread.h>
#include <stdlib.h>

enum { CACHE_LINE = 64, PAGE = 4096 };

struct workspace {
    size_t size;
    void *memory;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

static void free_workspace(void *value)
{
    struct workspace *workspace = value;
    free(workspace->memory);
    free(workspace);
}

static void make_key(void)
{
    key_error = pthread_key_create(&key, free_workspace);
}

/* Of the calling thread, NULL without memory. */
static struct workspace *thread_workspace(void)
{
    pthread_once(&once, make_key);
    struct workspace *workspace = key_error ? NULL : pthread_getspecific(key);
    if (!workspace && !key_error) {
        workspace = calloc(1, sizeof *workspace);
        if (workspace && pthread_setspecific(key, workspace) != 0) {
            free(workspace);
            workspace = NULL;
        }
    }
    return workspace;
}

void *pm_workspace(size_t size)
{
    struct workspace *workspace = thread_workspace();
    size += size == 0;
    if (workspace && workspace->size < size) {
        const size_t whole = (size + PAGE - 1) / PAGE * PAGE;
        free(workspace->memory);
        workspace->memory = aligned_alloc(CACHE_LINE, whole);
        workspace->size = workspace->memory ? whole : 0;
    }
    return workspace ? workspace->memory : NULL;
}
