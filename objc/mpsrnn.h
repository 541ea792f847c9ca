/* The contract between Python and the shim: plain C, no Python, no Objective-C, no Metal.
 *
 * Handles. Every handle is reference counted natively and keeps what it needs alive (an image its device, a command
 * buffer everything encoded into it), so the order in which callers release does not matter. A function that stores a
 * handle through `out` gives the caller one reference, returned with `release`.
 *
 * Errors. A function that can fail returns a status and, unless it is MPSRNN_STATUS_OK, fills the caller's `error`; it
 * has then changed nothing, and `out` is untouched. Nothing here aborts, prints or keeps a "last error".
 *
 * Threads. Any function may be called from any thread, without Python's lock. Calls on one command buffer are
 * serialised inside. Devices, queues, images, states and layers may be used from several threads at once; that two
 * threads do not write one image at the same time is the caller's business. */
#ifndef MPSRNN_H
#define MPSRNN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    MPSRNN_STATUS_OK,
    MPSRNN_STATUS_BAD_ARGUMENT,
    MPSRNN_STATUS_OUT_OF_MEMORY,
    MPSRNN_STATUS_UNSUPPORTED,
    MPSRNN_STATUS_NO_DEVICE,
    MPSRNN_STATUS_KERNEL_COMPILE,
    MPSRNN_STATUS_COMMAND_FAILED,
    MPSRNN_STATUS_INTERNAL,
} mpsrnn_status;

typedef struct {
    char message[512];
} mpsrnn_error;

typedef struct mpsrnn_device_s *mpsrnn_device;
typedef struct mpsrnn_queue_s *mpsrnn_queue;
typedef struct mpsrnn_command_s *mpsrnn_command;
typedef struct mpsrnn_texture_s *mpsrnn_texture;
typedef struct mpsrnn_image_s *mpsrnn_image;
typedef struct mpsrnn_image_state_s *mpsrnn_image_state;
typedef struct mpsrnn_image_layer_s *mpsrnn_image_layer;
typedef struct mpsrnn_buffer_s *mpsrnn_buffer;
typedef struct mpsrnn_matrix_layer_s *mpsrnn_matrix_layer;
typedef struct mpsrnn_training_layer_s *mpsrnn_training_layer;
typedef struct mpsrnn_training_state_s *mpsrnn_training_state;

/* ---- Device ---- */

typedef struct {
    char name[256];
    uint64_t registry_id;
    uint64_t max_buffer_length;         /* bytes */
    uint64_t current_allocated_size;    /* bytes of live buffers and textures */
    uint32_t thread_count;              /* CPU threads of a portable device, 0 on a GPU */
} mpsrnn_device_info;

/* ---- Command buffer ---- */

typedef struct {
    uint32_t status;                    /* MTLCommandBufferStatus */
    uint32_t dispatch_count;            /* compute dispatches encoded so far */
    double gpu_start_time, gpu_end_time; /* seconds, of one monotonic clock; 0 before */
    mpsrnn_error error;                 /* empty unless status is MTLCommandBufferStatusError */
} mpsrnn_command_info;

/* Called once, on a thread of the driver, when the command buffer has completed or failed. */
typedef void (*mpsrnn_completion)(void *context);

/* ---- Texture ---- */

typedef struct {
    uint32_t texture_type;              /* MTLTextureType: 2 of one slice, 3 array */
    uint32_t pixel_format;              /* MTLPixelFormat: R, RG or RGBA of unorm8, unorm16, float16 or float32 */
    uint32_t width, height, slices;
    uint32_t usage;                     /* MTLTextureUsage */
    uint32_t storage_mode;              /* MTLStorageMode: 0 shared, 2 private */
} mpsrnn_texture_descriptor;

/* The memory behind a texture or an image: what shares memory has one identity, and a range of its slices. */
typedef struct {
    uint64_t identity;
    uint64_t size;                      /* bytes of the whole */
    uint32_t first_slice, slices;
} mpsrnn_storage;

/* ---- Image ---- */

