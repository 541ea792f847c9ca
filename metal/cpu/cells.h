// What becomes of the sums of the gates: one class per kernel of metal/, with its formulae and bindings.
//
// Each has GATES; `term`, the texture of each of the kernel's TERMS and whether this dispatch has the term; `fetch`,
// which announces a strip of pixels; and `finish`, which is given the sums of its gates.
#ifndef TWIN_CELLS_H
#define TWIN_CELLS_H
#include "strip.h"

namespace {
namespace twin {

struct term_source {
    uint32_t texture;
    bool present;
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

    TWIN_INLINE void fetch(const strip &at) const
    {
        if (keeps)
            fetch_strip(output, at, true);
        if (has_destination)
            fetch_strip(destination, at, true);
    }

    TWIN_INLINE void write(const cell &c, const strip &at, vf *h) const
    {
        if (keeps)
            c.write(output, at, h);
        if (has_destination)
            c.write(destination, at, h);
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

    TWIN_INLINE void fetch(const strip &at) const
    {
        outputs.fetch(at);
    }

    TWIN_INLINE void finish(const gate_sums<GATES> &sums, const strip &at) const
    {
        vf input[TEXELS] = {}, h[TEXELS];
        read_input(at, input);
        for (int i = 0; i < TEXELS; ++i) {
            vf gate;
            add_up(sums, i, input, &gate);
            h[i] = neuron(sums, 0, gate);
        }
        outputs.write(*this, at, h);
    }
};

struct gru_gates : cell {
    enum { GATES = 2, TERMS = 2 };
    bool has_state, has_recurrent, has_memory, is_usual;
    surface output_in, update, reset, updated;

    explicit gru_gates(const msl_twin_call &c)
        : cell(c), has_state(constant(MPSRNN_CONSTANT_HAS_STATE)),
          has_recurrent(constant(MPSRNN_CONSTANT_HAS_RECURRENT)),
          has_memory(constant(MPSRNN_CONSTANT_HAS_MEMORY)),
          is_usual(constant(MPSRNN_CONSTANT_NEURON_0) == SIGMOID && constant(MPSRNN_CONSTANT_NEURON_1) == SIGMOID),
          output_in(texture(MPSRNN_TEXTURE_OUTPUT_IN)), update(texture(MPSRNN_TEXTURE_GATE)),
          reset(texture(MPSRNN_TEXTURE_RESET)), updated(texture(MPSRNN_TEXTURE_UPDATED))
    {
    }

    static term_source term(const msl_twin_call &c, int index)
    {
        return index == 0 ? term_source{MPSRNN_TEXTURE_SOURCE, true}
                          : term_source{MPSRNN_TEXTURE_OUTPUT_IN, c.constants[MPSRNN_CONSTANT_HAS_STATE] != 0};
    }

    TWIN_INLINE void fetch(const strip &at) const
    {
        fetch_strip(update, at, true);
        if (has_state)
            fetch_strip(output_in, at, false);
        if (has_recurrent)
            fetch_strip(reset, at, true);
        if (has_memory)
            fetch_strip(updated, at, true);
    }

    TWIN_INLINE void finish(const gate_sums<GATES> &sums, const strip &at) const
    {
        vf input[TEXELS] = {}, h0[TEXELS] = {}, z[TEXELS], r[TEXELS] = {};
        read_input(at, input);
        if (has_state)
            read(output_in, at, h0);
        if (is_usual) {
#pragma GCC unroll 4
            for (int i = 0; i < TEXELS; ++i) {
                vf gates[GATES];
                add_up(sums, i, input, gates);
                const usual_gates both = usual_gates_of(gates[MPSRNN_GATE_UPDATE], gates[MPSRNN_GATE_RESET]);
                z[i] = both.update;
                r[i] = both.reset * h0[i];
            }
        } else {
            make_any(sums, input, h0, z, r);
        }
        write(update, at, z);
        if (has_recurrent)
            write(reset, at, r);
        if (has_memory) {
            for (int i = 0; i < TEXELS; ++i)
                z[i] *= h0[i];
            write(updated, at, z);
        }
    }

private:
    __attribute__((noinline)) void make_any(const gate_sums<GATES> &sums, const vf *input, const vf *h0, vf *z,
                                            vf *r) const
    {
        for (int i = 0; i < TEXELS; ++i) {
            vf gates[GATES];
            add_up(sums, i, input, gates);
            z[i] = neuron(sums, MPSRNN_GATE_UPDATE, gates[MPSRNN_GATE_UPDATE]);
            if (has_recurrent)
                r[i] = neuron(sums, MPSRNN_GATE_RESET, gates[MPSRNN_GATE_RESET]) * h0[i];
        }
    }
};

struct gru_output : cell {
    enum { GATES = 1, TERMS = 3 };
    bool has_state, flip, has_p_norm, is_usual;
    surface output_in, update;
    output_surfaces outputs;

