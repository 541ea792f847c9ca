# objc/mpsrnn.h, the contract with the shim, as Cython sees it. Nothing else declares native names.
from libc.stdint cimport int32_t, uint32_t, uint64_t


cdef extern from "<stdbool.h>" nogil:
    ctypedef bint cbool "bool"


cdef extern from "mpsrnn.h" nogil:
    ctypedef enum mpsrnn_status:
        MPSRNN_STATUS_OK
        MPSRNN_STATUS_BAD_ARGUMENT
        MPSRNN_STATUS_OUT_OF_MEMORY
        MPSRNN_STATUS_UNSUPPORTED
        MPSRNN_STATUS_NO_DEVICE
        MPSRNN_STATUS_KERNEL_COMPILE
        MPSRNN_STATUS_COMMAND_FAILED
        MPSRNN_STATUS_INTERNAL

    ctypedef struct mpsrnn_error:
        const char message[512]

    ctypedef struct mpsrnn_device_s:
        pass
    ctypedef struct mpsrnn_queue_s:
        pass
    ctypedef struct mpsrnn_command_s:
        pass
    ctypedef struct mpsrnn_texture_s:
        pass
    ctypedef struct mpsrnn_image_s:
        pass
    ctypedef struct mpsrnn_image_state_s:
        pass
    ctypedef struct mpsrnn_image_layer_s:
        pass
    ctypedef struct mpsrnn_buffer_s:
        pass
    ctypedef struct mpsrnn_matrix_layer_s:
        pass
    ctypedef struct mpsrnn_training_layer_s:
        pass
    ctypedef struct mpsrnn_training_state_s:
        pass
    ctypedef mpsrnn_device_s *mpsrnn_device
    ctypedef mpsrnn_queue_s *mpsrnn_queue
    ctypedef mpsrnn_command_s *mpsrnn_command
    ctypedef mpsrnn_texture_s *mpsrnn_texture
    ctypedef mpsrnn_image_s *mpsrnn_image
    ctypedef mpsrnn_image_state_s *mpsrnn_image_state
    ctypedef mpsrnn_image_layer_s *mpsrnn_image_layer
    ctypedef mpsrnn_buffer_s *mpsrnn_buffer
    ctypedef mpsrnn_matrix_layer_s *mpsrnn_matrix_layer
    ctypedef mpsrnn_training_layer_s *mpsrnn_training_layer
    ctypedef mpsrnn_training_state_s *mpsrnn_training_state

    ctypedef struct mpsrnn_device_info:
        char name[256]
        uint64_t registry_id
        uint64_t max_buffer_length
        uint64_t current_allocated_size
        uint32_t thread_count

    ctypedef struct mpsrnn_command_info:
        uint32_t status
        uint32_t dispatch_count
        double gpu_start_time
        double gpu_end_time
        mpsrnn_error error

    ctypedef void (*mpsrnn_completion)(void *context) noexcept

    ctypedef struct mpsrnn_texture_descriptor:
        uint32_t texture_type
        uint32_t pixel_format
        uint32_t width, height, slices
        uint32_t usage
        uint32_t storage_mode

    ctypedef struct mpsrnn_storage:
        uint64_t identity
        uint64_t size
        uint32_t first_slice, slices

    ctypedef struct mpsrnn_image_descriptor:
        uint32_t width, height, channels, images
        uint32_t channel_format
        uint32_t usage
        uint32_t storage_mode

    ctypedef struct mpsrnn_image_region:
        uint32_t x, y, width, height
        uint32_t first_image, images
        uint32_t first_channel, channels
        uint32_t layout
        size_t bytes_per_column, bytes_per_row, bytes_per_image

    cdef enum:
        MPSRNN_FLOAT16
        MPSRNN_FLOAT32

    ctypedef struct mpsrnn_matrix:
        mpsrnn_buffer buffer
        size_t offset, row_bytes
        uint32_t rows, columns
        uint32_t data_type

    ctypedef struct mpsrnn_convolution:
        const void *weights
        uint32_t width, height, dilation_x, dilation_y, groups

    ctypedef struct mpsrnn_neuron:
        int32_t type
        float a, b, c
        const float *channel_a

    ctypedef struct mpsrnn_gate:
        mpsrnn_convolution input, recurrent, memory
        const float *diagonal
        const float *bias
        mpsrnn_neuron neuron

    ctypedef enum mpsrnn_cell_kind:
        MPSRNN_CELL_SINGLE_GATE
        MPSRNN_CELL_GRU
        MPSRNN_CELL_LSTM

    ctypedef struct mpsrnn_cell:
        mpsrnn_cell_kind kind
        uint32_t input_channels, output_channels
        cbool float32_weights
        cbool unit_transform
        cbool backward
        cbool flip_output_gates
        float gate_p_norm
        mpsrnn_neuron output_neuron
        mpsrnn_gate gates[4]

    ctypedef enum mpsrnn_combine:
        MPSRNN_COMBINE_NONE
        MPSRNN_COMBINE_ADD
        MPSRNN_COMBINE_CONCATENATE

    ctypedef enum mpsrnn_state_part:
        MPSRNN_RECURRENT_OUTPUT
        MPSRNN_MEMORY_CELL

    ctypedef struct mpsrnn_matrix_state:
        mpsrnn_matrix output, memory

    ctypedef struct mpsrnn_gate_matrices:
        mpsrnn_matrix input, recurrent, memory, diagonal, bias

    ctypedef struct mpsrnn_api:
        mpsrnn_status (*device_create_default)(mpsrnn_device *, mpsrnn_error *) noexcept nogil
        mpsrnn_status (*device_copy_all)(mpsrnn_device *, size_t, size_t *, mpsrnn_error *) noexcept nogil
        void (*device_get_info)(mpsrnn_device, mpsrnn_device_info *) noexcept nogil
        mpsrnn_status (*device_set_thread_count)(mpsrnn_device, uint32_t, mpsrnn_error *) noexcept nogil
        cbool (*device_is_same)(mpsrnn_device, mpsrnn_device) noexcept nogil
        mpsrnn_status (*queue_create)(mpsrnn_device, mpsrnn_queue *, mpsrnn_error *) noexcept nogil
        mpsrnn_status (*command_create)(mpsrnn_queue, mpsrnn_command *, mpsrnn_error *) noexcept nogil
        mpsrnn_status (*command_add_completion)(mpsrnn_command, mpsrnn_completion, void *,
                                                mpsrnn_error *) noexcept nogil
        mpsrnn_status (*command_commit)(mpsrnn_command, mpsrnn_error *) noexcept nogil
        mpsrnn_status (*command_wait)(mpsrnn_command, mpsrnn_error *) noexcept nogil
        mpsrnn_status (*command_run)(mpsrnn_command, mpsrnn_error *) noexcept nogil
        void (*command_get_info)(mpsrnn_command, mpsrnn_command_info *) noexcept nogil
        mpsrnn_status (*texture_create)(mpsrnn_device, const mpsrnn_texture_descriptor *, mpsrnn_texture *,
                                        mpsrnn_error *) noexcept nogil
        void (*texture_get_descriptor)(mpsrnn_texture, mpsrnn_texture_descriptor *) noexcept nogil
        void (*texture_get_storage)(mpsrnn_texture, mpsrnn_storage *) noexcept nogil
        mpsrnn_status (*image_create)(mpsrnn_device, const mpsrnn_image_descriptor *, mpsrnn_image *,
                                      mpsrnn_error *) noexcept nogil
        mpsrnn_status (*image_create_over)(mpsrnn_texture, uint32_t, uint32_t, uint32_t, mpsrnn_image *,
                                           mpsrnn_error *) noexcept nogil
        void (*image_get_descriptor)(mpsrnn_image, mpsrnn_image_descriptor *) noexcept nogil
        void (*image_get_texture_descriptor)(mpsrnn_image, mpsrnn_texture_descriptor *) noexcept nogil
        void (*image_get_storage)(mpsrnn_image, mpsrnn_storage *) noexcept nogil
        mpsrnn_status (*image_copy_texture)(mpsrnn_image, mpsrnn_texture *, mpsrnn_error *) noexcept nogil
        mpsrnn_status (*image_write)(mpsrnn_image, const void *, const mpsrnn_image_region *,
                                     mpsrnn_error *) noexcept nogil
        mpsrnn_status (*image_read)(mpsrnn_image, void *, const mpsrnn_image_region *, mpsrnn_error *) noexcept nogil
        mpsrnn_status (*image_layer_create)(mpsrnn_device, const mpsrnn_cell *, size_t, mpsrnn_image_layer *,
                                            mpsrnn_error *) noexcept nogil
        mpsrnn_status (*image_layer_encode_sequence)(mpsrnn_image_layer, mpsrnn_command, const mpsrnn_image *,
                                                     const mpsrnn_image *, size_t, mpsrnn_image_state,
                                                     mpsrnn_image_state *, size_t, cbool,
                                                     mpsrnn_error *) noexcept nogil
        mpsrnn_status (*image_layer_encode_bidirectional)(mpsrnn_image_layer, mpsrnn_command, const mpsrnn_image *,
                                                          const mpsrnn_image *, const mpsrnn_image *, size_t,
                                                          mpsrnn_combine, mpsrnn_image_state,
                                                          mpsrnn_error *) noexcept nogil
        mpsrnn_status (*image_state_create)(const mpsrnn_image *, const mpsrnn_image *, size_t, mpsrnn_image_state *,
                                            mpsrnn_error *) noexcept nogil
        size_t (*image_state_layer_count)(mpsrnn_image_state) noexcept nogil
        mpsrnn_image (*image_state_copy_image)(mpsrnn_image_state, size_t, mpsrnn_state_part) noexcept nogil
        mpsrnn_status (*buffer_create)(mpsrnn_device, size_t, uint32_t, mpsrnn_buffer *, mpsrnn_error *) noexcept nogil
        mpsrnn_status (*buffer_create_no_copy)(mpsrnn_device, void *, size_t, mpsrnn_completion, void *,
                                               mpsrnn_buffer *, mpsrnn_error *) noexcept nogil
        size_t (*buffer_length)(mpsrnn_buffer) noexcept nogil
        void *(*buffer_contents)(mpsrnn_buffer) noexcept nogil
        mpsrnn_status (*command_copy_matrix)(mpsrnn_command, const mpsrnn_matrix *, const mpsrnn_matrix *,
                                             mpsrnn_error *) noexcept nogil
        mpsrnn_status (*matrix_layer_create)(mpsrnn_device, const mpsrnn_cell *, size_t, mpsrnn_matrix_layer *,
                                             mpsrnn_error *) noexcept nogil
        mpsrnn_status (*matrix_layer_encode_sequence)(mpsrnn_matrix_layer, mpsrnn_command, const mpsrnn_matrix *,
                                                      const mpsrnn_matrix *, size_t, const mpsrnn_matrix_state *,
                                                      const mpsrnn_matrix_state *, size_t, uint32_t,
                                                      mpsrnn_error *) noexcept nogil
        mpsrnn_status (*matrix_layer_encode_bidirectional)(mpsrnn_matrix_layer, mpsrnn_command, const mpsrnn_matrix *,
                                                           const mpsrnn_matrix *, const mpsrnn_matrix *, size_t,
                                                           mpsrnn_combine, const mpsrnn_matrix_state *, uint32_t,
                                                           mpsrnn_error *) noexcept nogil
        mpsrnn_status (*training_layer_create)(mpsrnn_device, const mpsrnn_cell *, mpsrnn_training_layer *,
                                               mpsrnn_error *) noexcept nogil
        mpsrnn_status (*training_layer_encode_forward)(mpsrnn_training_layer, mpsrnn_command,
                                                       const mpsrnn_gate_matrices *, const mpsrnn_matrix *,
                                                       const mpsrnn_matrix *, size_t, const mpsrnn_matrix_state *,
                                                       const mpsrnn_matrix_state *, size_t, mpsrnn_training_state *,
                                                       mpsrnn_error *) noexcept nogil
        mpsrnn_status (*training_layer_encode_gradient)(mpsrnn_training_layer, mpsrnn_command,
                                                        const mpsrnn_gate_matrices *, const mpsrnn_matrix *,
                                                        const mpsrnn_matrix *, const mpsrnn_matrix *, size_t,
                                                        const mpsrnn_gate_matrices *, cbool,
                                                        const mpsrnn_training_state *, const mpsrnn_matrix_state *,
                                                        const mpsrnn_matrix_state *, size_t,
                                                        mpsrnn_error *) noexcept nogil
        void (*release)(void *) noexcept nogil
        size_t (*live_handle_count)() noexcept nogil

    const mpsrnn_api *mpsrnn_get_api()
