// The neurons of metal/neuron.h on whole vectors; what needs a power is left to the kernel's.
#ifndef TWIN_ACTIVATION_H
#define TWIN_ACTIVATION_H
#include "elementary.h"
#include "surface.h"

namespace metal {
namespace {
#include "neuron.h"
} // namespace
} // namespace metal

namespace {
namespace twin {

// Of MPSCNNNeuronType.
enum {
    NONE,
    RELU,
    LINEAR,
    SIGMOID,
    HARD_SIGMOID,
    TANH,
    ABSOLUTE,
    SOFT_PLUS,
    SOFT_SIGN,
    ELU,
    PRELU,
    RELUN,
    POWER,
    EXPONENTIAL,
    LOGARITHM,
    GELU
};

// For powers: they would need the logarithm to twice the precision and a dozen special cases.
__attribute__((noinline)) inline vf kernel_neuron(uint32_t type, vf x, vf a, float b, float c)
{
    f4 parts[TEXELS];
    for (int i = 0; i < TEXELS; ++i) {
        metal::float4 value(0.0f), slope(0.0f);
        value.v = part(x, i);
        slope.v = part(a, i);
        parts[i] = metal::neuron(type, value, slope, b, c).v;
    }
    return join(parts);
}

// x >= 0 ? x : negative, and NaN where x is NaN.
TWIN_INLINE vf rectify(vf x, vf negative) { return select(x >= 0.0f, x, negative); }

// e^x - 1 for x <= 0, which does not cancel where x is small.
TWIN_INLINE vf exp_less_one(vf x)
{
    const power_of_two e = exp_parts<false>(clamp(x, -20.0f, 0.0f));
    return (e.scale - 1.0f) + e.scale * e.rest;
}

TWIN_INLINE vf soft_plus(vf y) { return maximum(y, vf{}) + log_one_plus(exponential(-absolute(y))); }

// The neurons that few networks have. What is infinite or NaN is as in the kernel.
//
// Errors are relative to the exact value for the float that y is, in units of 2^-24, and 2^-147 besides:
//   Linear, HardSigmoid, ReLUN  1
//   SoftPlus                    5, y = b x
//   SoftSign                    3
//   ELU                         4
//   Exponential                 2, y = a x + b, c = -1
//   Logarithm                   2, y = a x + b, c = -1; 5 to another base
//   GeLU                        3 times |x|, absolute: of negative x, less than that cancels
__attribute__((noinline)) inline vf rare_neuron(uint32_t type, vf x, vf a, float b, float c)
{
    switch (type) {
    case LINEAR:
        return a * x + b;
    case HARD_SIGMOID: {
        const vf y = a * x + b;
        return select(y > 1.0f, broadcast(1.0f), select(y < 0.0f, vf{}, y));
    }
    case ABSOLUTE:
        return absolute(x);
    case SOFT_PLUS:
        return a * soft_plus(b * x);
    case SOFT_SIGN:
        return x / (1.0f + absolute(x));
    case ELU:
        return rectify(x, a * exp_less_one(x));
    case RELUN: {
        const vf y = rectify(x, a * x);
        return select(y > b, broadcast(b), y);
    }
    case EXPONENTIAL:
        return c == -1.0f ? exponential(a * x + b) : kernel_neuron(type, x, a, b, c);
    case LOGARITHM:
        return c == -1.0f ? logarithm(a * x + b) : logarithm(a * x + b) / metal::log(c);
    case GELU:
        return 0.5f * x * (1.0f + erf(x * 0.70710678118654752f));
    case POWER:
        return kernel_neuron(type, x, a, b, c);
    default:
        return x;
    }
}

TWIN_INLINE vf activate(uint32_t type, vf x, vf a, float b, float c)
{
    switch (type) {
    case NONE:
        return x;
    case RELU:
    case PRELU:
        return rectify(x, a * x);
    case SIGMOID:
        return sigmoid(x);
    case TANH:
        return a * tanh(b * x);     // error below 6, y = b x
    default:
        return rare_neuron(type, x, a, b, c);
    }
}

// The usual LSTM: sigmoid for the gates, tanh for memory and output, with two divisions in place of five. Products of
// the denominators are finite while no argument is beyond FAR; beyond, all is taken apart.
//
// Error of the memory relative to |forget c0| + |in cell|, and of the output to what belongs to that memory: 12 units
// of 2^-24, most of them for gates near -FAR, whose exponents are less exact; and 2^-126 of 1 + |c0| besides.
constexpr float FAR = 20.0f;

struct usual_state {
    vf memory, output;
};

enum { LSTM_IN, LSTM_FORGET, LSTM_CELL, LSTM_OUT, LSTM_GATES };

// Of COUNT pixels side by side, for each alone would wait for itself most of the time. False, and nothing of use, if
// one of them is far.
template <int COUNT>
TWIN_INLINE bool usual_cells(const vf (*gates)[LSTM_GATES], const vf *c0, usual_state *next)
{
    vf farthest = {}, largest_memory = {};
    vf in[COUNT], forget[COUNT], below[COUNT], out[COUNT];
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i) {
        for (int g = 0; g < LSTM_GATES; ++g)
            farthest = largest(farthest, absolute(gates[i][g]));
        largest_memory = largest(largest_memory, absolute(c0[i]));
        power_of_two e[LSTM_GATES];
        const vf powers[] = {-gates[i][LSTM_IN], -gates[i][LSTM_FORGET], gates[i][LSTM_CELL] * 2.0f,
                             -gates[i][LSTM_OUT]};
        exp_parts_of<LSTM_GATES>(powers, e);
        in[i] = 1.0f + (e[LSTM_IN].scale + e[LSTM_IN].scale * e[LSTM_IN].rest);
        forget[i] = 1.0f + (e[LSTM_FORGET].scale + e[LSTM_FORGET].scale * e[LSTM_FORGET].rest);
        below[i] = (e[LSTM_CELL].scale - 1.0f) + e[LSTM_CELL].scale * e[LSTM_CELL].rest;
        out[i] = 1.0f + (e[LSTM_OUT].scale + e[LSTM_OUT].scale * e[LSTM_OUT].rest);
    }
    vf twice[COUNT];
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i) {
        const vf both = in[i] * (below[i] + 2.0f);
        next[i].memory = (c0[i] * both + below[i] * forget[i]) / (both * forget[i]);
        farthest = largest(farthest, absolute(next[i].memory));
        twice[i] = next[i].memory * 2.0f;
    }
    power_of_two e[COUNT];
    exp_parts_of<COUNT>(twice, e);
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i) {
        const vf squashed = (e[i].scale - 1.0f) + e[i].scale * e[i].rest;
        next[i].output = squashed / (out[i] * (squashed + 2.0f));
    }
    return all_below(farthest, FAR) && all_below(largest_memory, 1e9f);
}

