// Where sums become outputs: strips of neighbouring pixels, read and stored a vector of texels at a time.
#ifndef TWIN_STRIP_H
#define TWIN_STRIP_H
#include "activation.h"
#include "plan.h"

namespace {
namespace twin {

// Up to TEXELS neighbouring pixels of a row, up to TEXELS slices of their outputs.
struct strip {
    size_t index;               // of the first pixel in a slice
    uint32_t image_slice;       // where the image begins in textures of outputs
    uint32_t slice;             // first one of outputs
    int slices, pixels;
};

// Sums of the gates of a group of channels and what belongs to these.
template <int GATES> struct gate_sums {
    const float *sums[GATES];   // of a block's first pixel
    const float *rows[GATES];
    size_t first;               // where the strip's first pixel lies from there
    size_t pixel_step, row_step;
    lane_mask own;              // the lanes that are a gate's own; the others are a neighbour's

    // With the bias.
    TWIN_INLINE vf sum(int gate, int pixel) const
    {
        return load_lanes(sums[gate] + first + pixel * pixel_step, own) + row(gate, MPSRNN_CHANNEL_BIAS);
    }

    TWIN_INLINE vf row(int gate, int which) const { return load(rows[gate] + which * row_step); }
};

TWIN_INLINE void read_strip(const surface &from, const strip &at, uint32_t slice, vf *pixels)
{
#pragma GCC unroll 4
    for (int s = 0; s < TEXELS; ++s) {
        pixels[s] = vf{};
        if (s >= at.slices)
            continue;
        const size_t index = (slice + s) * from.plane + at.index;
        if (at.pixels == TEXELS)
            pixels[s] = from.read_texels(index);
        else
            pixels[s] = from.read_some(index, at.pixels);
    }
    transpose(pixels);
}

TWIN_INLINE void write_strip(const surface &to, const strip &at, const vf *pixels)
{
    vf slices[TEXELS];
#pragma GCC unroll 4
    for (int i = 0; i < TEXELS; ++i)
        slices[i] = pixels[i];
    transpose(slices);
#pragma GCC unroll 4
    for (int s = 0; s < TEXELS; ++s) {
        if (s >= at.slices)
            break;
        const size_t index = (at.image_slice + at.slice + s) * to.plane + at.index;
        if (at.pixels == TEXELS)
            to.write_texels(index, slices[s]);
        else
            to.write_some(index, at.pixels, slices[s]);
    }
}

// Brings what a strip is read from or written to into the cache. Slices are so far apart that no processor foresees it.
TWIN_INLINE void fetch_strip(const surface &from, const strip &at, bool is_written)
{
    for (int s = 0; s < at.slices; ++s) {
        const char *line = from.line_of((at.image_slice + at.slice + s) * from.plane + at.index);
        if (is_written)
            fetch_to_write(line);
        else
            __builtin_prefetch(line);
    }
}

// What all cells have.
struct cell {
    const msl_twin_call &call;
    const mpsrnn_cell_params &params;
    bool adds_input;            // useLayerInputUnitTransformMode: the input itself is added to every gate

    TWIN_INLINE explicit cell(const msl_twin_call &c)
        : call(c), params(params_of(&c)), adds_input(constant(MPSRNN_CONSTANT_UNIT_TRANSFORM))
    {
    }

    TWIN_INLINE uint32_t constant(int index) const { return call.constants[index]; }
    TWIN_INLINE surface texture(int index) const { return surface(call.dispatch->textures[index]); }

    // Of a gate's first channel: all channels of a neuron other than PReLU have the same.
    float first_a(int gate) const
    {
        const float *channels = static_cast<const float *>(call.dispatch->buffers[MPSRNN_BUFFER_CHANNELS].contents);
        return channels[(gate * MPSRNN_CHANNEL_ROWS + MPSRNN_CHANNEL_A) * 4];
    }

    template <int GATES> TWIN_INLINE vf neuron(const gate_sums<GATES> &sums, int gate, vf sum) const
    {
        return activate(constant(MPSRNN_CONSTANT_NEURON_0 + gate), sum, sums.row(gate, MPSRNN_CHANNEL_A),
                        params.neurons[gate].b, params.neurons[gate].c);
    }

    // Of one pixel, with the bias, and in unit-transform mode the input.
    template <int GATES>
    TWIN_INLINE void add_up(const gate_sums<GATES> &sums, int pixel, const vf *input, vf *gates) const
    {
        for (int g = 0; g < GATES; ++g) {
            gates[g] = sums.sum(g, pixel);
            if (adds_input)
                gates[g] += input[pixel];
        }
    }

    TWIN_INLINE void read(const surface &from, const strip &at, vf *pixels) const
    {
        read_strip(from, at, at.image_slice + at.slice, pixels);
    }

    TWIN_INLINE void read_input(const strip &at, vf *pixels) const
    {
        if (adds_input)
            read(texture(MPSRNN_TEXTURE_SOURCE), at, pixels);
    }

    // Lanes beyond the last channel become zero: the next reader multiplies them by zero weights.
    TWIN_INLINE void write(const surface &to, const strip &at, vf *pixels) const
    {
        if ((at.slice + at.slices) * 4 > params.channels)
            for (int i = 0; i < TEXELS; ++i)
                pixels[i] = select(lanes_below(int(params.channels - at.slice * 4)), pixels[i], vf{});
        write_strip(to, at, pixels);
    }
};

// A group's part of all strips: its slices.
TWIN_INLINE void set_slices(strip &at, const panel &outputs, int group)
{
    const int left = int(outputs.slices) - group * TEXELS;
    at.slice = outputs.slice + uint32_t(group) * TEXELS;
    at.slices = left < TEXELS ? left : int(TEXELS);
}

// One group of a panel's channels, whose sums begin at `sums`.
template <int GATES>
TWIN_INLINE gate_sums<GATES> sums_of_group(const image_plan &plan, const panel &outputs, int group, const float *sums,
                                           size_t vector_step, size_t pixel_step)
{
    gate_sums<GATES> gates;
    const float *rows = plan.rows + size_t(outputs.vector) * LANES * MPSRNN_CHANNEL_ROWS;
    for (int g = 0; g < GATES; ++g) {
        const uint32_t lane = outputs.lane_of(g, group, GATES);
        gates.sums[g] = sums + lane / LANES * vector_step + lane % LANES;
        gates.rows[g] = rows + lane;
    }
    gates.first = 0;
    gates.pixel_step = pixel_step;
    gates.row_step = outputs.lanes();
    gates.own = first_lanes(int(outputs.width));
    return gates;
}

} // namespace twin
} // namespace
#endif
