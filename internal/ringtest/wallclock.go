package ringtest

import (
	"time"
	"unsafe"
)

// ShiftWallClock returns t with another time of day and the same monotonic clock reading, as
// if the clock had been set. In a time with both readings, bits 30 to 62 of the first word
// are the seconds of the day's clock.
func ShiftWallClock(t time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(int64(by/time.Second)) << 30
	return t
}
