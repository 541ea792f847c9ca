// Gradient with respect to the inputs of all time steps at once: dL/dx = sum of da W, or in unit-transform mode of da.
#include <metal_stdlib>
using namespace metal;
#include "gradient.h"

// The slices of the grid are those of the input channels, its planes the time steps.
template <typename T, int ROWS>
kernel void input_gradient(
    constant mpsrnn_cell_params     &p       [[buffer(MPSRNN_BUFFER_PARAMS)]],
    device const vec<T, 4>          *weights [[buffer(MPSRNN_BUFFER_WEIGHTS)]],
    device const gradient_step      *steps   [[buffer(MPSRNN_BUFFER_STEPS)]],
    constant mpsrnn_gradient_params &g       [[buffer(MPSRNN_BUFFER_GRADIENT_PARAMS)]],
    uint3 position [[thread_position_in_grid]])
{
    device const gradient_step &step = steps[position.z];
    place at;
    at.slice = position.x;
    at.row = position.y * ROWS;
    if (at.slice >= g.input_slices || at.row >= step.rows) {
        return;
    }
    row_values<ROWS> sums = zero_rows<ROWS>();
    for (uint gate = 0; gate < g.gates; ++gate) {
        add_back<T, ROWS>(sums, step, g.gates, gate, g.input[gate], weights, at, p);
    }
    for (int i = 0; i < ROWS && at.row + uint(i) < step.rows; ++i) {
        const uint row = at.row + uint(i);
        for (uint gate = 0; UNIT_TRANSFORM && gate < g.gates; ++gate) {
            sums.row[i] += step.delta[sum_index(row, g.gates, gate, at, p)];
        }
        const ulong first = ulong(row) * step.source_gradient_stride;
        for (uint k = 0; k < 4 && at.slice * 4 + k < p.input_channels; ++k) {
            const ulong index = first + at.slice * 4 + k;
            if (g.is_half != 0) {
                ((device half *)step.source_gradient)[index] = half(sums.row[i][k]);
            } else {
                ((device float *)step.source_gradient)[index] = sums.row[i][k];
            }
        }
    }
}

template [[host_name("input_gradient_half_1")]] kernel decltype(input_gradient<half, 1>) input_gradient<half, 1>;
template [[host_name("input_gradient_half_4")]] kernel decltype(input_gradient<half, 4>) input_gradient<half, 4>;
template [[host_name("input_gradient_float_1")]] kernel decltype(input_gradient<float, 1>) input_gradient<float, 1>;
template [[host_name("input_gradient_float_4")]] kernel decltype(input_gradient<float, 4>) input_gradient<float, 4>;