    explicit gru_output(const msl_twin_call &c)
        : cell(c), has_state(constant(MPSRNN_CONSTANT_HAS_STATE)), flip(constant(MPSRNN_CONSTANT_FLIP)),
          has_p_norm(constant(MPSRNN_CONSTANT_P_NORM)),
          is_usual(!has_p_norm && constant(MPSRNN_CONSTANT_NEURON_0) == TANH && first_a(0) == 1.0f
                   && params.neurons[0].b == 1.0f),
          output_in(texture(MPSRNN_TEXTURE_OUTPUT_IN)), update(texture(MPSRNN_TEXTURE_GATE)), outputs(*this)
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

    TWIN_INLINE void fetch(const strip &at) const
    {
        fetch_strip(update, at, false);
        if (has_state)
            fetch_strip(output_in, at, false);
        outputs.fetch(at);
    }

    TWIN_INLINE void finish(const gate_sums<GATES> &sums, const strip &at) const
    {
        vf input[TEXELS] = {}, h0[TEXELS] = {}, z[TEXELS], h1[TEXELS];
        read_input(at, input);
        read(update, at, z);
        if (has_state)
            read(output_in, at, h0);
        if (is_usual) {
#pragma GCC unroll 4
            for (int i = 0; i < TEXELS; ++i) {
                vf gate;
                add_up(sums, i, input, &gate);
                const vf h = usual_candidate(gate), s = 1.0f - z[i];
                h1[i] = flip ? s * h0[i] + z[i] * h : s * h + z[i] * h0[i];
            }
        } else {
            make_any(sums, input, z, h0, h1);
        }
        outputs.write(*this, at, h1);
    }

private:
    __attribute__((noinline)) void make_any(const gate_sums<GATES> &sums, const vf *input, const vf *z, const vf *h0,
                                            vf *h1) const
    {
        for (int i = 0; i < TEXELS; ++i) {
            vf gate;
            add_up(sums, i, input, &gate);
            const vf h = neuron(sums, 0, gate);
            const vf s = has_p_norm ? complement(z[i], params.p_norm) : 1.0f - z[i];
            h1[i] = flip ? s * h0[i] + z[i] * h : s * h + z[i] * h0[i];
        }
    }

    // (1 - z^p)^(1/p), as the kernel has it: no network spends its time here.
    __attribute__((noinline)) static vf complement(vf z, float p)
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
    bool has_state, has_peephole, splits_output, is_usual;
    surface memory_in, memory, gate;
    output_surfaces outputs;

    explicit lstm(const msl_twin_call &c)
        : cell(c), has_state(constant(MPSRNN_CONSTANT_HAS_STATE)), has_peephole(constant(MPSRNN_CONSTANT_HAS_PEEPHOLE)),
          splits_output(constant(MPSRNN_CONSTANT_SPLITS_OUTPUT)),
          is_usual(has_usual_neurons() && !adds_input && !has_peephole && !splits_output),
          memory_in(texture(MPSRNN_TEXTURE_MEMORY_IN)), memory(texture(MPSRNN_TEXTURE_MEMORY)),
          gate(texture(MPSRNN_TEXTURE_GATE)), outputs(*this)
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

    // Sigmoid for the gates, tanh(x) for cell and output.
    bool has_usual_neurons() const
    {
        return constant(MPSRNN_CONSTANT_NEURON_0) == SIGMOID && constant(MPSRNN_CONSTANT_NEURON_1) == SIGMOID
               && constant(MPSRNN_CONSTANT_NEURON_2) == TANH && constant(MPSRNN_CONSTANT_NEURON_3) == SIGMOID
               && constant(MPSRNN_CONSTANT_NEURON_OUTPUT) == TANH && first_a(MPSRNN_GATE_CELL) == 1.0f
               && params.neurons[MPSRNN_GATE_CELL].b == 1.0f && params.output_a == 1.0f
               && params.output_neuron.b == 1.0f;
    }

    TWIN_INLINE vf peephole(const gate_sums<GATES> &sums, int g, vf c) const
    {
        return sums.row(g, MPSRNN_CHANNEL_PEEPHOLE) * c;
    }

    TWIN_INLINE vf new_memory(const gate_sums<GATES> &sums, const vf *gates, vf c0) const
    {
        return neuron(sums, MPSRNN_GATE_FORGET, gates[MPSRNN_GATE_FORGET]) * c0
               + neuron(sums, MPSRNN_GATE_INPUT, gates[MPSRNN_GATE_INPUT])
                     * neuron(sums, MPSRNN_GATE_CELL, gates[MPSRNN_GATE_CELL]);
    }