/* Channel c of image n lies in slice n * ceil(channels / 4) + c / 4, component c % 4. */
typedef struct {
    uint32_t width, height, channels, images;
    uint32_t channel_format;            /* MPSImageFeatureChannelFormat: 1 unorm8, 2 unorm16, 3 float16, 4 float32 */
    uint32_t usage;                     /* MTLTextureUsage */
    uint32_t storage_mode;              /* MTLStorageMode: 0 shared, 2 private */
} mpsrnn_image_descriptor;

/* A box of pixels, channels and images, and where its elements lie in the caller's memory (bytes). */
typedef struct {
    uint32_t x, y, width, height;
    uint32_t first_image, images;
    uint32_t first_channel, channels;   /* first_channel is a multiple of 4 */
    uint32_t layout;                    /* MPSDataLayout: 0 height x width x channels, 1 channels x height x width */
    size_t bytes_per_column, bytes_per_row, bytes_per_image;
} mpsrnn_image_region;

/* ---- Matrix ---- */

enum { MPSRNN_FLOAT16 = 0x10000010, MPSRNN_FLOAT32 = 0x10000020 };     /* of MPSDataType */

/* A view of a buffer: element (i, j) lies at offset + i * row_bytes + j * (size of an element). */
typedef struct {
    mpsrnn_buffer buffer;               /* not retained; NULL where a matrix is optional and absent */
    size_t offset, row_bytes;           /* bytes, multiples of the element's size */
    uint32_t rows, columns;
    uint32_t data_type;                 /* MPSRNN_FLOAT16 or MPSRNN_FLOAT32 */
} mpsrnn_matrix;

/* ---- Layers ---- */

/* One convolution of a gate: W, U or V. Weights lie as [out][height][width][in / groups]. */
typedef struct {
    const void *weights;                /* NULL: the convolution is absent (its result is 0) */
    uint32_t width, height, dilation_x, dilation_y, groups;
} mpsrnn_convolution;

typedef struct {
    int32_t type;                       /* MPSCNNNeuronType */
    float a, b, c;
    const float *channel_a;             /* PReLU: one a per output channel; otherwise NULL */
} mpsrnn_neuron;

typedef struct {
    mpsrnn_convolution input, recurrent, memory;
    const float *diagonal;              /* LSTM: per-channel peephole in place of `memory`, or NULL */
    const float *bias;                  /* per output channel, or NULL */
    mpsrnn_neuron neuron;
} mpsrnn_gate;

typedef enum { MPSRNN_CELL_SINGLE_GATE, MPSRNN_CELL_GRU, MPSRNN_CELL_LSTM } mpsrnn_cell_kind;

/* Gates in the order: single gate; GRU update z, reset r, candidate h (its `memory` is Vh, acting on z * h0);
 * LSTM input, forget, cell, output (its `memory` acts on the new cell). */
typedef struct {
    mpsrnn_cell_kind kind;
    uint32_t input_channels, output_channels;
    bool float32_weights;               /* element type of all convolutions: float, else half */
    bool unit_transform;                /* useLayerInputUnitTransformMode */
    bool backward;                      /* layerSequenceDirection, which bidirectional sequences alone read */
    bool flip_output_gates;             /* GRU */
    float gate_p_norm;                  /* GRU */
    mpsrnn_neuron output_neuron;        /* LSTM: cell to output */
    mpsrnn_gate gates[4];
} mpsrnn_cell;

/* MPSRNNBidirectionalCombineMode. */
typedef enum { MPSRNN_COMBINE_NONE, MPSRNN_COMBINE_ADD, MPSRNN_COMBINE_CONCATENATE } mpsrnn_combine;

/* Of MPSKernelOptions; other bits have no effect. */
enum { MPSRNN_ALLOW_REDUCED_PRECISION = 2 };

typedef enum { MPSRNN_RECURRENT_OUTPUT, MPSRNN_MEMORY_CELL } mpsrnn_state_part;

/* One layer's recurrent state over matrices, rows x output channels, float32: h, and c or an absent matrix. */
typedef struct {
    mpsrnn_matrix output, memory;
} mpsrnn_matrix_state;

