//go:build !linux

package load

import "time"

// newSleeper returns time.Sleep: delays include what it oversleeps.
func newSleeper() (sleep func(time.Duration), done func()) { return time.Sleep, func() {} }
