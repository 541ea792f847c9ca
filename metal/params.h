// What host and kernels share: argument structs, binding indices, function constants, tile sizes.
// Included by C, Objective-C and Metal Shading Language; only fixed-width scalars and arrays of them.
#ifndef MPSRNN_PARAMS_H
#define MPSRNN_PARAMS_H
#ifndef __METAL_VERSION__
#include <stdint.h>
#endif

// Order of the gates in a kernel's packed arrays. A kernel of one gate holds it at 0.
#define MPSRNN_GATE_UPDATE 0
#define MPSRNN_GATE_RESET 1
#define MPSRNN_GATE_INPUT 0
#define MPSRNN_GATE_FORGET 1
#define MPSRNN_GATE_CELL 2
#define MPSRNN_GATE_OUTPUT 3
#define MPSRNN_MAX_GATES 4

// A thread computes this many neighbouring pixels of a row, four channels each: a weight is read once for all of them.
#define MPSRNN_PIXELS_PER_THREAD 2
#define MPSRNN_THREADGROUP_WIDTH 8
#define MPSRNN_THREADGROUP_HEIGHT 8

// Convolutions a kernel can add up; which image each reads is the kernel's business.
#define MPSRNN_MAX_TERMS 3

// One convolution, its gates fused: sum over taps and input slices. Weights lie as
// [output slice][tap][input slice of the group][input component][gate] of four output channels.
typedef struct {
    uint32_t taps;                  // taps in the union of the gates' windows; 0 = the term is absent
    uint32_t first_tap;             // into the tap table
    uint32_t first_weight;          // into the weights, in units of four elements
    uint32_t source_slices;         // slices per image of the source
    uint32_t group_source_slices;   // slices one group reads
    uint32_t group_output_slices;   // slices one group makes
} mpsrnn_term;

// b and c of a neuron; a is per channel (for PReLU's sake), in mpsrnn_channel's array.
typedef struct {
    float b, c;
} mpsrnn_neuron_params;

typedef struct {
    uint32_t width, height;
    uint32_t images;                // images in the batch
    uint32_t channels;              // output channels
    uint32_t slices;                // ceil(channels / 4)
    float p_norm;
    float output_a;                 // a of the cell-to-output neuron
    mpsrnn_neuron_params neurons[MPSRNN_MAX_GATES];
    mpsrnn_neuron_params output_neuron;
    mpsrnn_term terms[MPSRNN_MAX_TERMS];
} mpsrnn_cell_params;

// Joins the two results of a bidirectional sequence.
typedef struct {
    uint32_t width, height;
    uint32_t forward_channels, backward_channels;
} mpsrnn_combine_params;

// Rows of the per-channel array: [output slice][gate][row] of four floats.
#define MPSRNN_CHANNEL_BIAS 0
#define MPSRNN_CHANNEL_A 1
#define MPSRNN_CHANNEL_PEEPHOLE 2
#define MPSRNN_CHANNEL_ROWS 3

// Bindings.
#define MPSRNN_BUFFER_PARAMS 0
#define MPSRNN_BUFFER_WEIGHTS 1
#define MPSRNN_BUFFER_TAPS 2
#define MPSRNN_BUFFER_CHANNELS 3

#define MPSRNN_TEXTURE_SOURCE 0         // x
#define MPSRNN_TEXTURE_OUTPUT_IN 1      // h0
#define MPSRNN_TEXTURE_MEMORY_IN 2      // c0
#define MPSRNN_TEXTURE_OUTPUT 3         // h1
#define MPSRNN_TEXTURE_MEMORY 4         // c1
#define MPSRNN_TEXTURE_DESTINATION 5    // h1 in the format of the caller's image
#define MPSRNN_TEXTURE_GATE 6           // first to second dispatch: the GRU's z, the LSTM's output gate before go
#define MPSRNN_TEXTURE_RESET 7          // r * h0
#define MPSRNN_TEXTURE_UPDATED 8        // z * h0

#define MPSRNN_TEXTURE_FORWARD 0        // of the kernels that combine
#define MPSRNN_TEXTURE_BACKWARD 1

// Function constants. All of a step's are set for each of its kernels.
#define MPSRNN_CONSTANT_HAS_STATE 0         // bool: there is a previous state; without one it is zero and not bound
#define MPSRNN_CONSTANT_HAS_RECURRENT 1     // bool: a previous state and recurrent weights (the GRU: Uh)
#define MPSRNN_CONSTANT_HAS_MEMORY 2        // bool: a previous state and convolutions of the memory (the GRU: Vh)
#define MPSRNN_CONSTANT_HAS_PEEPHOLE 3      // bool: the LSTM's peepholes are per channel
#define MPSRNN_CONSTANT_HAS_DESTINATION 4   // bool: the layer is the last of its stack
#define MPSRNN_CONSTANT_KEEPS_OUTPUT 5      // bool: h1 is kept for the next step, the next layer or the caller's state
#define MPSRNN_CONSTANT_SPLITS_OUTPUT 6     // bool: the LSTM's output gate convolves the new cell, in a second dispatch
#define MPSRNN_CONSTANT_UNIT_TRANSFORM 7    // bool: useLayerInputUnitTransformMode
#define MPSRNN_CONSTANT_FLIP 8              // bool: flipOutputGates
#define MPSRNN_CONSTANT_P_NORM 9            // bool: gatePnormValue is not 1
#define MPSRNN_CONSTANT_NEURON_0 10         // uint: MPSCNNNeuronType of each gate of the kernel
#define MPSRNN_CONSTANT_NEURON_1 11
#define MPSRNN_CONSTANT_NEURON_2 12
#define MPSRNN_CONSTANT_NEURON_3 13
#define MPSRNN_CONSTANT_NEURON_OUTPUT 14    // uint: MPSCNNNeuronType from cell to output
#define MPSRNN_CONSTANT_COUNT 15

#endif
