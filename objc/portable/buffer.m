#import "buffer.h"
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
        _storage = [device allocateStorage:length];
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

- (void)dealloc
{
    if (_storage) {
        [_device freeStorage:_storage length:_length];
    }
    [super dealloc];
}

- (void *)storage
{
    return _storage;
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
