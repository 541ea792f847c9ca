// Gradients of the weights, of all time steps and rows: of a matrix the sum of da v over whatever v it multiplies, of a
// bias the sum of da, of a diagonal peephole that of da c. The matrices of a dispatch are the planes of its grid.
//
// The rows of a step are added up first, then the steps: in this order whatever the device, and with an error that grows
// with the sum of their numbers instead of the product.
#include <metal_stdlib>
using namespace metal;
#include "gradient.h"

// mpsrnn_weight_gradient of params.h, with pointers in place of addresses.
struct weight_gradient {
    device uchar *matrix;
    uint stride;
    uint columns;
    uint gate, operand;
};
static_assert(sizeof(weight_gradient) == MPSRNN_WEIGHT_GRADIENT_SIZE, "the layout of mpsrnn_weight_gradient");

// Slice `slice` of the operand of row `row`.
static inline float4 operand_of(device const gradient_step &step, uint operand, uint row, uint slice,
                                constant mpsrnn_weight_gradient_params &p)
{
    const ulong index = ulong(row) * p.slices + slice;
    switch (operand) {
    case MPSRNN_OPERAND_SOURCE:
        return step.source[ulong(row) * p.input_slices + slice];
    case MPSRNN_OPERAND_OUTPUT:
        return step.output_in[index];
    case MPSRNN_OPERAND_MEMORY_IN:
        return step.memory_in[index];
    case MPSRNN_OPERAND_MEMORY:
        return step.memory[index];
    case MPSRNN_OPERAND_RESET:
        return step.reset[index];
    case MPSRNN_OPERAND_UPDATED:
        return step.updated[index];
    default:
        return float4(1.0f);
    }
}

// Element `index` of a gradient becomes `value`, or grows by it; rounded once.
static inline void store_gradient(device uchar *matrix, ulong index, float value,
                                  constant mpsrnn_weight_gradient_params &p)
{
    if (p.is_half != 0) {
        device half *element = (device half *)matrix + index;
        *element = half(p.accumulates != 0 ? float(*element) + value : value);
    } else {
        device float *element = (device float *)matrix + index;
        *element = p.accumulates != 0 ? *element + value : value;
    }
}

// A thread makes four rows and four columns of a matrix.
kernel void matrix_gradient(
    constant mpsrnn_weight_gradient_params &p         [[buffer(MPSRNN_BUFFER_PARAMS)]],
    device const gradient_step             *steps     [[buffer(MPSRNN_BUFFER_STEPS)]],
    device const weight_gradient           *gradients [[buffer(MPSRNN_BUFFER_JOBS)]],
    uint3 at [[thread_position_in_grid]])
{
    device const weight_gradient &g = gradients[at.z];
    if (at.x * 4 >= g.columns || at.y >= p.slices) {
        return;
    }
    float4 sums[4];
    for (int k = 0; k < 4; ++k) {
        sums[k] = float4(0.0f);
    }
    for (uint t = 0; t < p.steps; ++t) {
        device const gradient_step &step = steps[t];
        float4 part[4];
        for (int k = 0; k < 4; ++k) {
            part[k] = float4(0.0f);
        }
        for (uint row = 0; row < step.rows; ++row) {
            const float4 delta = step.delta[(ulong(row) * p.gates + g.gate) * p.slices + at.y];
            const float4 operand = operand_of(step, g.operand, row, at.x, p);
            for (int k = 0; k < 4; ++k) {
                part[k] += operand * delta[k];
            }
        }
        for (int k = 0; k < 4; ++k) {
            sums[k] += part[k];
        }
    }
    for (uint k = 0; k < 4 && at.y * 4 + k < p.channels; ++k) {
        for (uint j = 0; j < 4 && at.x * 4 + j < g.columns; ++j) {
            store_gradient(g.matrix, ulong(at.y * 4 + k) * g.stride + at.x * 4 + j, sums[k][j], p);
        }
    }
}

// A thread makes four columns of a vector.
kernel void vector_gradient(
    constant mpsrnn_weight_gradient_params &p         [[buffer(MPSRNN_BUFFER_PARAMS)]],
    device const gradient_step             *steps     [[buffer(MPSRNN_BUFFER_STEPS)]],
    device const weight_gradient           *gradients [[buffer(MPSRNN_BUFFER_JOBS)]],
    uint3 at [[thread_position_in_grid]])
{
    device const weight_gradient &g = gradients[at.z];
    if (at.x >= p.slices || at.y > 0) {
        return;
    }
    float4 sum = float4(0.0f);
    for (uint t = 0; t < p.steps; ++t) {
        device const gradient_step &step = steps[t];
        float4 part = float4(0.0f);
        for (uint row = 0; row < step.rows; ++row) {
            part += step.delta[(ulong(row) * p.gates + g.gate) * p.slices + at.x]
                  * operand_of(step, g.operand, row, at.x, p);
        }
        sum += part;
    }
    for (uint k = 0; k < 4 && at.x * 4 + k < p.channels; ++k) {
        store_gradient(g.matrix, at.x * 4 + k, sum[k], p);
    }
}
