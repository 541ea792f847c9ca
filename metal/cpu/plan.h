// What a twin of an image cell works out once for a dispatch.
#ifndef TWIN_PLAN_H
#define TWIN_PLAN_H
#include "params.h"
#include "twin.h"

namespace {
namespace twin {

// One convolution as a part of the reduction.
struct reduction_term {
    uint32_t texture;           // binding of its source
    uint32_t slices;            // of the source, per image
    uint32_t depth;             // input channels with weights
    uint32_t taps, first_tap;
};

enum algorithm { DIRECT, WINOGRAD_3, WINOGRAD_5 };

struct image_plan {
    const float *weights;       // as `pack_weights` lays them
    const float *rows;          // [panel][MPSRNN_CHANNEL_ROWS][PANEL]
    size_t panel_weights;       // floats of a panel
    size_t point_weights;       // floats of one Winograd point
    size_t skipped_weights;     // of each point, for terms that this step lacks
    algorithm how;
    uint32_t term_count;
    reduction_term terms[MPSRNN_MAX_TERMS];     // in the order of the reduction
    uint32_t slices, depth;     // of all terms
    uint32_t panels;
    uint32_t width, height;     // of a row of pixels as `direct` sees it
    uint32_t columns;           // blocks or tiles of a row
    uint32_t rows_of_tiles;
    uint32_t block;             // tiles or pixels of an item
    uint32_t count;             // tiles of all images
    int left, right, top, bottom;   // reach of the taps
};
static_assert(sizeof(image_plan) <= sizeof(msl_plan::words), "a plan must fit");

TWIN_INLINE const mpsrnn_cell_params &params_of(const msl_twin_call *call)
{
    return *static_cast<const mpsrnn_cell_params *>(call->dispatch->buffers[MPSRNN_BUFFER_PARAMS].contents);
}

// Fails the command buffer, as a kernel does that finds an access to be wrong.
inline void report(const msl_twin_call *call, const char *message)
{
    const char *none = nullptr;
    const char **place = const_cast<const char **>(&call->dispatch->violation);
    __atomic_compare_exchange_n(place, &none, message, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

TWIN_INLINE const image_plan &plan_of(const msl_plan *plan)
{
    return *reinterpret_cast<const image_plan *>(plan->words);
}

} // namespace twin
} // namespace
#endif
