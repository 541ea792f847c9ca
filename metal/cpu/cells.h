// What becomes of the sums of the gates, pixel by pixel: one class per kernel of metal/, with its formulae and bindings.
//
// Each has GATES; `terms`, the texture of each of the kernel's terms and whether this dispatch has the term; and
// `finish`, which is given LANES channels of one pixel from slice `slice` on, and the sums of their gates.
#ifndef TWIN_CELLS_H
#define TWIN_CELLS_H
#include "activation.h"
#include "plan.h"

namespace {
namespace twin {

struct term_source {
    uint32_t texture;
    bool present;
};

// Where a pixel lies: its index in a slice; the first slices of its image in the source and in the cell's own images.
struct pixel {
    size_t index;
    uint32_t source_slice, slice;
};

struct cell {
    const msl_twin_call &call;
    const mpsrnn_cell_params &params;

    TWIN_INLINE explicit cell(const msl_twin_call &c) : call(c), params(params_of(&c)) {}

    TWIN_INLINE uint32_t constant(int index) const { return call.constants[index]; }
    TWIN_INLINE surface texture(int index) const { return surface(call.dispatch->textures[index]); }

    TWIN_INLINE vf neuron(int gate, vf sum, const float *rows) const
    {
        const uint32_t type = constant(MPSRNN_CONSTANT_NEURON_0 + gate);
        return activate(type, sum, load(rows + MPSRNN_CHANNEL_A * PANEL), params.neurons[gate].b,
                        params.neurons[gate].c);
    }

    // Lanes beyond the last channel become zero: the next reader multiplies them by zero weights.
    TWIN_INLINE void write(const surface &to, const pixel &at, uint32_t slice, vf value) const
    {
        if ((slice + TEXELS) * 4 > params.channels) {
            vi lane;
            for (int i = 0; i < LANES; ++i)
                lane[i] = i;
            value = select(lane < int32_t(params.channels - slice * 4), value, vf{});
        }
        to.write_channels(at.index, at.slice + slice, at.slice + params.slices, value);
    }

    TWIN_INLINE vf read(const surface &from, const pixel &at, uint32_t slice) const
    {
        return from.read_channels(at.index, at.slice + slice, at.slice + params.slices);
    }
};

// Output and destination, which most cells end with.
struct output_surfaces {
    bool keeps, has_destination;
    surface output, destination;

    TWIN_INLINE explicit output_surfaces(const cell &c)
        : keeps(c.constant(MPSRNN_CONSTANT_KEEPS_OUTPUT)), has_destination(c.constant(MPSRNN_CONSTANT_HAS_DESTINATION)),
          output(c.texture(MPSRNN_TEXTURE_OUTPUT)), destination(c.texture(MPSRNN_TEXTURE_DESTINATION))
    {
    }

    TWIN_INLINE void write(const cell &c, const pixel &at, uint32_t slice, vf h) const
    {
        if (keeps)
            c.write(output, at, slice, h);
        if (has_destination)
            c.write(destination, at, slice, h);
    }
};

struct single_gate : cell {
    enum { GATES = 1, TERMS = 2 };
    output_surfaces outputs;

    explicit single_gate(const msl_twin_call &c) : cell(c), outputs(*this) {}

    static term_source term(const msl_twin_call &c, int index)
    {
        return index == 0 ? term_source{MPSRNN_TEXTURE_SOURCE, true}
                          : term_source{MPSRNN_TEXTURE_OUTPUT_IN, c.constants[MPSRNN_CONSTANT_HAS_RECURRENT] != 0};
    }

    TWIN_INLINE void finish(const pixel &at, uint32_t slice, const vf *sums, const float *rows) const
    {
        outputs.write(*this, at, slice, neuron(0, sums[0], rows));
    }
};

struct gru_gates : cell {
    enum { GATES = 2, TERMS = 2 };
    bool has_state, has_recurrent, has_memory;
    surface output_in, update, reset, updated;

