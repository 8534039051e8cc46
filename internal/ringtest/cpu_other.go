//go:build !unix

package ringtest

import "time"

// CPUTime is not known here.
func CPUTime() time.Duration { return 0 }
