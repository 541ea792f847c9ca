#import "buffer.h"
#include "derivation.h"
#import <Metal/PortableMetal.h>
#import "block.h"
#import "violation.h"

@implementation PMBuffer
- (id)initWithDevice:(PMDevice *)device length:(NSUInteger)length options:(MTLResourceOptions)options
{
    self = [super initWithDevice:device];
    if (!self) {
        return nil;
    }
    _storageMode = (options & MTLResourceStorageModeMask) >> MTLResourceStorageModeShift;
    if (length == 0 || length > [device maxBufferLength]) {
        pm_report_violation("new buffer: length %lu; 1 to %lu expected", length, [device maxBufferLength]);
    } else if (_storageMode > MTLStorageModePrivate) {
        pm_report_violation("new buffer: storage mode %lu; shared, managed or private expected", _storageMode);
    } else {
        _storage = [device allocateStorage:length isCleared:YES];
        if (!_storage) {
            pm_report_violation("new buffer: no memory for %lu bytes", length);
        }
    }
    if (!_storage) {
        [self release];
        return nil;
    }
    _length = length;
    return self;
}

/* What kernels read at once, a float4, must not straddle. */
enum { BORROWED_ALIGNMENT = 16 };

- (id)initWithDevice:(PMDevice *)device
               bytes:(void *)bytes
              length:(NSUInteger)length
             options:(MTLResourceOptions)options
         deallocator:(const struct PortableMetalBlock *)deallocator
{
    self = [super initWithDevice:device];
    if (!self) {
        return nil;
    }
    const MTLStorageMode storageMode = (options & MTLResourceStorageModeMask) >> MTLResourceStorageModeShift;
    BOOL isRight = NO;
    if (!bytes || (uintptr_t)bytes % BORROWED_ALIGNMENT) {
        pm_report_violation("new buffer without a copy: address %p; a multiple of %d expected", bytes,
                            BORROWED_ALIGNMENT);
    } else if (length == 0 || length > [device maxBufferLength]) {
        pm_report_violation("new buffer without a copy: length %lu; 1 to %lu expected", length,
                            [device maxBufferLength]);
    } else if (storageMode > MTLStorageModeManaged) {
        pm_report_violation("new buffer without a copy: storage mode %lu; shared or managed expected", storageMode);
    } else {
        _deallocator = deallocator ? pm_block_copy(deallocator) : NULL;
        isRight = !deallocator || _deallocator;
        if (!isRight) {
            pm_report_violation("new buffer without a copy: no memory");
        }
    }
    if (!isRight) {
        [self release];
        return nil;
    }
    _isBorrowed = YES;
    _storage = bytes;
    _length = length;
    _storageMode = storageMode;
    return self;
}

- (void)returnStorage
{
    if (_deallocator) {
        const PortableMetalDeallocator invoke = (PortableMetalDeallocator)(void (*)(void))_deallocator->invoke;
        invoke(_deallocator, _storage, _length);
        pm_block_release(_deallocator);
    }
}

- (void)dealloc
{
    pm_free_derivations(_derivations);
    if (_isBorrowed) {
        [self returnStorage];
    } else if (_storage) {
        [_device freeStorage:_storage length:_length];
    }
    [super dealloc];
}

- (void *)storage
{
    return _storage;
}

- (struct msl_derivation **)derivations
{
    return &_derivations;
}

- (void *)contents
{
    return _storageMode == MTLStorageModePrivate ? NULL : _storage;
}

- (NSUInteger)length
{
    return _length;
}

- (uint64_t)gpuAddress
{
    return (uintptr_t)_storage;
}

- (NSUInteger)allocatedSize
{
    return _length;
}

- (MTLStorageMode)storageMode
{
    return _storageMode;
}
@end