    explicit gru_gates(const msl_twin_call &c)
        : cell(c), has_state(constant(MPSRNN_CONSTANT_HAS_STATE)), has_recurrent(constant(MPSRNN_CONSTANT_HAS_RECURRENT)),
          has_memory(constant(MPSRNN_CONSTANT_HAS_MEMORY)), output_in(texture(MPSRNN_TEXTURE_OUTPUT_IN)),
          update(texture(MPSRNN_TEXTURE_GATE)), reset(texture(MPSRNN_TEXTURE_RESET)),
          updated(texture(MPSRNN_TEXTURE_UPDATED))
    {
    }

    static term_source term(const msl_twin_call &c, int index)
    {
        return index == 0 ? term_source{MPSRNN_TEXTURE_SOURCE, true}
                          : term_source{MPSRNN_TEXTURE_OUTPUT_IN, c.constants[MPSRNN_CONSTANT_HAS_STATE] != 0};
    }

    TWIN_INLINE void finish(const pixel &at, uint32_t slice, const vf *sums, const float *rows) const
    {
        enum { STEP = VECTORS / GATES * LANES };
        const vf z = neuron(MPSRNN_GATE_UPDATE, sums[MPSRNN_GATE_UPDATE], rows);
        write(update, at, slice, z);
        if (!has_state)
            return;
        const vf h0 = read(output_in, at, slice);
        if (has_recurrent)
            write(reset, at, slice, neuron(MPSRNN_GATE_RESET, sums[MPSRNN_GATE_RESET], rows + STEP) * h0);
        if (has_memory)
            write(updated, at, slice, z * h0);
    }
};

struct gru_output : cell {
    enum { GATES = 1, TERMS = 3 };
    bool has_state, flip, has_p_norm;
    surface output_in, update;
    output_surfaces outputs;

    explicit gru_output(const msl_twin_call &c)
        : cell(c), has_state(constant(MPSRNN_CONSTANT_HAS_STATE)), flip(constant(MPSRNN_CONSTANT_FLIP)),
          has_p_norm(constant(MPSRNN_CONSTANT_P_NORM)), output_in(texture(MPSRNN_TEXTURE_OUTPUT_IN)),
          update(texture(MPSRNN_TEXTURE_GATE)), outputs(*this)
    {
    }

    static term_source term(const msl_twin_call &c, int index)
    {
        switch (index) {
        case 0: return {MPSRNN_TEXTURE_SOURCE, true};
        case 1: return {MPSRNN_TEXTURE_RESET, c.constants[MPSRNN_CONSTANT_HAS_RECURRENT] != 0};
        default: return {MPSRNN_TEXTURE_UPDATED, c.constants[MPSRNN_CONSTANT_HAS_MEMORY] != 0};
        }
    }

    TWIN_INLINE void finish(const pixel &at, uint32_t slice, const vf *sums, const float *rows) const
    {
        const vf h = neuron(0, sums[0], rows);
        const vf z = read(update, at, slice);
        const vf s = has_p_norm ? complement(z, params.p_norm) : 1.0f - z;
        const vf h0 = has_state ? read(output_in, at, slice) : vf{};
        outputs.write(*this, at, slice, flip ? s * h0 + z * h : s * h + z * h0);
    }

    // (1 - z^p)^(1/p), as the kernel has it: no network spends its time here.
    static vf complement(vf z, float p)
    {
        f4 parts[TEXELS];
        for (int i = 0; i < TEXELS; ++i) {
            metal::float4 value(0.0f);
            value.v = part(z, i);
            parts[i] = pow(1.0f - pow(value, metal::float4(p)), metal::float4(1.0f / p)).v;
        }
        return join(parts);
    }
};

struct lstm : cell {
    enum { GATES = 4, TERMS = 3 };
    bool has_state, has_peephole, splits_output;
    surface memory_in, memory, gate;
    output_surfaces outputs;