    TWIN_INLINE vf new_output(const gate_sums<GATES> &sums, vf out, vf c1) const
    {
        return neuron(sums, MPSRNN_GATE_OUTPUT, out)
               * activate(constant(MPSRNN_CONSTANT_NEURON_OUTPUT), c1, broadcast(params.output_a),
                          params.output_neuron.b, params.output_neuron.c);
    }

    TWIN_INLINE void fetch(const strip &at) const
    {
        if (has_state)
            fetch_strip(memory_in, at, false);
        fetch_strip(memory, at, true);
        if (splits_output)
            fetch_strip(gate, at, true);
        else
            outputs.fetch(at);
    }

    // All that the neurons, peepholes and modes may be.
    __attribute__((noinline)) void make_any(const gate_sums<GATES> &sums, const vf *input, const vf *c0, vf *c1,
                                            vf *h1) const
    {
        for (int i = 0; i < TEXELS; ++i) {
            vf gates[GATES];
            add_up(sums, i, input, gates);
            if (has_peephole)
                for (int g = 0; g < MPSRNN_GATE_OUTPUT; ++g)
                    gates[g] += peephole(sums, g, c0[i]);
            c1[i] = new_memory(sums, gates, c0[i]);
            vf out = gates[MPSRNN_GATE_OUTPUT];
            if (has_peephole)
                out += peephole(sums, MPSRNN_GATE_OUTPUT, c1[i]);
            h1[i] = splits_output ? out : new_output(sums, out, c1[i]);
        }
    }

    // As many at once as there are registers for.
    TWIN_INLINE void make_usual(const gate_sums<GATES> &sums, const vf *c0, vf *c1, vf *h1) const
    {
        enum { COUNT = TEXELS < 2 ? 1 : 2 };
        bool is_near = true;
        usual_state next[TEXELS];
#pragma GCC unroll 4
        for (int i = 0; i < TEXELS; i += COUNT) {
            vf gates[COUNT][GATES];
#pragma GCC unroll 4
            for (int j = 0; j < COUNT; ++j)
#pragma GCC unroll 4
                for (int g = 0; g < GATES; ++g)
                    gates[j][g] = sums.sum(g, i + j);
            is_near = usual_cells<COUNT>(gates, c0 + i, next + i) && is_near;
        }
        if (__builtin_expect(!is_near, false)) {
            vf memories[TEXELS];
            for (int i = 0; i < TEXELS; ++i)
                memories[i] = c0[i];
            make_far(sums, memories, next);
        }
#pragma GCC unroll 4
        for (int i = 0; i < TEXELS; ++i) {
            c1[i] = next[i].memory;
            h1[i] = next[i].output;
        }
    }

    // One by one, as each pixel needs it.
    __attribute__((noinline)) static void make_far(const gate_sums<GATES> &sums, const vf *c0, usual_state *next)
    {
        for (int i = 0; i < TEXELS; ++i) {
            const vf gates[] = {sums.sum(0, i), sums.sum(1, i), sums.sum(2, i), sums.sum(3, i)};
            next[i] = usual_cell(gates, c0[i]);
        }
    }

    TWIN_INLINE void finish(const gate_sums<GATES> &sums, const strip &at) const
    {
        vf input[TEXELS] = {}, c0[TEXELS] = {}, c1[TEXELS], h1[TEXELS];
        read_input(at, input);
        if (has_state)
            read(memory_in, at, c0);
        if (is_usual)
            make_usual(sums, c0, c1, h1);
        else
            make_any(sums, input, c0, c1, h1);
        write(memory, at, c1);
        if (splits_output)
            write(gate, at, h1);
        else
            outputs.write(*this, at, h1);
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

    TWIN_INLINE void fetch(const strip &at) const
    {
        fetch_strip(memory, at, false);
        fetch_strip(gate, at, false);
        outputs.fetch(at);
    }

    TWIN_INLINE void finish(const gate_sums<GATES> &sums, const strip &at) const
    {
        vf c1[TEXELS], partial[TEXELS], h1[TEXELS];
        read(memory, at, c1);
        read(gate, at, partial);
        for (int i = 0; i < TEXELS; ++i) {
            const vf squashed = activate(constant(MPSRNN_CONSTANT_NEURON_OUTPUT), c1[i], broadcast(params.output_a),
                                         params.output_neuron.b, params.output_neuron.c);
            h1[i] = neuron(sums, 0, sums.sum(0, i) + partial[i]) * squashed;
        }
        outputs.write(*this, at, h1);
    }
};

} // namespace twin
} // namespace
#endif
