// What a twin of an image cell works out once for a dispatch, and how outputs are shared out to panels.
#ifndef TWIN_PLAN_H
#define TWIN_PLAN_H
#include "params.h"
#include "twin.h"
#include "vector.h"

namespace {
namespace twin {

// One convolution as a part of the reduction.
struct reduction_term {
    uint32_t texture;           // binding of its source
    uint32_t slices;            // of the source, per image
    uint32_t first_slice;       // among the values of all sources
    uint32_t depth;             // input channels with weights, of a group
    uint32_t group_slices;      // of the source, that a group reads
    uint32_t output_slices;     // that a group makes
    uint32_t taps, first_tap;
};

enum algorithm { DIRECT, WINOGRAD_3, WINOGRAD_5 };

struct image_plan {
    const float *weights;       // as `pack_direct` or `pack_winograd` lays them
    const float *rows;          // of a panel: [MPSRNN_CHANNEL_ROWS][lanes]
    algorithm how;
    bool is_half;               // the kernel's weights are
    bool is_merged;             // no term has groups: the reduction is one multiplication at each point
    uint32_t term_count;
    reduction_term terms[MPSRNN_MAX_TERMS];     // in the order of the reduction
    uint32_t slices;            // of all terms
    uint32_t depth;             // weights of an output, those of absent terms included; at one point
    uint32_t skipped;           // of those, weights of terms that this step lacks, which come first
    uint32_t unit_slices;       // output slices that no group's border divides
    uint32_t unit_panels, unit_vectors, panels, total_vectors;
    uint32_t width, height;     // of a row of pixels as `direct` sees it
    uint32_t columns;           // blocks or tiles of a row
    uint32_t rows_of_tiles;     // or of blocks
    uint32_t block;             // tiles or columns of an item
    uint32_t block_rows;        // of pixels
    uint32_t count;             // tiles of all images
    int left, right, top, bottom;   // reach of the taps
};
static_assert(sizeof(image_plan) <= sizeof(msl_plan::words), "a plan must fit");

// Neighbouring output channels with all their gates, side by side in `vectors` vectors: [gate][group][LANES], or where
// there are fewer channels than LANES [gate][width].
struct panel {
    uint32_t slice, slices;     // its outputs
    uint32_t vector, vectors;   // how many vectors all panels before have; its own
    uint32_t width;             // channels of a gate side by side

    TWIN_INLINE uint32_t lanes() const { return vectors * LANES; }
    TWIN_INLINE int groups(int gates) const { return width == LANES ? int(vectors) / gates : 1; }

    TWIN_INLINE uint32_t lane_of(int gate, int group, int gates) const
    {
        return width == LANES ? uint32_t(gate * groups(gates) + group) * LANES : uint32_t(gate) * width;
    }
};

// The widest panel that `slices` outputs fill, or that wastes little on them.
TWIN_INLINE panel next_panel(uint32_t slices, uint32_t gates)
{
    const uint32_t whole = VECTORS / gates * TEXELS;
    if (slices >= whole)
        return {0, whole, 0, VECTORS, LANES};
    const bool fits_ill = gates == 4 && slices == 3;    // in four vectors, or in two and one
    if (gates == 1 || (slices > TEXELS / 2 && slices < TEXELS && !fits_ill))
        return {0, slices, 0, (slices + TEXELS - 1) / TEXELS * gates, LANES};
    if (slices >= TEXELS) {
        const uint32_t groups = slices / TEXELS;
        return {0, groups * TEXELS, 0, groups * gates, LANES};
    }
    const uint32_t used = slices >= 2 ? 2 : 1;
    return {0, used, 0, (gates * used + TEXELS - 1) / TEXELS, used * 4};
}

// Panel `index` of the outputs.
TWIN_INLINE panel panel_at(const image_plan &plan, uint32_t index, uint32_t gates)
{
    const uint32_t unit = index / plan.unit_panels;
    uint32_t slice = 0, vector = 0;
    panel found = next_panel(plan.unit_slices, gates);
    for (uint32_t i = index % plan.unit_panels; i > 0; --i) {
        slice += found.slices;
        vector += found.vectors;
        found = next_panel(plan.unit_slices - slice, gates);
    }
    found.slice = unit * plan.unit_slices + slice;
    found.vector = unit * plan.unit_vectors + vector;
    return found;
}

TWIN_INLINE size_t point_count(algorithm how)
{
    return how == WINOGRAD_3 ? 36 : how == WINOGRAD_5 ? 64 : 1;
}

// Weights of a panel.
TWIN_INLINE const float *weights_of(const image_plan &plan, const panel &outputs)
{
    return plan.weights + size_t(outputs.vector) * LANES * plan.depth * point_count(plan.how);
}

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
    const void *words = plan->words;
    return *static_cast<const image_plan *>(words);
}

} // namespace twin
} // namespace
#endif