__attribute__((noinline)) inline usual_state far_cell(vf in, vf forget, vf cell, vf out, vf c0)
{
    const vf memory = sigmoid(forget) * c0 + sigmoid(in) * tanh(cell);
    return {memory, sigmoid(out) * tanh(memory)};
}

TWIN_INLINE usual_state usual_cell(const vf *gates, vf c0)
{
    vf copies[1][LSTM_GATES];
    for (int g = 0; g < LSTM_GATES; ++g)
        copies[0][g] = gates[g];
    usual_state next;
    if (__builtin_expect(!usual_cells<1>(copies, &c0, &next), false))
        next = far_cell(gates[LSTM_IN], gates[LSTM_FORGET], gates[LSTM_CELL], gates[LSTM_OUT], c0);
    return next;
}

// The usual GRU, likewise: both of its gates with one division.
struct usual_gates {
    vf update, reset;
};

__attribute__((noinline)) inline vf far_sigmoid(vf x) { return sigmoid(x); }
__attribute__((noinline)) inline vf far_tanh(vf x) { return tanh(x); }

TWIN_INLINE usual_gates near_gates_of(vf update, vf reset)
{
    power_of_two e[2];
    const vf powers[] = {-update, -reset};
    exp_parts_of<2>(powers, e);
    const vf z = 1.0f + (e[0].scale + e[0].scale * e[0].rest);
    const vf r = 1.0f + (e[1].scale + e[1].scale * e[1].rest);
    const vf inverse = 1.0f / (z * r);
    return {r * inverse, z * inverse};
}

TWIN_INLINE usual_gates usual_gates_of(vf update, vf reset)
{
    if (__builtin_expect(!all_below(largest(absolute(update), absolute(reset)), FAR), false))
        return {far_sigmoid(update), far_sigmoid(reset)};
    return near_gates_of(update, reset);
}

TWIN_INLINE vf near_candidate(vf x)
{
    const power_of_two e = exp_parts<false>(x * 2.0f);
    const vf below = (e.scale - 1.0f) + e.scale * e.rest;
    return below / (below + 2.0f);
}

TWIN_INLINE vf usual_candidate(vf x)
{
    if (__builtin_expect(!all_below(absolute(x), FAR / 2), false))
        return far_tanh(x);
    return near_candidate(x);
}

} // namespace twin
} // namespace
#endif
