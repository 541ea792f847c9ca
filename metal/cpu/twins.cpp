// The table of twins for the instruction set that this is compiled for; TWIN_TABLE is its name.
#include "matrix_run.h"
#include "tile_by_tile.h"

namespace {
namespace twin {

template <class Cell> void run_item(const msl_plan *plan, const msl_twin_call *call, size_t item, void *workspace)
{
    const image_plan &p = plan_of(plan);
    float *floats = static_cast<float *>(workspace);
    switch (p.how) {
    case DIRECT: run_direct<Cell>(p, call, item, floats); break;
    case WINOGRAD_3: run_winograd<Cell, 3>(p, call, item, floats); break;
    case WINOGRAD_5: run_winograd<Cell, 5>(p, call, item, floats); break;
    }
}

template <class Cell, class T, class W>
void walk_matrix(const msl_plan *plan, const msl_twin_call *call, msl_crew_member *member)
{
    const matrix_plan &p = matrix_plan_of(plan);
    if (p.walks_apart) {
        msl_crew_member alone = *member;
        alone.index = 0;
        alone.count = 1;
        matrix_walk<Cell, W>(plan, call, &alone).walk(member->index, member->count);
        return;
    }
    matrix_walk<Cell, W> walk(plan, call, member);
    if (p.packs_weights)
        walk.template pack_weights<T>();
    walk.walk();
}

template <class Cell, class T> void run_matrix(const msl_plan *plan, const msl_twin_call *call, msl_crew_member *member)
{
    const matrix_plan &p = matrix_plan_of(plan);
#if defined(__AVX512F__)
    if (p.is_bfloat) {
        walk_matrix<Cell, T, bfloat>(plan, call, member);
        return;
    }
#endif
    if (p.rows == 1 && !p.packs_weights)
        walk_matrix<Cell, T, T>(plan, call, member);
    else
        walk_matrix<Cell, T, float>(plan, call, member);
}

} // namespace twin
} // namespace

#define TWIN(name)                                                                                           \
    {#name "_half", twin::make_plan<twin::name, true>, twin::run_item<twin::name>, nullptr},                 \
    {#name "_float", twin::make_plan<twin::name, false>, twin::run_item<twin::name>, nullptr}

#define MATRIX_TWIN(name, weights, element, rows)                                                            \
    {#name "_" #weights "_" #rows, twin::plan_matrix<twin::name, element>, nullptr,                          \
     twin::run_matrix<twin::name, element>}

#define MATRIX_TWINS(name)                                                                                   \
    MATRIX_TWIN(name, half, twin::half_bits, 1), MATRIX_TWIN(name, half, twin::half_bits, 4),                \
    MATRIX_TWIN(name, float, float, 1), MATRIX_TWIN(name, float, float, 4)

extern "C" const struct msl_twin TWIN_TABLE[];
const struct msl_twin TWIN_TABLE[] = {
    TWIN(single_gate), TWIN(gru_gates), TWIN(gru_output), TWIN(lstm), TWIN(lstm_output),
    MATRIX_TWINS(matrix_single_gate), MATRIX_TWINS(matrix_gru), MATRIX_TWINS(matrix_lstm), {},
};
