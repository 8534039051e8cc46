package ringtest

import (
	"time"
	"unsafe"
)

// SetForward is a moment at which only the time of day is another. Its seconds are in bits
// 30 to 62 of the first word of a time that has both clocks.
func SetForward(t time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(int64(by/time.Second)) << 30
	return t
}