/* The trainable matrices of one gate, or their gradients: row = output channel, column = input channel; `diagonal` and
 * `bias` have one row. Absent where the cell has none, or where a gradient is not wanted. */
typedef struct {
    mpsrnn_matrix input, recurrent, memory, diagonal, bias;
} mpsrnn_gate_matrices;

/* ---- The functions ---- */

/* The one way in: extension modules other than the one that links the shim reach it through this table. */
typedef struct {
    /* The system's default device; NO_DEVICE if there is none that can be used. */
    mpsrnn_status (*device_create_default)(mpsrnn_device *out, mpsrnn_error *error);
    /* All devices: at most `capacity` are stored, `count` tells how many there are. */
    mpsrnn_status (*device_copy_all)(mpsrnn_device *out, size_t capacity, size_t *count, mpsrnn_error *error);
    void (*device_get_info)(mpsrnn_device device, mpsrnn_device_info *info);
    /* CPU threads that work on a dispatch, at least 1; UNSUPPORTED on a GPU. */
    mpsrnn_status (*device_set_thread_count)(mpsrnn_device device, uint32_t count, mpsrnn_error *error);
    /* Whether both handles are the same Metal device. */
    bool (*device_is_same)(mpsrnn_device a, mpsrnn_device b);

    mpsrnn_status (*queue_create)(mpsrnn_device device, mpsrnn_queue *out, mpsrnn_error *error);

    mpsrnn_status (*command_create)(mpsrnn_queue queue, mpsrnn_command *out, mpsrnn_error *error);
    /* `function` is called even when the command buffer fails. BAD_ARGUMENT after commit: it would never be called. */
    mpsrnn_status (*command_add_completion)(mpsrnn_command command, mpsrnn_completion function, void *context,
                                            mpsrnn_error *error);
    mpsrnn_status (*command_commit)(mpsrnn_command command, mpsrnn_error *error);
    /* Blocks until completion. COMMAND_FAILED carries Metal's own message. BAD_ARGUMENT before commit. */
    mpsrnn_status (*command_wait)(mpsrnn_command command, mpsrnn_error *error);
    /* Commits and waits: cheaper than one after the other, since the calling thread may do the work. */
    mpsrnn_status (*command_run)(mpsrnn_command command, mpsrnn_error *error);
    void (*command_get_info)(mpsrnn_command command, mpsrnn_command_info *info);

    /* Its contents are undefined. */
    mpsrnn_status (*texture_create)(mpsrnn_device device, const mpsrnn_texture_descriptor *descriptor,
                                    mpsrnn_texture *out, mpsrnn_error *error);
    void (*texture_get_descriptor)(mpsrnn_texture texture, mpsrnn_texture_descriptor *descriptor);
    void (*texture_get_storage)(mpsrnn_texture texture, mpsrnn_storage *storage);

    mpsrnn_status (*image_create)(mpsrnn_device device, const mpsrnn_image_descriptor *descriptor, mpsrnn_image *out,
                                  mpsrnn_error *error);
    /* An image over `images` times ceil(channels / 4) slices of a texture, whose storage it shares. */
    mpsrnn_status (*image_create_over)(mpsrnn_texture texture, uint32_t first_slice, uint32_t images, uint32_t channels,
                                       mpsrnn_image *out, mpsrnn_error *error);
    void (*image_get_descriptor)(mpsrnn_image image, mpsrnn_image_descriptor *descriptor);
    void (*image_get_texture_descriptor)(mpsrnn_image image, mpsrnn_texture_descriptor *descriptor);
    void (*image_get_storage)(mpsrnn_image image, mpsrnn_storage *storage);
    /* The texture of an image, with a reference for the caller. */
    mpsrnn_status (*image_copy_texture)(mpsrnn_image image, mpsrnn_texture *out, mpsrnn_error *error);
    /* Elements are of the image's channel format: uint8, uint16, half or float. Components of a slice beyond the
     * image's last channel are written as zero. */
    mpsrnn_status (*image_write)(mpsrnn_image image, const void *bytes, const mpsrnn_image_region *region,
                                 mpsrnn_error *error);
    mpsrnn_status (*image_read)(mpsrnn_image image, void *bytes, const mpsrnn_image_region *region,
                                mpsrnn_error *error);

    /* Copies everything out of `cells` (index 0 is the bottom layer). */
    mpsrnn_status (*image_layer_create)(mpsrnn_device device, const mpsrnn_cell *cells, size_t count,
                                        mpsrnn_image_layer *out, mpsrnn_error *error);
    /* Encodes `count` time steps. `state_in` may be NULL: zero. `state_count` is 0, 1 (the last step's state) or
     * `count`; that many states are stored in `states_out`, out of the CPU's reach if `private_states`. */
    mpsrnn_status (*image_layer_encode_sequence)(mpsrnn_image_layer layer, mpsrnn_command command,
                                                 const mpsrnn_image *sources, const mpsrnn_image *destinations,
                                                 size_t count, mpsrnn_image_state state_in,
                                                 mpsrnn_image_state *states_out, size_t state_count,
                                                 bool private_states, mpsrnn_error *error);

    /* Encodes the forward layers over the sequence and the backward layers over the reversed one; the result for time
     * step t is stored at index t. NONE: into `forward` and `backward`, either NULL where no layer has that direction.
     * Otherwise both are combined into `forward`, and `backward` is NULL. `state_in` may be NULL: zero. */
    mpsrnn_status (*image_layer_encode_bidirectional)(mpsrnn_image_layer layer, mpsrnn_command command,
                                                      const mpsrnn_image *sources, const mpsrnn_image *forward,
                                                      const mpsrnn_image *backward, size_t count,
                                                      mpsrnn_combine combine, mpsrnn_image_state state_in,
                                                      mpsrnn_error *error);

    /* A state over given images, which it keeps: h of each layer, and c or NULL. All on one device. */
    mpsrnn_status (*image_state_create)(const mpsrnn_image *outputs, const mpsrnn_image *memories, size_t layer_count,
                                        mpsrnn_image_state *out, mpsrnn_error *error);
    size_t (*image_state_layer_count)(mpsrnn_image_state state);
    /* The image of a part of one layer's state with a reference for the caller; NULL where there is none. */
    mpsrnn_image (*image_state_copy_image)(mpsrnn_image_state state, size_t layer, mpsrnn_state_part part);

    /* Zeroed memory; `storage_mode` is a MTLStorageMode: 0 shared, 2 private. */
    mpsrnn_status (*buffer_create)(mpsrnn_device device, size_t length, uint32_t storage_mode, mpsrnn_buffer *out,
                                   mpsrnn_error *error);
    /* Shared storage in memory that stays the caller's. `release`, which may be NULL, is called once, on any thread,
     * when neither a handle nor a command buffer needs it any more; if this function fails it is not. BAD_ARGUMENT if
     * the device cannot use this memory: a portable one wants an address that is a multiple of 16, Apple's whole
     * pages. */
    mpsrnn_status (*buffer_create_no_copy)(mpsrnn_device device, void *bytes, size_t length,
                                           mpsrnn_completion release, void *context, mpsrnn_buffer *out,
                                           mpsrnn_error *error);
    size_t (*buffer_length)(mpsrnn_buffer buffer);
    /* Where the CPU sees it, for as long as the handle lives; NULL for private storage. */
    void *(*buffer_contents)(mpsrnn_buffer buffer);

    /* Encodes a copy between matrices of one size; the element types may differ. They do not overlap. */
    mpsrnn_status (*command_copy_matrix)(mpsrnn_command command, const mpsrnn_matrix *from, const mpsrnn_matrix *to,
                                         mpsrnn_error *error);

    /* Copies everything out of `cells` (index 0 is the bottom layer); their kernels are 1 x 1. */
    mpsrnn_status (*matrix_layer_create)(mpsrnn_device device, const mpsrnn_cell *cells, size_t count,
                                         mpsrnn_matrix_layer *out, mpsrnn_error *error);
    /* Encodes `count` time steps. Rows are the batch: no source has more rows than the one before; a destination has at
     * least as many as its source. All sources have one element type, and so have all destinations. `state_in` has an
     * entry for every layer, or is NULL: zero. `state_count` is 0, 1 (the last step's state) or `count`; `states_out`
     * has an entry for every layer of every such state, which are written. States have the rows of the first source;
     * where a step has fewer, the others keep their state. `options` are MPSKernelOptions: with reduced precision,
     * matrices may be multiplied in bfloat16, with float32 sums. */
    mpsrnn_status (*matrix_layer_encode_sequence)(mpsrnn_matrix_layer layer, mpsrnn_command command,
                                                  const mpsrnn_matrix *sources, const mpsrnn_matrix *destinations,
                                                  size_t count, const mpsrnn_matrix_state *state_in,
                                                  const mpsrnn_matrix_state *states_out, size_t state_count,
                                                  uint32_t options, mpsrnn_error *error);
    /* As image_layer_encode_bidirectional, with the options of matrix_layer_encode_sequence. */
    mpsrnn_status (*matrix_layer_encode_bidirectional)(mpsrnn_matrix_layer layer, mpsrnn_command command,
                                                       const mpsrnn_matrix *sources, const mpsrnn_matrix *forward,
                                                       const mpsrnn_matrix *backward, size_t count,
                                                       mpsrnn_combine combine, const mpsrnn_matrix_state *state_in,
                                                       uint32_t options, mpsrnn_error *error);

    /* A layer whose weights are passed to every call, in the element type of the cell's; of those it only reads which
     * there are. UNSUPPORTED for groups. */
    mpsrnn_status (*training_layer_create)(mpsrnn_device device, const mpsrnn_cell *cell, mpsrnn_training_layer *out,
                                           mpsrnn_error *error);
    /* As matrix_layer_encode_sequence, with `weights` of every gate of the cell. Stores a training state for every time
     * step in `training`: what the gradient of this step will need. */
    mpsrnn_status (*training_layer_encode_forward)(mpsrnn_training_layer layer, mpsrnn_command command,
                                                   const mpsrnn_gate_matrices *weights, const mpsrnn_matrix *sources,
                                                   const mpsrnn_matrix *destinations, size_t count,
                                                   const mpsrnn_matrix_state *state_in,
                                                   const mpsrnn_matrix_state *states_out, size_t state_count,
                                                   mpsrnn_training_state *training, mpsrnn_error *error);
    /* Index t is the same time step in every array. `gradients` are dL/dh of every step, from above;
     * `source_gradients`, which may be NULL, receive dL/dx, `weight_gradients`, which may be NULL or have absent
     * matrices, dL/dw of every gate, added to what is there if `accumulate`; each of the two has one element type.
     * `carry_in` is dL/dh and dL/dc of the state after the last step, NULL for zero; rows that it lacks are zero. Of
     * `carries_out`, `carry_count` (0, 1: the first step's; or `count`), entry t receives them for the state before
     * step t; they have the rows of the first source. */
    mpsrnn_status (*training_layer_encode_gradient)(mpsrnn_training_layer layer, mpsrnn_command command,
                                                    const mpsrnn_gate_matrices *weights, const mpsrnn_matrix *sources,
                                                    const mpsrnn_matrix *gradients,
                                                    const mpsrnn_matrix *source_gradients, size_t count,
                                                    const mpsrnn_gate_matrices *weight_gradients, bool accumulate,
                                                    const mpsrnn_training_state *training,
                                                    const mpsrnn_matrix_state *carry_in,
                                                    const mpsrnn_matrix_state *carries_out, size_t carry_count,
                                                    mpsrnn_error *error);

    void (*release)(void *handle);
    /* Handles alive in this process, for leak tests. */
    size_t (*live_handle_count)(void);
} mpsrnn_api;

const mpsrnn_api *mpsrnn_get_api(void);

#endif
