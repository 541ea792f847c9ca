// Gradients of the weights, of all time steps and rows: of a matrix the sum of da v over whatever v it multiplies, of a
// bias the sum of da, of a diagonal peephole that of da c. The matrices of a dispatch are the planes of its grid.
//
// The rows of a step are added up first, then the steps: in this order whatever the device, and with an error that
// grows with the sum of their numbers instead of the product.
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

// What the delta of a step is multiplied with; there is nothing for MPSRNN_OPERAND_ONE.
static inline device const float4 *operand_of(device const gradient_step &step, uint operand)
{
    switch (operand) {
    case MPSRNN_OPERAND_OUTPUT:
        return step.output_in;
    case MPSRNN_OPERAND_MEMORY_IN:
        return step.memory_in;
    case MPSRNN_OPERAND_MEMORY:
        return step.memory;
    case MPSRNN_OPERAND_RESET:
        return step.reset;
    case MPSRNN_OPERAND_UPDATED:
        return step.updated;
    default:
        return step.source;
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
    const uint operand_slices = g.operand == MPSRNN_OPERAND_SOURCE ? p.input_slices : p.slices;
    float4 sums[4];
    for (int k = 0; k < 4; ++k) {
        sums[k] = float4(0.0f);
    }
    for (uint t = 0; t < p.steps; ++t) {
        device const float4 *delta = steps[t].delta + (g.gate * p.slices + at.y);
        device const float4 *operand = operand_of(steps[t], g.operand) + at.x;
        float4 part[4];
        for (int k = 0; k < 4; ++k) {
            part[k] = float4(0.0f);
        }
        for (uint row = 0; row < steps[t].rows; ++row) {
            const float4 left = delta[ulong(row) * p.gates * p.slices];
            const float4 right = operand[ulong(row) * operand_slices];
            for (int k = 0; k < 4; ++k) {
                part[k] += right * left[k];
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
        device const float4 *delta = steps[t].delta + (g.gate * p.slices + at.x);
        float4 part = float4(0.0f);
        if (g.operand == MPSRNN_OPERAND_ONE) {
            for (uint row = 0; row < steps[t].rows; ++row) {
                part += delta[ulong(row) * p.gates * p.slices];
            }
        } else {
            device const float4 *operand = operand_of(steps[t], g.operand) + at.x;
            for (uint row = 0; row < steps[t].rows; ++row) {
                part += delta[ulong(row) * p.gates * p.slices] * operand[ulong(row) * p.slices];
            }
        }
        sum += part;
    }
    for (uint k = 0; k < 4 && at.x * 4 + k < p.channels; ++k) {
        store_gradient(g.matrix, at.x * 4 + k, sum[k], p);
    }
}