    explicit lstm(const msl_twin_call &c)
        : cell(c), has_state(constant(MPSRNN_CONSTANT_HAS_STATE)), has_peephole(constant(MPSRNN_CONSTANT_HAS_PEEPHOLE)),
          splits_output(constant(MPSRNN_CONSTANT_SPLITS_OUTPUT)), memory_in(texture(MPSRNN_TEXTURE_MEMORY_IN)),
          memory(texture(MPSRNN_TEXTURE_MEMORY)), gate(texture(MPSRNN_TEXTURE_GATE)), outputs(*this)
    {
    }

    static term_source term(const msl_twin_call &c, int index)
    {
        switch (index) {
        case 0: return {MPSRNN_TEXTURE_SOURCE, true};
        case 1: return {MPSRNN_TEXTURE_OUTPUT_IN, c.constants[MPSRNN_CONSTANT_HAS_RECURRENT] != 0};
        default: return {MPSRNN_TEXTURE_MEMORY_IN, c.constants[MPSRNN_CONSTANT_HAS_MEMORY] != 0};
        }
    }

    TWIN_INLINE vf peephole(int g, vf c, const float *rows) const
    {
        return has_peephole ? load(rows + g * LANES + MPSRNN_CHANNEL_PEEPHOLE * PANEL) * c : vf{};
    }

    TWIN_INLINE vf gate_value(int g, vf sum, const float *rows) const { return neuron(g, sum, rows + g * LANES); }

    TWIN_INLINE void finish(const pixel &at, uint32_t slice, const vf *sums, const float *rows) const
    {
        const vf c0 = has_state ? read(memory_in, at, slice) : vf{};
        const vf in = gate_value(MPSRNN_GATE_INPUT, sums[MPSRNN_GATE_INPUT] + peephole(MPSRNN_GATE_INPUT, c0, rows), rows);
        const vf forget =
            gate_value(MPSRNN_GATE_FORGET, sums[MPSRNN_GATE_FORGET] + peephole(MPSRNN_GATE_FORGET, c0, rows), rows);
        const vf candidate =
            gate_value(MPSRNN_GATE_CELL, sums[MPSRNN_GATE_CELL] + peephole(MPSRNN_GATE_CELL, c0, rows), rows);
        const vf c1 = forget * c0 + in * candidate;
        write(memory, at, slice, c1);
        const vf sum = sums[MPSRNN_GATE_OUTPUT] + peephole(MPSRNN_GATE_OUTPUT, c1, rows);
        if (splits_output) {
            write(gate, at, slice, sum);
            return;
        }
        const vf squashed = activate(constant(MPSRNN_CONSTANT_NEURON_OUTPUT), c1, broadcast(params.output_a),
                                     params.output_neuron.b, params.output_neuron.c);
        outputs.write(*this, at, slice, gate_value(MPSRNN_GATE_OUTPUT, sum, rows) * squashed);
    }
};

struct lstm_output : cell {
    enum { GATES = 1, TERMS = 1 };
    surface memory, gate;
    output_surfaces outputs;

    explicit lstm_output(const msl_twin_call &c)
        : cell(c), memory(texture(MPSRNN_TEXTURE_MEMORY)), gate(texture(MPSRNN_TEXTURE_GATE)), outputs(*this)
    {
    }

    static term_source term(const msl_twin_call &, int) { return {MPSRNN_TEXTURE_MEMORY, true}; }

    TWIN_INLINE void finish(const pixel &at, uint32_t slice, const vf *sums, const float *rows) const
    {
        const vf c1 = read(memory, at, slice);
        const vf squashed = activate(constant(MPSRNN_CONSTANT_NEURON_OUTPUT), c1, broadcast(params.output_a),
                                     params.output_neuron.b, params.output_neuron.c);
        outputs.write(*this, at, slice, neuron(0, sums[0] + read(gate, at, slice), rows) * squashed);
    }
};

} // namespace twin
} // namespace
#endif
